//! SHA-256, and the only file that names who computes it.

use std::fmt::Write as _;

use sha2::Digest as _;

/// SHA-256 of bytes that come one after the other.
#[derive(Clone)]
pub(crate) struct Digest(sha2::Sha256);

impl Digest {
    /// Of nothing yet.
    pub(crate) fn new() -> Digest {
        Digest(sha2::Sha256::new())
    }

    /// These come next.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of all of them.
    pub(crate) fn end(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// A sum as people write it: 64 hexadecimal digits.
pub(crate) fn hex(sum: &[u8; 32]) -> String {
    sum.iter().fold(String::new(), |mut text, byte| {
        // A text takes whatever is written.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
