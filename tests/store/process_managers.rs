//! Process managers: states, commands and timeouts that come about once, whatever dies in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millpond::{
    Aggregate, CommandError, Decision, Error, Event, Execute, Expected, Failure, ProcessManager, Queue,
    Recorded, Result, Steps, Store, Task, Timeout,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::backends::until;

each_backend! {
    a3_states_and_commands_come_about_once_whatever_is_broken_off
    a_process_that_fails_is_where_it_was
    a_state_that_somebody_else_has_moved_is_read_again
    a_timeout_comes_once_and_not_before_its_time
    a_timeout_that_fails_is_tried_again
    a3_transfers_conserve_the_sum_whoever_dies
}

const LONG: Duration = Duration::from_secs(3_600);

/// Counts the events of each process, and says so by a job.
#[derive(Clone)]
struct Counting {
    commands: Queue<String>,
    fails: Arc<AtomicBool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Count {
    seen: u64,
}

impl ProcessManager for Counting {
    type State = Count;

    fn correlate(&self, event: &Recorded) -> Result<Option<String>, Failure> {
        Ok(event.stream().strip_prefix("order-").map(str::to_owned))
    }

    fn handle(&mut self, state: &mut Count, event: &Recorded, steps: &mut Steps<'_>) -> Result<(), Failure> {
        state.seen += 1;
        let order = steps.correlation();
        steps.push(&self.commands, &format!("{order} {}", state.seen))?;
        if event.event_type() == "Timed" {
            steps.timeout("late", Duration::from_millis(30))?;
            steps.timeout("late", LONG)?;
        }
        if event.event_type() == "Odd" && self.fails.load(Ordering::SeqCst) {
            return Err("it is odd".into());
        }
        Ok(())
    }

    fn timeout(
        &mut self,
        state: &mut Count,
        timeout: &Timeout,
        steps: &mut Steps<'_>,
    ) -> Result<(), Failure> {
        if self.fails.swap(false, Ordering::SeqCst) {
            return Err("not now".into());
        }
        state.seen += 100;
        steps.push(&self.commands, &format!("{} {} is {}", timeout.correlation, timeout.name, state.seen))?;
        Ok(())
    }
}

fn counting(store: &Store) -> Counting {
    Counting { commands: store.queue("commands"), fails: Arc::default() }
}

fn manager(store: &Store) -> millpond::Projector {
    store.projection("orders").projector(store.events().read_all())
}

async fn append(store: &Store, order: u64, kind: &'static str) -> Result<u64> {
    let event = Event::new(kind, &order)?;
    Ok(store.events().append(format!("order-{order}"), Expected::Any, [event]).await?.position)
}

/// The commands that were sent, taken out.
async fn commands(store: &Store) -> Result<Vec<String>> {
    let (queue, mut found) = (store.queue::<String>("commands"), Vec::new());
    while let Some(command) = queue.try_pop().await? {
        found.push(command.clone());
        command.done().await?;
    }
    Ok(found)
}

/// The state of a process, and its version.
async fn state(store: &Store, order: u64) -> Result<(Count, u64)> {
    let mut last = store.events().read_stream(format!("orders-{order}")).backward().limit(1);
    match last.next().await {
        Some(event) => event.and_then(|event| Ok((event.decode()?, event.version()))),
        None => Ok((Count::default(), 0)),
    }
}

async fn a3_states_and_commands_come_about_once_whatever_is_broken_off(store: Store) -> Result<()> {
    for n in 0..60 {
        append(&store, n % 3, "Placed").await?;
    }
    let projection = store.projection("orders");
    for round in 0..25 {
        let running = tokio::spawn(manager(&store).batch(2).manage(counting(&store)));
        let begun = projection.progress().await?.map_or(0, |progress| progress.handled);
        until(async || {
            let handled = projection.progress().await?.map_or(0, |progress| progress.handled);
            // Those that it writes itself are read too.
            Ok(handled > begun || handled == 120 || round % 3 == 0 || running.is_finished())
        })
        .await?;
        running.abort();
        let _ = running.await;
    }
    manager(&store).drain().manage(counting(&store)).await?;
    let mut sent = commands(&store).await?;
    sent.sort_by_key(|command| {
        command.split(' ').map(|part| part.parse::<u64>().unwrap()).collect::<Vec<_>>()
    });
    let expected: Vec<String> =
        (0..3).flat_map(|order| (1..=20).map(move |n| format!("{order} {n}"))).collect();
    assert_eq!(sent, expected);
    for order in 0..3 {
        assert_eq!(state(&store, order).await?, (Count { seen: 20 }, 20));
    }
    // Its history, and what has led to it.
    let mut history = store.events().read_stream("orders-1");
    let first = history.next().await.unwrap()?;
    let cause = store.events().find(first.causation().unwrap()).await?.unwrap();
    assert_eq!((cause.stream(), first.decode::<Count>()?), ("order-1", Count { seen: 1 }));
    Ok(())
}

async fn a_process_that_fails_is_where_it_was(store: Store) -> Result<()> {
    let counting = counting(&store);
    counting.fails.store(true, Ordering::SeqCst);
    append(&store, 1, "Placed").await?;
    append(&store, 1, "Odd").await?;
    append(&store, 2, "Placed").await?;
    let error = manager(&store).attempts(1).drain().manage(counting.clone()).await.unwrap_err();
    assert!(error.to_string().contains("event 2 (Odd of stream \"order-1\"): it is odd"), "{error}");
    assert_eq!((commands(&store).await?, state(&store, 1).await?.0.seen), (vec!["1 1".to_owned()], 1));
    counting.fails.store(false, Ordering::SeqCst);
    store.projection("orders").resume().await?;
    manager(&store).drain().manage(counting).await?;
    assert_eq!(commands(&store).await?, ["1 2", "2 1"]);
    Ok(())
}

async fn a_state_that_somebody_else_has_moved_is_read_again(store: Store) -> Result<()> {
    append(&store, 1, "Placed").await?;
    let (manager, counting) = (manager(&store), counting(&store));
    let stopper = manager.stopper();
    let running = tokio::spawn(manager.manage(counting));
    store.projection("orders").caught_up().await?;
    let moved = Event::new("Moved", &Count { seen: 41 })?;
    store.events().append("orders-1", Expected::Version(1), [moved]).await?;
    let position = append(&store, 1, "Placed").await?;
    store.projection("orders").wait_for(position).await?;
    assert_eq!(state(&store, 1).await?, (Count { seen: 42 }, 3));
    stopper.stop(LONG);
    running.await.unwrap()?;
    Ok(())
}

async fn a_timeout_comes_once_and_not_before_its_time(store: Store) -> Result<()> {
    append(&store, 1, "Timed").await?;
    append(&store, 2, "Timed").await?;
    // Whoever has set it need not be there when it comes.
    manager(&store).drain().manage(counting(&store)).await?;
    assert_eq!(commands(&store).await?.len(), 2);
    let (manager, counting) = (manager(&store), counting(&store));
    let stopper = manager.stopper();
    let running = tokio::spawn(manager.manage(counting));
    let mut late = Vec::new();
    for _ in 0..2 {
        let command = store.queue::<String>("commands").pop().await?;
        late.push(command.clone());
        command.done().await?;
    }
    late.sort();
    assert_eq!(late, ["1 late is 101", "2 late is 101"]);
    stopper.stop(LONG);
    running.await.unwrap()?;
    let numbers = store.queue::<Timeout>("timeouts/orders").numbers().await?.unwrap();
    assert_eq!(
        (numbers.ready, numbers.delayed, numbers.claimed),
        (0, 0, 0),
        "one that is set is not set twice"
    );
    assert_eq!(state(&store, 1).await?, (Count { seen: 101 }, 2));
    Ok(())
}

async fn a_timeout_that_fails_is_tried_again(store: Store) -> Result<()> {
    append(&store, 1, "Timed").await?;
    let counting = counting(&store);
    counting.fails.store(true, Ordering::SeqCst);
    let manager = manager(&store);
    let stopper = manager.stopper();
    let running = tokio::spawn(manager.manage(counting.clone()));
    until(async || Ok(!counting.fails.load(Ordering::SeqCst))).await?;
    let queue = store.queue::<Timeout>("timeouts/orders");
    until(async || Ok(queue.numbers().await?.is_some_and(|numbers| numbers.delayed == 1))).await?;
    let job = queue.page(None, 0, 1).await?.jobs.remove(0)?;
    assert_eq!((job.attempts, job.reason.as_deref()), (1, Some("not now")));
    until(async || Ok(state(&store, 1).await?.0.seen == 101)).await?;
    stopper.stop(LONG);
    running.await.unwrap()?;
    Ok(())
}

// A transfer: a withdrawal, a deposit, and the money back if that is refused.

#[derive(Clone, Default, Serialize, Deserialize)]
struct Account {
    cents: i64,
}

#[derive(Clone, Serialize, Deserialize)]
enum Order {
    Withdraw(i64),
    Deposit(i64),
}

#[derive(Clone, Serialize, Deserialize)]
enum Booked {
    Withdrawn(i64),
    Deposited(i64),
}

#[derive(Debug, PartialEq, Eq)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

impl Aggregate for Account {
    const KIND: &'static str = "account";
    type Command = Order;
    type Event = Booked;
    type Rejection = Refused;

    fn decide(&self, order: &Order) -> Result<Decision<Account>, Refused> {
        match *order {
            Order::Withdraw(cents) if cents > self.cents => Err(Refused),
            // One account takes nothing.
            Order::Deposit(_) if self.cents < 0 => Err(Refused),
            Order::Withdraw(cents) => Ok([Booked::Withdrawn(cents)].into()),
            Order::Deposit(cents) => Ok([Booked::Deposited(cents)].into()),
        }
    }

    fn evolve(&mut self, event: &Booked) {
        match *event {
            Booked::Withdrawn(cents) => self.cents -= cents,
            Booked::Deposited(cents) => self.cents += cents,
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Transfer {
    from: u64,
    to: u64,
    cents: i64,
}

/// What is to be done to an account, for which transfer, and under which id.
#[derive(Clone, Serialize, Deserialize)]
struct Command {
    id: Uuid,
    transfer: String,
    account: u64,
    order: Order,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Stage {
    transfer: Option<Transfer>,
    step: String,
}

struct Transfers(Queue<Command>);

impl Transfers {
    fn send(&self, account: u64, order: Order, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let command = Command { id: steps.next_id(), transfer: steps.correlation().into(), account, order };
        steps.push(&self.0, &command)?;
        Ok(())
    }
}

impl ProcessManager for Transfers {
    type State = Stage;

    fn correlate(&self, event: &Recorded) -> Result<Option<String>, Failure> {
        Ok(event.stream().strip_prefix("transfer-").map(str::to_owned))
    }

    fn handle(&mut self, stage: &mut Stage, event: &Recorded, steps: &mut Steps<'_>) -> Result<(), Failure> {
        if event.event_type() == "Asked" {
            let transfer: Transfer = event.decode()?;
            self.send(transfer.from, Order::Withdraw(transfer.cents), steps)?;
            *stage = Stage { transfer: Some(transfer), step: "withdrawing".into() };
            return Ok(());
        }
        let Transfer { from, to, cents } = stage.transfer.clone().ok_or("it was never asked for")?;
        let done = event.event_type() == "Done";
        stage.step = match (stage.step.as_str(), done) {
            ("withdrawing", true) => {
                self.send(to, Order::Deposit(cents), steps)?;
                "depositing"
            }
            ("withdrawing", false) => "refused",
            ("depositing", true) => "done",
            ("depositing", false) => {
                self.send(from, Order::Deposit(cents), steps)?;
                "giving back"
            }
            _ => "undone",
        }
        .into();
        Ok(())
    }
}

/// Carries commands out, and says what came of them: once for each.
async fn carry_out(store: Store, command: Task<Command>) -> Result<(), String> {
    let told = Uuid::new_v5(&command.id, b"told");
    if store.events().find(told).await.map_err(|error| error.to_string())?.is_some() {
        // A command that was rejected has left no trace in its account, and might be taken now.
        return Ok(());
    }
    let account = store.aggregate::<Account>(command.account.to_string());
    let executed = account.execute_with(command.order.clone(), Execute::new().id(command.id)).await;
    let what = match executed {
        Ok(_) => "Done",
        Err(CommandError::Rejected(Refused)) => "Refused",
        Err(error) => return Err(error.to_string()),
    };
    let event = Event::new(what, &command.id).map_err(|error| error.to_string())?.id(told);
    let stream = format!("transfer-{}", command.transfer);
    match store.events().append(stream, Expected::Any, [event]).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

async fn a3_transfers_conserve_the_sum_whoever_dies(store: Store) -> Result<()> {
    const ACCOUNTS: u64 = 5;
    const TRANSFERS: u64 = 40;
    for account in 0..ACCOUNTS {
        let account = store.aggregate::<Account>(account.to_string());
        account.execute(Order::Deposit(300)).await.unwrap();
    }
    // One that takes nothing.
    let closed = Event::new("Withdrawn", &1)?;
    store.events().append("account-9", Expected::NoStream, [closed]).await?;
    for n in 0..TRANSFERS {
        let to = if n % 7 == 0 { 9 } else { (n * 3 + 1) % ACCOUNTS };
        let asked = Event::new(
            "Asked",
            &Transfer { from: n % ACCOUNTS, to, cents: 50 + (n % 3 * 20).cast_signed() },
        )?;
        store.events().append(format!("transfer-{n}"), Expected::NoStream, [asked]).await?;
    }
    let commands = store.queue::<Command>("bank");
    let read = || store.events().read_category("transfer");
    let steps = async || {
        let mut steps = BTreeMap::<String, u64>::new();
        for n in 0..TRANSFERS {
            let mut last = store.events().read_stream(format!("transfers-{n}")).backward().limit(1);
            let stage = match last.next().await {
                Some(event) => event?.decode::<Stage>()?.step,
                None => "asked".into(),
            };
            *steps.entry(stage).or_default() += 1;
        }
        Ok::<_, Error>(steps)
    };
    let ends = |steps: &BTreeMap<String, u64>| {
        ["done", "undone", "refused"].iter().filter_map(|end| steps.get(*end)).sum::<u64>() == TRANSFERS
    };
    let mut round = 0;
    while !ends(&steps().await?) {
        // Both are broken off in the midst of whatever they are at, but for a while every now and then.
        round += 1;
        let manager = tokio::spawn(
            store.projection("transfers").projector(read()).batch(5).manage(Transfers(commands.clone())),
        );
        let (own, worker) = (store.clone(), commands.worker().concurrency(4));
        let worker = tokio::spawn(worker.run(async move |command| carry_out(own.clone(), command).await));
        let before = store.events().head().await?;
        until(async || Ok(store.events().head().await? > before + round % 9 || ends(&steps().await?)))
            .await?;
        manager.abort();
        worker.abort();
        let _ = (manager.await, worker.await);
    }
    let mut sum = 0;
    for account in 0..ACCOUNTS {
        let cents = store.aggregate::<Account>(account.to_string()).state().await?.cents;
        assert!(cents >= 0);
        sum += cents;
    }
    assert_eq!(sum, 300 * ACCOUNTS.cast_signed());
    let steps = steps().await?;
    assert!(steps["done"] > 0 && steps["undone"] > 0, "{steps:?}");
    Ok(())
}
