//! What a client does to one name, what it is told, and how both are said by a child.

use millpond::blocking::{LockGuard, Store};
use millpond::{CommandError, Error, Event, Expected};
use serde::{Deserialize, Serialize};

use super::till::{Command, Till};
use crate::Result;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Append an event with this content, which nobody else appends.
    Append(u64, Want),
    /// Read the stream.
    Read,
    /// Take the lock if it is free.
    TryAcquire,
    /// Wait for the lock.
    Acquire,
    /// Give the lock back that this token stands for.
    Release(u64),
    /// Have the till hold this number.
    Set(u64),
    /// Have it hold the second if it holds the first.
    Swap(u64, u64),
    /// A command that leads to nothing but a refusal that tells the number.
    Ask,
    /// Look at the state.
    Look,
    /// Nobody's wish: the process is killed, which may give back its lock at any time from now on.
    Die,
}

/// What is expected of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Want {
    /// As [`Expected::Any`].
    Any,
    /// As [`Expected::NoStream`].
    NoStream,
    /// As [`Expected::Exists`].
    Exists,
    /// As [`Expected::Version`].
    Version(u64),
}

impl Want {
    fn expected(self) -> Expected {
        match self {
            Want::Any => Expected::Any,
            Want::NoStream => Expected::NoStream,
            Want::Exists => Expected::Exists,
            Want::Version(version) => Expected::Version(version),
        }
    }
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Appended: version and position.
    Appended(u64, u64),
    /// The stream has another version: this one.
    Conflict(u64),
    /// What was appended, in order.
    Contents(Vec<u64>),
    /// The lock is held under this token.
    Granted(u64),
    /// Somebody has it.
    Held,
    /// It was given back.
    Released,
    /// It had not been held any more.
    Lost,
    /// The till has this version now.
    Done(u64),
    /// The till holds this number.
    Value(u64),
}

/// One line of a child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// It has the store open.
    Open,
    /// A lane is about to ask, at this stamp, for its operation of this number on this name.
    Calls { lane: u64, number: u64, name: u64, at: u64, call: Call },
    /// It was answered, at this stamp.
    Returns { lane: u64, number: u64, at: u64, answer: Answer },
    /// The round is over.
    Done,
    /// Something that should not.
    Failed(String),
}

/// Asks the store. A guard that is granted goes into `held`, and is taken out of it to be given back.
pub(super) fn perform(
    store: &Store,
    name: &str,
    call: &Call,
    held: &mut Option<LockGuard>,
) -> Result<Answer> {
    let granted = |guard: LockGuard, held: &mut Option<LockGuard>| {
        let token = guard.token();
        *held = Some(guard);
        Answer::Granted(token)
    };
    Ok(match call {
        Call::Append(content, want) => {
            let event = Event::from_json("Appended", content.to_string())?;
            match store.events().append(name, want.expected(), [event]) {
                Ok(done) => Answer::Appended(done.version, done.position),
                Err(Error::Conflict { actual, .. }) => Answer::Conflict(actual),
                Err(other) => return Err(other.into()),
            }
        }
        Call::Read => {
            let mut contents = Vec::new();
            for event in store.events().read_stream(name) {
                contents.push(event?.json().unwrap_or_default().parse()?);
            }
            Answer::Contents(contents)
        }
        Call::TryAcquire => match store.lock(name).try_acquire()? {
            Some(guard) => granted(guard, held),
            None => Answer::Held,
        },
        Call::Acquire => granted(store.lock(name).acquire()?, held),
        Call::Release(_) => match held.take().ok_or("nothing is held")?.release() {
            Ok(()) => Answer::Released,
            Err(Error::Lost { .. }) => Answer::Lost,
            Err(other) => return Err(other.into()),
        },
        Call::Set(number) => command(store, name, Command::Set(*number))?,
        Call::Swap(from, to) => command(store, name, Command::Swap(*from, *to))?,
        Call::Ask => command(store, name, Command::Ask)?,
        Call::Look => Answer::Value(store.aggregate::<Till>(name).state()?.number),
        Call::Die => return Err("nobody asks for that".into()),
    })
}

fn command(store: &Store, name: &str, command: Command) -> Result<Answer> {
    match store.aggregate::<Till>(name).execute(command) {
        Ok(done) => Ok(Answer::Done(done.version)),
        Err(CommandError::Rejected(rejection)) => Ok(Answer::Value(rejection.number)),
        Err(CommandError::Failed(error)) => Err(error.into()),
        Err(other) => Err(format!("{other:?}").into()),
    }
}
