//! What is spoilt on purpose, and must be noticed.

use super::judge::Broken;

/// A defect that the simulated storage, or the simulation itself, is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A caller is answered, and the group is committed with the next one.
    Early,
    /// A commit that took effect is said not to have.
    Liar,
    /// A process that lives is taken for dead, and what it holds is passed on.
    Buried,
    /// A ticket is moved behind the others in its line.
    Overtaken,
    /// An append is said to be done, and its events are nowhere.
    Forgotten,
    /// The tokens of guarded appends are not looked at.
    Unguarded,
    /// An expected version is not looked at.
    Unexpecting,
    /// A caller is never asked again how far it is.
    Silent,
    /// Something is chosen that the seed does not decide.
    Unseeded,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 9] = [
        Mutant::Early,
        Mutant::Liar,
        Mutant::Buried,
        Mutant::Overtaken,
        Mutant::Forgotten,
        Mutant::Unguarded,
        Mutant::Unexpecting,
        Mutant::Silent,
        Mutant::Unseeded,
    ];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Early | Mutant::Forgotten => Broken::Lost,
            Mutant::Liar => Broken::Lied,
            Mutant::Buried => Broken::Overlap,
            Mutant::Overtaken => Broken::Inversion,
            Mutant::Unguarded => Broken::Landed,
            Mutant::Unexpecting => Broken::Version,
            Mutant::Silent => Broken::Unanswered,
            Mutant::Unseeded => Broken::Differs,
        }
    }
}
