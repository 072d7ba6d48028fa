//! The words for what must not happen.

/// What may be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A lock was given away while its holder's lease lasted (L1).
    Overlap,
    /// A token is not larger than all before it (L2).
    Token,
    /// A write under a lock that was lost is in the store (L3).
    Landed,
    /// Whoever holds a lock was told that he does not, or the other way round (L3, L4).
    Refused,
    /// A later ticket was served before an earlier one of the living (L5).
    Inversion,
    /// A lock is free, somebody living is first in its line, and nothing happens (L5).
    Stalled,
    /// A lock is held by nobody who knows of it (L6).
    Leaked,
    /// What was acknowledged is not there (G1).
    Lost,
    /// What was said not to have been applied is there (G3).
    Lied,
    /// Something was done twice (G4).
    Twice,
    /// Versions or positions have a hole, or an expected version was not honoured (A1).
    Version,
    /// A state is not what its events make of it (A2).
    State,
    /// A look does not show what was there when it was asked for (G5).
    Stale,
    /// A caller was not answered in time (G9).
    Unanswered,
    /// A caller pays for what another one has done (R1).
    Hurt,
    /// An error that nothing explains.
    Failed,
    /// The same seed has led to something else.
    Differs,
}

/// What was broken, in words.
pub type Violation = (Broken, String);
