//! A process whose tasks give commands, one after the other each, and say what they were told.

use std::path::Path;
use std::time::Duration;

use futures_executor::block_on;
use futures_util::future::try_join_all;
use millpond::{CommandError, Committed, Error, Event, Execute, Expected, Store};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::account::{Account, Command, Id, LETTERS, What};
use super::evidence::{Answer, Placed, Told};
use super::spec::Deed;
use crate::Result;
use crate::clock::stamp;
use crate::crew::say;

/// Nobody has the writers' turn for so long, unless the machine stands still.
const CALL: Duration = Duration::from_secs(60);

/// Of so many deeds whose commands have ids one gives each of them twice.
const AGAIN: u64 = 4;

/// What the accounts' streams begin with.
pub(super) const STREAMS: &str = "account-";

/// What a child is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    pub(super) seed: u64,
    pub(super) accounts: u64,
    /// The first of its tasks.
    pub(super) who: u64,
    /// The next deed of each of its tasks.
    pub(super) next: Vec<u64>,
    /// The deed before which they end.
    pub(super) end: u64,
    /// Batches rest on what was seen a moment before, and do not say so.
    pub(super) careless: bool,
    /// Commands are given again without the ids that they should have.
    pub(super) nameless: bool,
}

impl std::str::FromStr for Orders {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> std::result::Result<Orders, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// One line of a child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// A command has come to its end.
    Told(Told),
    /// All have; it was so often that a command was given again because it was overtaken too often, and so many groups
    /// were committed.
    Closed { overtaken: u64, groups: u64 },
    /// Something that should not.
    Failed(String),
}

/// Opens the store and carries out its orders.
///
/// # Errors
/// If nobody listens.
pub fn live(file: &Path, orders: &Orders) -> Result<()> {
    let said = match block_on(work(file, orders)) {
        Ok(closed) => closed,
        Err(error) => Said::Failed(error.to_string()),
    };
    tell(&said)
}

fn tell(said: &Said) -> Result<()> {
    say(&serde_json::to_string(said)?)
}

async fn work(file: &Path, orders: &Orders) -> Result<Said> {
    let store = Store::builder().call_timeout(CALL).open(file).await?;
    let tasks = (orders.who..).zip(&orders.next).map(|(who, next)| {
        let task = Task { store: &store, orders, who };
        async move { task.live(*next).await }
    });
    let overtaken = try_join_all(tasks).await?.into_iter().sum();
    let groups = store.inspect().writer().groups;
    store.close().await?;
    Ok(Said::Closed { overtaken, groups })
}

/// One of those who give commands.
struct Task<'a> {
    store: &'a Store,
    orders: &'a Orders,
    who: u64,
}

impl Task<'_> {
    /// One deed after the other; how often it was overtaken.
    async fn live(&self, next: u64) -> Result<u64> {
        let mut overtaken = 0;
        for number in next..self.orders.end {
            let id = (self.who, number);
            let mut called = stamp()?;
            let mut tell = |step, (answer, repeated): (&Answer, bool)| {
                let (answer, returned) = (answer.clone(), stamp()?);
                let told = Told { id, step, answer, repeated, called, returned };
                called = returned;
                tell(&Said::Told(told))
            };
            let deed = Deed::of(self.orders.seed, self.orders.accounts, id);
            let commands = match deed {
                Deed::One(account, what) => vec![(account, what)],
                Deed::Pair { from, to, cents } => {
                    vec![(from, What::Withdraw { cents }), (to, What::Deposit { cents, parts: 1 })]
                }
                Deed::Batch { from, to, cents } => {
                    tell(0, (&self.transfer(id, from, to, cents, &mut overtaken).await?, false))?;
                    continue;
                }
                Deed::Look(account) => {
                    let seen = Answer::Saw(account, self.look(account, &mut overtaken).await?);
                    tell(0, (&seen, false))?;
                    continue;
                }
            };
            for (step, (account, what)) in (0..).zip(commands) {
                let times = if deed.has_ids(id) && number.is_multiple_of(AGAIN) { 2 } else { 1 };
                let mut is_done = false;
                for _ in 0..times {
                    let how = self.how(deed, id, step);
                    let (answer, repeated) =
                        self.give(account, Command { id, what }, how, &mut overtaken).await?;
                    tell(step, (&answer, repeated))?;
                    is_done = matches!(answer, Answer::Done(_));
                    if !is_done {
                        break;
                    }
                }
                if !is_done {
                    break;
                }
            }
        }
        Ok(overtaken)
    }

    /// What is said about a command of a deed: its id, if it has one.
    fn how(&self, deed: Deed, id: Id, step: u64) -> Execute {
        let ((who, number), how) = (id, Execute::new());
        let command = u128::from(who + 1) << 96 | u128::from(number) << 16 | u128::from(step);
        if deed.has_ids(id) && !self.orders.nameless { how.id(Uuid::from_u128(command)) } else { how }
    }

    /// Looks at an account until that is not overtaken.
    async fn look(&self, account: u64, overtaken: &mut u64) -> Result<Account> {
        let entity = self.store.aggregate::<Account>(account.to_string());
        loop {
            match entity.state().await {
                Err(Error::Conflict { .. }) => *overtaken += 1,
                seen => return Ok(seen?),
            }
        }
    }

    /// Gives a command until it is not overtaken. Also whether it had been carried out before.
    async fn give(
        &self,
        account: u64,
        command: Command,
        how: Execute,
        overtaken: &mut u64,
    ) -> Result<(Answer, bool)> {
        let entity = self.store.aggregate::<Account>(account.to_string());
        loop {
            return match entity.execute_with(command, how.clone()).await {
                Ok(done) => {
                    let Committed { version, position, events, repeated, .. } = done;
                    Ok((Answer::Done(vec![Placed { account, version, position, events }]), repeated))
                }
                Err(CommandError::Rejected(rejection)) => Ok((Answer::Rejected(account, rejection.0), false)),
                Err(CommandError::Failed(Error::Panicked { .. })) => Ok((Answer::Fell, false)),
                // Nothing was written.
                Err(CommandError::Failed(Error::Conflict { .. })) => {
                    *overtaken += 1;
                    continue;
                }
                Err(other) => Err(other.to_string().into()),
            };
        }
    }

    /// Two appends that rest on what was seen before, until both do; and a letter about it.
    async fn transfer(&self, id: Id, from: u64, to: u64, cents: u64, overtaken: &mut u64) -> Result<Answer> {
        loop {
            let (giver, taker) = (self.look(from, overtaken).await?, self.look(to, overtaken).await?);
            let gone = match giver.withdraw(id, cents) {
                Ok(gone) => gone,
                Err(rejection) => return Ok(Answer::Rejected(from, rejection.0)),
            };
            let mut batch = self.store.batch();
            let mut slots = Vec::new();
            for (account, seen, event) in [(from, giver, gone), (to, taker, taker.deposit(id, cents))] {
                let careful = Expected::Version(seen.version);
                let expected = if self.orders.careless { Expected::Any } else { careful };
                let content = Event::new(event.name(), event.entry())?;
                slots.push((
                    account,
                    event,
                    batch.append(format!("{STREAMS}{account}"), expected, [content])?,
                ));
            }
            batch.push(&self.store.queue(LETTERS), &id)?;
            batch.publish(&self.store.channel(LETTERS), &id)?;
            match batch.commit().await {
                Ok(written) => {
                    let mut placed = Vec::new();
                    for (account, event, slot) in slots {
                        let appended = written.get(slot).ok_or("an append was not answered")?;
                        let (version, position) = (appended.version, Some(appended.position));
                        placed.push(Placed { account, version, position, events: vec![event] });
                    }
                    return Ok(Answer::Done(placed));
                }
                Err(Error::Conflict { .. }) => *overtaken += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
