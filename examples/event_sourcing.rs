//! Event sourcing from end to end: an event of an older program, a command that comes twice, one that is refused, a job that
//! follows from an event, the past, and where each event comes from. The guide `millpond::guide::event_sourcing` explains it.
//!
//! `cargo run --example event_sourcing [FILE]`

use millpond::{Aggregate, CommandError, Decision, Event, Execute, Expected, Origin, Store, Upcasts};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An evening in a small theatre: what its events have made of it.
#[derive(Clone, Debug, Default)]
struct Show {
    free: u32,
}

#[derive(Debug, Serialize, Deserialize)]
enum Happened {
    Opened { seats: u32 },
    Booked { guest: String, seats: u32 },
}

enum Do {
    Book { guest: &'static str, seats: u32 },
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("only {left} seats are left")]
struct SoldOut {
    left: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Ticket {
    guest: String,
    seats: u32,
}

impl Aggregate for Show {
    const KIND: &'static str = "show";
    type Command = Do;
    type Event = Happened;
    type Rejection = SoldOut;

    fn decide(&self, Do::Book { guest, seats }: &Do) -> Result<Decision<Show>, SoldOut> {
        if *seats > self.free {
            return Err(SoldOut { left: self.free });
        }
        let (guest, seats) = ((*guest).to_owned(), *seats);
        let booked = Happened::Booked { guest: guest.clone(), seats };
        Ok(Decision::from([booked]).push("tickets", &Ticket { guest, seats }))
    }

    fn evolve(&mut self, event: &Happened) {
        match event {
            Happened::Opened { seats } => self.free = *seats,
            Happened::Booked { seats, .. } => self.free = self.free.saturating_sub(*seats),
        }
    }

    fn upcasts() -> Upcasts {
        // The first program sold seats at the door and asked nobody for a name.
        Upcasts::new().rename("Sold", "Booked").step("Booked", 1, |mut content| {
            let fields = content.as_object_mut().ok_or("it is not an object")?;
            fields.insert("guest".to_owned(), "somebody at the door".into());
            Ok(content)
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = std::env::args().nth(1).map_or_else(|| folder.path().join("theatre.db"), Into::into);
    let store = Store::open(file).await?;
    let hamlet = store.aggregate::<Show>("hamlet");

    // What the first program has left behind. With ids of their own these events are there once, however often this is run.
    let opened = Event::new("Opened", &serde_json::json!({ "seats": 10 }))?.id(Uuid::from_u128(1));
    let sold = Event::new("Sold", &serde_json::json!({ "seats": 3 }))?.id(Uuid::from_u128(2));
    store.events().append("show-hamlet", Expected::NoStream, [opened, sold]).await?;
    println!("Hamlet, after the first program: {} seats are free", hamlet.at_version(2).await?.free);

    // Ada clicks twice. Both times her request has the same id.
    let request = Uuid::from_u128(0xada);
    for _ in 0..2 {
        let how = Execute::new().id(request).origin(Origin::new().actor("ada").tenant("globe"));
        let booked = hamlet.execute_with(Do::Book { guest: "Ada", seats: 2 }, how).await?;
        let how = if booked.repeated { "as before" } else { "just now" };
        println!("Ada has 2 seats, {how}: version {}", booked.version);
    }
    match hamlet.execute(Do::Book { guest: "Bob", seats: 6 }).await {
        Err(CommandError::Rejected(refused)) => println!("Bob would like 6 seats: {refused}"),
        other => println!("Bob would like 6 seats: {other:?}"),
    }

    // The job came with the event, in one commit; it knows the event that it comes from.
    while let Some(ticket) = store.queue::<Ticket>("tickets").try_pop().await? {
        let cause = store.events().find(ticket.causation().unwrap_or_default()).await?;
        let cause = cause.map_or_else(String::new, |event| format!("{} {}", event.stream(), event.version()));
        println!("a ticket for {}, {} seats (event {cause})", ticket.guest, ticket.seats);
        ticket.done().await?;
    }

    let (before, now) = (hamlet.at_version(1).await?, hamlet.state().await?);
    println!("free seats: {} at version 1, {} now", before.free, now.free);
    let mut history = hamlet.history();
    while let Some(event) = history.next().await {
        let event = event?;
        let (version, stored) = (event.version(), event.json().unwrap_or_default());
        println!("{version}. {} {stored}, today {:?}", event.event_type(), hamlet.decode(&event)?);
    }
    Ok(store.close().await?)
}
