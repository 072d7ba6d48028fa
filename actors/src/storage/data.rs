//! Payloads: what is kept of a value, whoever made it.

/// A payload, which carries its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// JSON text, as it was given.
    Json(String),
    /// Bincode; only this program family reads it.
    Bincode(Vec<u8>),
    /// A value that only whoever has its key can read.
    Sealed(Vec<u8>),
}

impl Data {
    /// The bytes, whatever the format.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Data::Json(text) => text.as_bytes(),
            Data::Bincode(bytes) | Data::Sealed(bytes) => bytes,
        }
    }

    /// The format's number in the file.
    #[must_use]
    pub fn format(&self) -> u8 {
        match self {
            Data::Json(_) => 1,
            Data::Bincode(_) => 2,
            Data::Sealed(_) => 3,
        }
    }

    /// Whether only whoever has its key can read it.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        matches!(self, Data::Sealed(_))
    }
}
