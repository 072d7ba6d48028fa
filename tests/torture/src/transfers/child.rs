//! A process that manages transfers between accounts, and carries their commands out, until it is killed.

use std::path::Path;

use futures_executor::block_on;
use futures_util::future::{Either, select};
use millpond::{
    Aggregate, CommandError, Decision, Event, Execute, Expected, Failure, ProcessManager, Queue, Recorded,
    Steps, Store, Task,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Result;
use crate::crew::say;

/// What is asked for, and told of.
pub(super) const ASKED: &str = "transfer";
/// The projection, and so the category of what its processes are.
pub(super) const MANAGED: &str = "stages";

const BANK: &str = "bank";

/// Commands that one process carries out at a time.
const HANDS: u32 = 8;

/// An account. One that is closed takes nothing.
#[derive(Clone, Default)]
pub(super) struct Account {
    cents: i64,
    closed: bool,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Order {
    Withdraw(i64),
    Deposit(i64),
    Close,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Booked {
    Withdrawn(i64),
    Deposited(i64),
    Closed(()),
}

/// It is not possible.
#[derive(Debug, thiserror::Error)]
#[error("refused")]
pub(super) struct Refused;

impl Aggregate for Account {
    const KIND: &'static str = "account";
    type Command = Order;
    type Event = Booked;
    type Rejection = Refused;

    fn decide(&self, order: &Order) -> std::result::Result<Decision<Account>, Refused> {
        match *order {
            Order::Withdraw(cents) if cents > self.cents => Err(Refused),
            Order::Deposit(_) if self.closed => Err(Refused),
            Order::Withdraw(cents) => Ok([Booked::Withdrawn(cents)].into()),
            Order::Deposit(cents) => Ok([Booked::Deposited(cents)].into()),
            Order::Close => Ok([Booked::Closed(())].into()),
        }
    }

    fn evolve(&mut self, event: &Booked) {
        match *event {
            Booked::Withdrawn(cents) => self.cents -= cents,
            Booked::Deposited(cents) => self.cents += cents,
            Booked::Closed(()) => self.closed = true,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transfer {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) cents: i64,
}

/// What is to be done to an account, for which transfer, and under which id.
#[derive(Clone, Serialize, Deserialize)]
struct Command {
    id: Uuid,
    transfer: String,
    account: u64,
    order: Order,
}

/// Where a transfer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    #[default]
    Asked,
    Withdrawing,
    Depositing,
    GivingBack,
    Done,
    Undone,
    Refused,
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Stage {
    transfer: Option<Transfer>,
    pub(super) step: Step,
}

struct Transfers(Queue<Command>);

impl Transfers {
    fn send(&self, account: u64, order: Order, steps: &mut Steps<'_>) -> std::result::Result<(), Failure> {
        let command = Command { id: steps.next_id(), transfer: steps.correlation().into(), account, order };
        steps.push(&self.0, &command)?;
        Ok(())
    }
}

impl ProcessManager for Transfers {
    type State = Stage;

    fn correlate(&self, event: &Recorded) -> std::result::Result<Option<String>, Failure> {
        Ok(event.stream().strip_prefix("transfer-").map(str::to_owned))
    }

    fn handle(
        &mut self,
        stage: &mut Stage,
        event: &Recorded,
        steps: &mut Steps<'_>,
    ) -> std::result::Result<(), Failure> {
        if event.event_type() == "Asked" {
            let transfer: Transfer = event.decode()?;
            self.send(transfer.from, Order::Withdraw(transfer.cents), steps)?;
            *stage = Stage { transfer: Some(transfer), step: Step::Withdrawing };
            return Ok(());
        }
        let Transfer { from, to, cents } = stage.transfer.clone().ok_or("it was never asked for")?;
        stage.step = match (stage.step, event.event_type() == "Done") {
            (Step::Withdrawing, true) => {
                self.send(to, Order::Deposit(cents), steps)?;
                Step::Depositing
            }
            (Step::Withdrawing, false) => Step::Refused,
            (Step::Depositing, true) => Step::Done,
            (Step::Depositing, false) => {
                self.send(from, Order::Deposit(cents), steps)?;
                Step::GivingBack
            }
            (Step::GivingBack, true) => Step::Undone,
            (step, _) => return Err(format!("nothing was to be told in {step:?}").into()),
        };
        Ok(())
    }
}

/// Carries a command out, and says what came of it, once.
async fn carry_out(store: &Store, command: &Command) -> std::result::Result<(), Failure> {
    let told = Uuid::new_v5(&command.id, b"told");
    if store.events().find(told).await?.is_some() {
        // A command that was rejected has left no trace in its account, and might be taken now.
        return Ok(());
    }
    let account = store.aggregate::<Account>(command.account.to_string());
    let what = match account.execute_with(command.order.clone(), Execute::new().id(command.id)).await {
        Ok(_) => "Done",
        Err(CommandError::Rejected(Refused)) => "Refused",
        Err(error) => return Err(error.to_string().into()),
    };
    let event = Event::new(what, &command.id)?.id(told);
    store.events().append(format!("transfer-{}", command.transfer), Expected::Any, [event]).await?;
    Ok(())
}

/// Manages and works until it is killed.
///
/// # Errors
/// If the store cannot be opened, or nobody listens.
pub fn live(file: &Path) -> Result<()> {
    if let Err(error) = block_on(work(file)) {
        say(&error.to_string())?;
    }
    // There to be killed.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

async fn work(file: &Path) -> Result<()> {
    let store = Store::open(file).await?;
    let bank = store.queue::<Command>(BANK);
    let manager = store.projection(MANAGED).projector(store.events().read_category(ASKED));
    let managing = std::pin::pin!(manager.manage(Transfers(bank.clone())));
    let own = &store;
    let worker = bank.worker().concurrency(HANDS);
    let working = std::pin::pin!(worker.run(async |command: Task<Command>| {
        carry_out(own, &command).await.map_err(|error| error.to_string())
    }));
    match select(managing, working).await {
        Either::Left((ended, _)) => Err(format!("the manager has ended: {ended:?}").into()),
        Either::Right((ended, _)) => Err(format!("the worker has ended: {ended:?}").into()),
    }
}
