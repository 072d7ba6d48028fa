//! One thing that a caller does, and what it then knows.

use millpond::{CommandError, Error, Event, Expected, Store};

use super::tally::{Happened, Tally};
use super::told::{NO_ID, Told, Word, answer};
use crate::kill::child::{Call, ENTER, LEAVE, LEDGER, TALLIES, ledger_id};
use crate::kill::{Acked, Found};
use crate::random::Random;

/// Events that a reader looks at.
const TAIL: u64 = 12;

/// One thing that a caller does.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// Appends or imports events, each with so many bytes besides its content.
    Call(Call, usize),
    /// Has an aggregate count.
    Count { tally: u64, who: u64, number: u64 },
    /// Reads the last events.
    Read,
    /// Takes the lock, says so in the ledger under its guard, gives it back.
    Turn { who: u64, number: u64 },
}

impl Deed {
    /// One by chance.
    pub(super) fn draw(who: u64, number: u64, random: &mut Random) -> Deed {
        match random.below(8) {
            0 => Deed::Turn { who, number },
            1 | 2 => Deed::Count { tally: random.below(2), who, number },
            _ => Deed::Call(Call { who, number }, 0),
        }
    }

    /// An append, or an import.
    pub(super) fn append(who: u64, number: u64, pad: usize) -> Deed {
        Deed::Call(Call { who, number }, pad)
    }

    /// A read.
    pub(super) fn read() -> Deed {
        Deed::Read
    }

    pub(super) async fn perform(&self, store: &Store, told: &Told) {
        match self {
            Deed::Call(call, pad) => perform_call(call, *pad, store, told).await,
            Deed::Count { tally, who, number } => {
                let command = Happened::Counted { who: *who, number: *number };
                let event = Acked {
                    id: NO_ID,
                    stream: format!("{TALLIES}{tally}"),
                    content: format!(r#"{{"who":{who},"number":{number}}}"#),
                    place: None,
                };
                let done = store.aggregate::<Tally>(tally.to_string()).execute(command).await;
                let done = match done {
                    Ok(done) => Ok(done.position.map(|position| (done.version, position))),
                    Err(CommandError::Failed(error)) => Err(error),
                    // It rejects nothing.
                    Err(other) => {
                        Err(Error::InvalidArgument { what: "a tally".into(), reason: other.to_string() })
                    }
                };
                told.say(answer(vec![event], done));
            }
            Deed::Read => match perform_read(store).await {
                Ok(seen) => told.say([Word::Saw(seen)]),
                Err(error) => told.say([Word::Failed(error)]),
            },
            Deed::Turn { who, number } => {
                if let Err(error) = perform_turn(*who, *number, store, told).await {
                    told.say([Word::Failed(error)]);
                }
            }
        }
    }
}

async fn perform_call(call: &Call, pad: usize, store: &Store, told: &Told) {
    let parts = 0..call.events();
    let padded = |event: Event| match pad {
        0 => event,
        bytes => event.metadata(format!("{:?}", "x".repeat(bytes))),
    };
    let event = |part| Some((call.stream(part), padded(call.event(part).ok()?)));
    let events: Vec<(String, Event)> = parts.clone().filter_map(event).collect();
    let acked = parts.map(|part| Acked {
        id: call.id(part),
        stream: call.stream(part),
        content: call.content(part),
        place: None,
    });
    let done = if call.imports() {
        store.events().import(events).await.map(|_| None)
    } else {
        let events: Vec<Event> = events.into_iter().map(|(_, event)| event).collect();
        let done = store.events().append(call.stream(0), Expected::Any, events).await;
        done.map(|done| Some((done.version, done.position)))
    };
    told.say(answer(acked.collect(), done));
}

async fn perform_read(store: &Store) -> Result<Vec<Found>, Error> {
    let mut events = store.events().read_all().backward().limit(TAIL);
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        seen.push(Found::from(&event?));
    }
    Ok(seen)
}

async fn perform_turn(who: u64, number: u64, store: &Store, told: &Told) -> Result<(), Error> {
    let guard = store.lock("till").acquire().await?;
    let token = guard.token();
    told.say([Word::Granted(token)]);
    let events = store.events().guarded_by(&guard);
    for (part, kind) in [(0, ENTER), (1, LEAVE)] {
        let content = format!(r#"{{"who":{who},"number":{number},"token":{token}}}"#);
        let id = ledger_id(token, part);
        let event = Event::from_json(kind, content.clone())?.id(id);
        let done = events.append(LEDGER, Expected::Any, [event]).await;
        let place = done.map(|done| Some((done.version, done.position)));
        let failed = place.is_err();
        let acked = Acked { id, stream: LEDGER.to_owned(), content, place: None };
        told.say(answer(vec![acked], place));
        if failed {
            break;
        }
    }
    guard.release().await
}
