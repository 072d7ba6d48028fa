//! The rules of the protocol that can be broken, one at a time, to see that a promise depends on each.

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// None: the protocol as it is meant.
    None,
    /// An acquirer does not look whether the lock is held.
    TakeWhatIsHeld,
    /// A grant's token is the newest number, not a new one.
    TokenFromMaxPlusNothing,
    /// The counter goes with the row of the dead process that had written it last.
    CounterDiesWithItsRow,
    /// A guarded write does not compare its token.
    NoTokenCheck,
    /// A lease ends a time to live after its grant, whatever its process says meanwhile.
    BeatsDoNotCount,
    /// A process that comes back beats first, and frees then.
    BeatBeforeFreeing,
    /// Time ends no lease.
    NoExpiry,
    /// A grant that its process has not taken up lasts as long as one that it has.
    TakeUpHasNoLimit,
    /// The newest ticket is granted, not the oldest.
    GrantByNewestTicket,
    /// An acquirer takes a void lock though somebody waits for it.
    LateComerTakesTheVoid,
    /// Whoever releases frees the lock and leaves the rest to others.
    FreeWithoutPassingOn,
    /// A dead process is known by its silence alone.
    DeadOnlyByTtl,
    /// The turn is not freed by the death of its holder.
    TurnOutlivesItsHolder,
    /// A death is no news.
    DeathIsNoNews,
    /// A waiter that settles and finds the lock given to another takes that for the end of it, so that nobody in its
    /// process sees when the new holder's lease ends. The code looks again after every settling.
    SettlingIsNoNews,
    /// Whoever settles in vain, because the transaction fails, does not try again.
    FailureIsForgotten,
    /// After a commit of unknown fate a process looks once whether it holds the lock, not whether it waits for it.
    DoubtLooksOnce,
    /// A process that starts reads the time first, and waits for the turn then: it grants leases that are over. The code
    /// asks the clock when nobody else can write any more (`Backend::join`).
    TimeBeforeTheTurn,
    /// A waiter whose ticket was granted and lost again while its process was stopped goes on waiting under it, though it
    /// is in no line any more. The code lines up anew whoever's ticket is older than the first one in the line.
    VoidTicketWaitsOn,
}

impl Mutant {
    /// All that break something.
    pub const ALL: [Mutant; 19] = [
        Mutant::TakeWhatIsHeld,
        Mutant::TokenFromMaxPlusNothing,
        Mutant::CounterDiesWithItsRow,
        Mutant::NoTokenCheck,
        Mutant::BeatsDoNotCount,
        Mutant::BeatBeforeFreeing,
        Mutant::NoExpiry,
        Mutant::TakeUpHasNoLimit,
        Mutant::GrantByNewestTicket,
        Mutant::LateComerTakesTheVoid,
        Mutant::FreeWithoutPassingOn,
        Mutant::DeadOnlyByTtl,
        Mutant::TurnOutlivesItsHolder,
        Mutant::DeathIsNoNews,
        Mutant::SettlingIsNoNews,
        Mutant::FailureIsForgotten,
        Mutant::DoubtLooksOnce,
        Mutant::TimeBeforeTheTurn,
        Mutant::VoidTicketWaitsOn,
    ];

    /// By its name in the code.
    #[must_use]
    pub fn named(name: &str) -> Option<Mutant> {
        [Mutant::None].into_iter().chain(Mutant::ALL).find(|mutant| format!("{mutant:?}") == name)
    }
}
