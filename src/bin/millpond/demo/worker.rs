//! A process of the tour: tellers, one bookkeeper, one clerk, one who listens, and a line on standard output for whatever was
//! promised.
//!
//! It works until its standard input ends, so it never outlives the process that started it.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};
use std::time::Duration;

use millpond::blocking::Store;
use millpond::{CommandError, Error, Event, Expected};

use super::bank::{
    Account, CLOSINGS, Do, Entry, LEDGER, NOTES, STATEMENTS, Statement, TooLittle, account_id,
};
use crate::args::DemoWorker;
use crate::failure::{Done, Failure, code};

/// How long the bookkeeper waits for the lock before it looks whether it is time to stop. Much longer than a turn takes on a machine
/// that has too much to do: if all of them gave up about when their turn has come, it would go round among those who have just left.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn work(path: &Path, args: &DemoWorker) -> Done<u8> {
    let store = Store::open(path)?;
    let stopped = AtomicBool::new(false);
    let listener = listen(&store)?;
    let done = std::thread::scope(|scope| {
        let (store, stopped) = (&store, &stopped);
        let mut workers = vec![
            start(scope, stopped, move || keep_books(store, stopped)),
            start(scope, stopped, move || write_statements(store, stopped)),
        ];
        for teller in 0..args.tellers {
            let seed = args.seed.wrapping_add(u64::from(teller) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            workers.push(start(scope, stopped, move || serve(store, stopped, args.accounts, Dice(seed))));
        }
        // Whatever comes in is not meant for us; that nothing more can come is what we wait for.
        let _ = io::copy(&mut io::stdin().lock().take(1 << 20), &mut io::sink());
        stopped.store(true, Ordering::Relaxed);
        workers.into_iter().try_for_each(|worker| {
            let panicked = |_| Failure::Failed("a worker panicked".into());
            worker.map_err(Failure::from)?.join().map_err(panicked)?
        })
    });
    // Which ends who listens, too.
    let closed = store.close();
    let listened = listener.join().map_err(|_| Failure::Failed("the listener panicked".into()))?;
    done?;
    closed?;
    listened?;
    Ok(code::DONE)
}

/// A thread that works; when it fails, the others need not go on.
fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    stopped: &'scope AtomicBool,
    body: impl FnOnce() -> Done<()> + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, Done<()>>> {
    Builder::new().spawn_scoped(scope, move || {
        let done = body();
        if let Err(Failure::Failed(why)) = &done {
            let _ = say(&format!("failed {why}"));
        }
        if done.is_err() {
            stopped.store(true, Ordering::Relaxed);
        }
        done
    })
}

/// Says a line to the process that started us. It is written whole, or, if we are killed in the middle, without
/// its end; then it counts as not said.
fn say(line: &str) -> io::Result<()> {
    io::stdout().lock().write_all(format!("{line}\n").as_bytes())
}

/// Takes turns at the ledger, under the lock.
fn keep_books(store: &Store, stopped: &AtomicBool) -> Done<()> {
    while !stopped.load(Ordering::Relaxed) {
        let Some(guard) = store.lock(LEDGER).acquire_within(PATIENCE)? else { continue };
        let token = guard.token();
        say(&format!("held {token}"))?;
        let events = store.events().guarded_by(&guard);
        let write = |what: &'static str| -> Done<()> {
            let placed = events.append(LEDGER, Expected::Any, [Event::new(what, &Entry { token })?])?;
            Ok(say(&format!("ok {LEDGER} {} {}", placed.version, placed.position))?)
        };
        write("Started")?;
        say(&format!("begun {token}"))?;
        for _ in 0..NOTES {
            write("Noted")?;
        }
        write("Ended")?;
        guard.release()?;
        let sequence = store.channel::<Entry>(CLOSINGS).publish(&Entry { token })?;
        say(&format!("published {sequence}"))?;
        let figures = store.inspect().writer();
        say(&format!("figures {} {}", figures.groups, figures.operations))?;
    }
    Ok(())
}

/// Writes the statements that are asked for, whoever of the processes has asked. One that is written and whose job is not done
/// is written again by the next clerk: only a kill can come in between.
fn write_statements(store: &Store, stopped: &AtomicBool) -> Done<()> {
    let (jobs, written) = (store.queue::<Statement>(STATEMENTS), store.log::<Statement>(STATEMENTS));
    while !stopped.load(Ordering::Relaxed) {
        let Some(job) = jobs.pop_within(PATIENCE)? else { continue };
        let (sequence, entry) = (job.sequence(), written.append(&job)?);
        say(&format!("written {entry}"))?;
        job.done()?;
        say(&format!("done {sequence}"))?;
    }
    Ok(())
}

/// Listens to the channel until the store is closed, and says what it hears.
fn listen(store: &Store) -> Done<JoinHandle<Done<()>>> {
    let heard = store.channel::<Entry>(CLOSINGS).subscribe()?;
    let listen = move || {
        for message in heard {
            match message {
                Ok(message) => say(&format!("heard {}", message.sequence()))?,
                Err(Error::Closed) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    };
    Ok(Builder::new().name("listener".into()).spawn(listen)?)
}

/// Serves customers: a deposit, a withdrawal or a transfer at a time.
fn serve(store: &Store, stopped: &AtomicBool, accounts: u32, mut dice: Dice) -> Done<()> {
    while !stopped.load(Ordering::Relaxed) {
        let cents = 1 + u64::from(dice.below(1_000));
        let account = dice.below(accounts);
        match dice.below(10) {
            0..3 => drop(execute(store, account, Do::Deposit(cents))?),
            3 => {
                if let Some(version) = execute(store, account, Do::Deposit(cents))? {
                    let statement = Statement { account: account_id(account), version };
                    let pushed = store.queue::<Statement>(STATEMENTS).push(&statement)?;
                    say(&format!("pushed {}", pushed.sequence))?;
                }
            }
            4..7 => drop(execute(store, account, Do::Withdraw(cents))?),
            _ => {
                let transfer = dice.next() >> 1;
                // Once it was sent it is received, also when it is time to stop. A kill may come in between.
                if execute(store, account, Do::Send { cents, transfer })?.is_some() {
                    execute(store, dice.below(accounts), Do::Receive { cents, transfer })?;
                }
            }
        }
    }
    Ok(())
}

/// The account's version if it took the command, which has been said then.
fn execute(store: &Store, account: u32, command: Do) -> Done<Option<u64>> {
    let id = account_id(account);
    match store.aggregate::<Account>(&id).execute(command) {
        Ok(committed) => {
            let position = committed.position.unwrap_or(0);
            say(&format!("ok account-{id} {} {position}", committed.version))?;
            Ok(Some(committed.version))
        }
        Err(CommandError::Rejected(TooLittle(..))) => Ok(None),
        Err(error) => Err(Failure::Failed(error.to_string())),
    }
}

/// Random enough for customers: xorshift64*.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from((self.next() >> 33) % u64::from(bound.max(1))).unwrap_or(0)
    }
}
