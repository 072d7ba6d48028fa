//! Commands of accounts, and looks at them, and what their callers have to say of the answers.

use millpond::{CommandError, Error, Execute, WriteOutcome};
use uuid::Uuid;

use super::account::{Account, Command, Happened, TooLittle};
use super::caller::{LIMIT, Lane};
use super::judge::Broken;
use super::mutant::Mutant;

/// Accounts.
const ACCOUNTS: u64 = 3;

impl Lane {
    pub(super) async fn command(&self) {
        let id = self.below(ACCOUNTS).to_string();
        let stream = format!("account-{id}");
        let n = self.ground.state().number();
        let before = self.ground.state().truth.version(&stream);
        let cents = 1 + self.below(40);
        let (command, what) = match self.below(12) {
            0 => (Command::Panic, "panic"),
            1..=6 => (Command::Deposit { n, cents: cents / 2 + 1 }, "deposit"),
            _ => (Command::Withdraw { n, cents }, "withdraw"),
        };
        // Every second one has an id, and may be sent again as often as it takes, and once more.
        let (has_id, mut done) = (n.is_multiple_of(2), None);
        for attempt in 0..if has_id { 3 } else { 1 } {
            let nameless = attempt > 0 && self.ground.state().mutant == Some(Mutant::Nameless);
            let how = Execute::new();
            let how = if has_id && !nameless { how.id(Uuid::from_u64_pair(2, n)) } else { how };
            let mut call = self.call(what, LIMIT);
            match self.store.aggregate::<Account>(&id).execute_with(command.clone(), how).await {
                Ok(committed) => {
                    call.answered(format_args!("{committed:?}"));
                    let numbers: Vec<u64> = committed.events.iter().map(number).collect();
                    let last = (committed.position.unwrap_or_default(), committed.version);
                    self.are_there(&stream, &numbers, last);
                    let mut state = self.ground.state();
                    if numbers != [n] {
                        state.complain(Broken::Failed, format!("{n} led to {numbers:?}"));
                    }
                    let first = done.replace(last);
                    let is_so = match first {
                        Some(first) => first == last && committed.repeated,
                        None => attempt > 0 || !committed.repeated,
                    };
                    if !is_so {
                        state.complain(Broken::Twice, format!("{n} after {first:?}: {committed:?}"));
                    }
                    if first.is_some() || !n.is_multiple_of(4) {
                        return;
                    }
                }
                Err(CommandError::Rejected(TooLittle(state))) => {
                    call.answered(format_args!("{state:?} has too little"));
                    self.ground.state().figures.rejected += 1;
                    self.is_state(&stream, &state, before);
                    if state.balance >= cents {
                        self.ground.state().complain(Broken::State, format!("{state:?} has {cents}"));
                    }
                    if done.is_some() {
                        self.ground.state().complain(Broken::Twice, format!("{n} is decided anew"));
                    }
                    return;
                }
                Err(CommandError::Failed(error))
                    if what == "panic" && matches!(error, Error::Panicked { .. }) =>
                {
                    return call.answered(format_args!("{error}"));
                }
                Err(CommandError::Failed(error)) if has_id && error.outcome() == WriteOutcome::Unknown => {
                    self.failed(&mut call, &error, &[]);
                }
                // What is said of this attempt says nothing of the one before.
                Err(CommandError::Failed(error)) => {
                    let own = [n];
                    return self.failed(&mut call, &error, if attempt == 0 { &own } else { &[] });
                }
                Err(_) => return,
            }
        }
    }

    pub(super) async fn look(&self) {
        let id = self.below(ACCOUNTS).to_string();
        let stream = format!("account-{id}");
        let before = self.ground.state().truth.version(&stream);
        let mut call = self.call("state", LIMIT);
        match self.store.aggregate::<Account>(&id).state().await {
            Ok(state) => {
                call.answered(format_args!("{state:?}"));
                self.is_state(&stream, &state, before);
            }
            Err(error) => self.failed(&mut call, &error, &[]),
        }
    }

    /// A state is what its events make of it, and knows what was there `before`.
    fn is_state(&self, stream: &str, seen: &Account, before: u64) {
        let mut state = self.ground.state();
        if seen.count < before {
            state.complain(Broken::Stale, format!("{stream}: {seen:?} after version {before}"));
        }
        let rows = state.truth.stream(stream).take(seen.count as usize);
        let (count, balance) = rows.fold((0, 0_u64), |(count, balance), row| match row.event_type.as_str() {
            "Deposited" => (count + 1, balance + row.cents),
            _ => (count + 1, balance.saturating_sub(row.cents)),
        });
        if (count, balance) != (seen.count, seen.balance) {
            state.complain(
                Broken::State,
                format!("{stream}: {seen:?}, and its events make {count}, {balance}"),
            );
        }
    }
}

fn number(event: &Happened) -> u64 {
    match *event {
        Happened::Deposited { n, .. } | Happened::Withdrawn { n, .. } => n,
    }
}
