//! What was promised against what is in the file: the invariants, each with what was found.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use millpond::blocking::Store;
use millpond::{Aggregate as _, Recorded};

use super::bank::{Account, Entry, Happened, LEDGER};
use super::crew::{Paper, Promise};
use super::paper;
use crate::failure::Done;
use crate::show::{count, grouped};

/// A dead holder's lock must be in other hands after this time. Its lease would have lasted a minute.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(5);

/// An invariant and how it fared.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) what: &'static str,
    pub(super) figure: String,
    pub(super) holds: bool,
}

/// What the tour knows, besides the file.
pub(super) struct Known {
    pub(super) promises: Vec<Promise>,
    pub(super) failures: Vec<String>,
    /// How long after the kill the next one held the lock.
    pub(super) taken_over: Option<Duration>,
    pub(super) kills: u64,
    /// What was said of the queue, the log and the channel.
    pub(super) paper: Paper,
    /// What each process heard on the channel.
    pub(super) heard: Vec<Vec<u64>>,
    /// Tellers in a process: so many transfers a kill can cut in two.
    pub(super) tellers: u64,
}

/// Reads everything back and judges it.
pub(super) fn audit(store: &Store, known: &Known) -> Done<Vec<Finding>> {
    let mut books = Books::default();
    for event in store.events().read_all() {
        books.read(&event?)?;
    }
    let summary = store.inspect().summary()?;
    let mut findings = vec![
        known.no_failures(),
        known.all_there(&books),
        books.dense(summary.head),
        books.balances(store)?,
        books.transfers(known.kills * known.tellers),
        books.one_holder(known.kills),
        known.lock_taken_over(),
    ];
    findings.extend(paper::audit(store, &known.paper, &known.heard, known.kills)?);
    findings.push(Finding {
        what: "the file opens again, every checksum is right",
        figure: count(summary.events, "event read", "events read"),
        holds: summary.events == books.places.len() as u64,
    });
    Ok(findings)
}

impl Known {
    fn no_failures(&self) -> Finding {
        let first = self.failures.first().cloned();
        Finding {
            what: "no process met an error",
            figure: first.unwrap_or_else(|| format!("{} killed, none failed", self.kills)),
            holds: self.failures.is_empty(),
        }
    }

    fn all_there(&self, books: &Books) -> Finding {
        let there = |promise: &&Promise| {
            books
                .places
                .get(&promise.position)
                .is_some_and(|(stream, version)| *stream == promise.stream && *version == promise.version)
        };
        let (found, all) = (self.promises.iter().filter(there).count(), self.promises.len());
        Finding {
            what: "every acknowledged event is there",
            figure: format!("{} of {}", grouped(found as u64), grouped(all as u64)),
            holds: found == all && all > 0,
        }
    }

    fn lock_taken_over(&self) -> Finding {
        Finding {
            what: "a killed holder's lock is passed on at once",
            figure: self.taken_over.map_or_else(
                || "nobody took it over".to_owned(),
                |time| format!("after {:.1} ms", time.as_secs_f64() * 1_000.0),
            ),
            holds: self.taken_over.is_some_and(|time| time < TAKEN_OVER_WITHIN),
        }
    }
}

/// What the events say, replayed by other means than the aggregate's own.
#[derive(Default)]
struct Books {
    /// Stream and version by position.
    places: HashMap<u64, (String, u64)>,
    versions: HashMap<String, u64>,
    gaps: u64,
    last_position: u64,
    balances: BTreeMap<String, i128>,
    overdrawn: u64,
    transfers: HashMap<u64, Transfer>,
    /// Type and token of the ledger's entries, in order.
    ledger: Vec<(String, u64)>,
}

#[derive(Default)]
struct Transfer {
    sent: u64,
    received: u64,
    /// Cents sent less cents received.
    left: i128,
}

impl Books {
    fn read(&mut self, event: &Recorded) -> Done<()> {
        let (stream, version, position) = (event.stream().to_owned(), event.version(), event.position());
        let last = self.versions.insert(stream.clone(), version).unwrap_or(0);
        self.gaps += u64::from(version != last + 1) + u64::from(position != self.last_position + 1);
        self.last_position = position;
        if stream == LEDGER {
            let entry: Entry = event.decode()?;
            self.ledger.push((event.event_type().to_owned(), entry.token));
        } else {
            self.book(&stream, &event.decode_event()?);
        }
        self.places.insert(position, (stream, version));
        Ok(())
    }

    fn book(&mut self, stream: &str, happened: &Happened) {
        let change = match *happened {
            Happened::Deposited { cents } => i128::from(cents),
            Happened::Withdrawn { cents } => -i128::from(cents),
            Happened::Sent { cents, transfer } => {
                let transfer = self.transfers.entry(transfer).or_default();
                transfer.sent += 1;
                transfer.left += i128::from(cents);
                -i128::from(cents)
            }
            Happened::Received { cents, transfer } => {
                let transfer = self.transfers.entry(transfer).or_default();
                transfer.received += 1;
                transfer.left -= i128::from(cents);
                i128::from(cents)
            }
        };
        let balance = self.balances.entry(stream.to_owned()).or_insert(0);
        *balance += change;
        self.overdrawn += u64::from(*balance < 0);
    }

    fn dense(&self, head: u64) -> Finding {
        let streams = count(self.versions.len() as u64, "stream", "streams");
        Finding {
            what: "versions and positions have no gaps",
            figure: format!("{streams}, the last position is {}", grouped(head)),
            holds: self.gaps == 0 && head == self.last_position,
        }
    }

    fn balances(&self, store: &Store) -> Done<Finding> {
        let mut equal = 0;
        for (stream, balance) in &self.balances {
            let id = stream.strip_prefix(Account::KIND).and_then(|id| id.strip_prefix('-')).unwrap_or(stream);
            let state = store.aggregate::<Account>(id).state()?;
            equal += u64::from(i128::from(state.cents) == *balance);
        }
        let all = self.balances.len() as u64;
        Ok(Finding {
            what: "balances are what the events say, none below zero",
            figure: format!("{} of {}", grouped(equal), count(all, "account", "accounts")),
            holds: equal == all && all > 0 && self.overdrawn == 0,
        })
    }

    /// A transfer is two commits; the kill may have come in between, and only then is one half missing.
    fn transfers(&self, may_be_cut: u64) -> Finding {
        let whole = |transfer: &&Transfer| (transfer.sent, transfer.received, transfer.left) == (1, 1, 0);
        let cut = |transfer: &&Transfer| (transfer.sent, transfer.received) == (1, 0);
        let all = self.transfers.len();
        let whole = self.transfers.values().filter(whole).count();
        let cut = self.transfers.values().filter(cut).count();
        Finding {
            what: "no transfer arrived twice, or was never sent",
            figure: format!("{} whole, {cut} cut by the kill", grouped(whole as u64)),
            holds: whole + cut == all && cut as u64 <= may_be_cut,
        }
    }

    fn one_holder(&self, kills: u64) -> Finding {
        let turns = Turns::of(&self.ledger);
        Finding {
            what: "the ledger's lock never had two holders",
            figure: format!("{}, {} cut by the kill", count(turns.begun, "turn", "turns"), turns.cut),
            holds: turns.mixed == 0 && turns.cut <= kills && turns.begun > 0,
        }
    }
}

/// The ledger as turns.
#[derive(Debug, Default, PartialEq, Eq)]
struct Turns {
    begun: u64,
    /// Begun and not ended.
    cut: u64,
    /// Entries that stand in somebody else's turn, or after it with an older token.
    mixed: u64,
}

impl Turns {
    fn of(ledger: &[(String, u64)]) -> Turns {
        let (mut turns, mut open, mut newest) = (Turns::default(), None, 0);
        for (what, token) in ledger {
            match what.as_str() {
                "Started" => {
                    turns.begun += 1;
                    turns.cut += u64::from(open.is_some());
                    turns.mixed += u64::from(*token <= newest);
                    (open, newest) = (Some(*token), *token);
                }
                _ if open != Some(*token) => turns.mixed += 1,
                "Ended" => open = None,
                _ => {}
            }
        }
        turns.cut += u64::from(open.is_some());
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(entries: &[(&str, u64)]) -> Turns {
        Turns::of(&entries.iter().map(|(what, token)| ((*what).to_owned(), *token)).collect::<Vec<_>>())
    }

    #[test]
    fn a_turn_that_is_cut_is_told_from_one_that_is_mixed() {
        let good = [("Started", 1), ("Noted", 1), ("Ended", 1), ("Started", 4), ("Ended", 4)];
        assert_eq!(turns(&good), Turns { begun: 2, cut: 0, mixed: 0 });
        let cut = [("Started", 1), ("Noted", 1), ("Started", 2), ("Ended", 2)];
        assert_eq!(turns(&cut), Turns { begun: 2, cut: 1, mixed: 0 });
        let late = [("Started", 1), ("Started", 2), ("Noted", 1), ("Ended", 2)];
        assert_eq!(turns(&late), Turns { begun: 2, cut: 1, mixed: 1 });
        let older = [("Started", 2), ("Ended", 2), ("Started", 1), ("Ended", 1)];
        assert_eq!(turns(&older), Turns { begun: 2, cut: 0, mixed: 1 });
    }
}
