//! An event-sourced bank account: commands, events, a rejection, a snapshot, and a hundred callers at once.
//!
//! `cargo run --example aggregate [FILE]`

use millpond::{Aggregate, CommandError, Decision, Snapshots, Store};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    cents: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum Happened {
    Deposited { cents: u64 },
    Withdrawn { cents: u64 },
}

enum Do {
    Deposit { cents: u64 },
    Withdraw { cents: u64 },
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("only {left} cents are left")]
struct TooLittle {
    left: u64,
}

impl Aggregate for Account {
    const KIND: &'static str = "account";
    type Command = Do;
    type Event = Happened;
    type Rejection = TooLittle;

    fn decide(&self, command: &Do) -> Result<Decision<Account>, TooLittle> {
        match *command {
            Do::Deposit { cents } => Ok([Happened::Deposited { cents }].into()),
            Do::Withdraw { cents } if cents > self.cents => Err(TooLittle { left: self.cents }),
            Do::Withdraw { cents } => Ok([Happened::Withdrawn { cents }].into()),
        }
    }

    fn evolve(&mut self, event: &Happened) {
        match event {
            Happened::Deposited { cents } => self.cents += cents,
            Happened::Withdrawn { cents } => self.cents -= cents,
        }
    }

    fn snapshots() -> Snapshots<Account> {
        Snapshots::every(50)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = std::env::args().nth(1).map_or_else(|| folder.path().join("bank.db"), Into::into);
    let store = Store::open(file).await?;
    let alice = store.aggregate::<Account>("alice");
    let before = alice.state().await?;

    // A hundred callers of one account: they share commits instead of colliding.
    let deposits: Vec<_> = (0..100)
        .map(|_| {
            let alice = alice.clone();
            tokio::spawn(
                async move { alice.execute(Do::Deposit { cents: 5 }).await.map(|done| done.version) },
            )
        })
        .collect();
    for deposit in deposits {
        deposit.await??;
    }
    let account = alice.state().await?;
    println!("alice has {} cents", account.cents);
    assert_eq!(account.cents, before.cents + 500);

    let refused = alice.execute(Do::Withdraw { cents: account.cents + 1 }).await;
    match refused {
        Err(CommandError::Rejected(rejection)) => println!("refused: {rejection}"),
        other => panic!("it should have been refused: {other:?}"),
    }
    let paid = alice.execute(Do::Withdraw { cents: 120 }).await?;
    println!("after the withdrawal the account is at version {}", paid.version);

    let mut history = alice.history().backward().limit(1);
    while let Some(event) = history.next().await {
        let event = event?;
        println!(
            "last: {} {}, as {:?}",
            event.event_type(),
            event.json().unwrap_or_default(),
            event.decode_event::<Happened>()?
        );
    }
    Ok(store.close().await?)
}
