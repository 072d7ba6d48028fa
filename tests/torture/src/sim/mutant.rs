//! What is spoilt on purpose, and must be noticed.

use super::judge::Broken;

macro_rules! mutants {
    ($($(#[$doc:meta])+ $name:ident => $($broken:ident)|+,)+) => {
        /// A defect that the simulated storage, or the simulation itself, is given.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[$doc])+ $name,)+
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$name),+];

            /// What must be said of it: one of these.
            #[must_use]
            pub fn breaks(self) -> &'static [Broken] {
                match self {
                    $(Mutant::$name => &[$(Broken::$broken),+],)+
                }
            }
        }
    };
}

mutants! {
    /// A caller is answered, and the group is committed with the next one.
    Early => Lost,
    /// An append is said to be done, and its events are nowhere.
    Forgotten => Lost,
    /// A commit that took effect is said not to have.
    Liar => Lied,
    /// An append is done twice.
    Repeated => Twice,
    /// A command is sent again without its id.
    Nameless => Twice,
    /// An expected version is not looked at.
    Unexpecting => Version,
    /// The tokens of guarded appends are not looked at.
    Unguarded => Landed,
    /// A process that lives is taken for dead, and what it holds is passed on.
    Buried => Overlap,
    /// A grant's token is one that was given before.
    Recycled => Token,
    /// A ticket is moved out of its line, and those behind it are served.
    Overtaken => Inversion,
    /// A holder is told that it holds nothing.
    Refusing => Refused,
    /// A guard is never dropped, and nobody has it.
    Leaking => Leaked,
    /// Nobody hears of what other processes do, nor sees it.
    Deaf => Leaked | Stalled,
    /// A reader leaves out the last event.
    Cut => Stale,
    /// A reader gives an event another content.
    Forged => State,
    /// An operation fails with what somebody else's code has done.
    Hurting => Hurt,
    /// An operation fails for no reason.
    Vague => Failed,
    /// A caller is never asked again how far it is.
    Silent => Unanswered,
    /// Something is chosen that the seed does not decide.
    Unseeded => Differs,
}
