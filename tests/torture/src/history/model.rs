//! What one name does when it is asked one thing after another: the sequential specification.

use super::deed::{Answer, Call, Want};

/// The state of one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// What was appended.
    Stream(Vec<u64>),
    /// Who holds the lock, and the largest token that is known.
    Lock(Option<Holder>, u64),
    /// What the till holds, and its version.
    Till(u64, u64),
}

/// Who holds a lock. Of one that was killed before it was answered nobody knows the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    process: u64,
    token: Option<u64>,
}

impl State {
    /// Before anything was asked of a name; `None` for a call that says nothing of what the name is.
    #[must_use]
    pub fn before(call: &Call) -> Option<State> {
        match call {
            Call::Append(..) | Call::Read => Some(State::Stream(Vec::new())),
            Call::TryAcquire | Call::Acquire | Call::Release(_) => Some(State::Lock(None, 0)),
            Call::Set(_) | Call::Swap(..) | Call::Ask | Call::Look => Some(State::Till(0, 0)),
            Call::Die => None,
        }
    }

    /// The state after a call of `process`, if it can have been answered so in this state. A call without an answer
    /// can have been answered in any way.
    #[must_use]
    pub fn after(&self, process: u64, call: &Call, answer: Option<&Answer>) -> Option<State> {
        match self {
            State::Stream(contents) => stream(contents, call, answer).map(State::Stream),
            State::Lock(holder, last) => {
                lock(*holder, *last, process, call, answer).map(|(holder, last)| State::Lock(holder, last))
            }
            State::Till(number, version) => {
                till(*number, *version, call, answer).map(|(number, version)| State::Till(number, version))
            }
        }
    }
}

fn stream(contents: &[u64], call: &Call, answer: Option<&Answer>) -> Option<Vec<u64>> {
    let version = contents.len() as u64;
    match call {
        Call::Append(content, want) => {
            let fits = match want {
                Want::Any => true,
                Want::NoStream => version == 0,
                Want::Exists => version > 0,
                Want::Version(wanted) => version == *wanted,
            };
            let told = match answer {
                Some(Answer::Appended(told, _)) => fits && *told == version + 1,
                Some(Answer::Conflict(told)) => !fits && *told == version,
                Some(_) => false,
                None => true,
            };
            let new = fits.then_some(*content);
            told.then(|| contents.iter().copied().chain(new).collect())
        }
        Call::Read => {
            let told = answer.is_none_or(|told| matches!(told, Answer::Contents(told) if told == contents));
            told.then(|| contents.to_vec())
        }
        _ => None,
    }
}

fn lock(
    holder: Option<Holder>,
    last: u64,
    process: u64,
    call: &Call,
    answer: Option<&Answer>,
) -> Option<(Option<Holder>, u64)> {
    let is_his = |token: u64| holder.is_some_and(|holder| holder.token == Some(token));
    match (call, answer) {
        (Call::Acquire | Call::TryAcquire, Some(Answer::Granted(token))) => {
            let taken = Holder { process, token: Some(*token) };
            (holder.is_none() && *token > last).then_some((Some(taken), *token))
        }
        (Call::TryAcquire, Some(Answer::Held)) => holder.is_some().then_some((holder, last)),
        (Call::Acquire | Call::TryAcquire, None) => {
            Some((holder.or(Some(Holder { process, token: None })), last))
        }
        (Call::Release(token), Some(Answer::Released)) => is_his(*token).then_some((None, last)),
        (Call::Release(token), Some(Answer::Lost)) => (!is_his(*token)).then_some((holder, last)),
        (Call::Release(token), None) => Some((holder.filter(|_| !is_his(*token)), last)),
        (Call::Die, _) => Some((holder.filter(|holder| holder.process != process), last)),
        _ => None,
    }
}

fn till(number: u64, version: u64, call: &Call, answer: Option<&Answer>) -> Option<(u64, u64)> {
    let new = match call {
        Call::Set(new) => Some(*new),
        Call::Swap(from, to) => (*from == number).then_some(*to),
        Call::Ask | Call::Look => None,
        _ => return None,
    };
    let after = new.map_or((number, version), |new| (new, version + 1));
    let told = match answer {
        Some(Answer::Done(told)) => new.is_some() && *told == after.1,
        Some(Answer::Value(told)) => new.is_none() && *told == number,
        Some(_) => false,
        None => true,
    };
    told.then_some(after)
}
