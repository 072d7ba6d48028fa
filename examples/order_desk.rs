//! An order desk with every primitive: an order is an aggregate, picking its goods is a job, whoever wants to know follows a
//! channel, what the desk did stands in a log, and the day is closed under a lock.
//!
//! `cargo run --example order_desk [FILE]`

use millpond::{Aggregate, Decision, Event, Expected, Store};
use serde::{Deserialize, Serialize};

/// An order, as its events have made it.
#[derive(Debug, Default)]
struct Order {
    items: u32,
    picked: bool,
}

#[derive(Debug, Serialize, Deserialize)]
enum Happened {
    Placed { items: u32 },
    Picked { by: String },
}

enum Do {
    Place { items: u32 },
    Pick { by: String },
}

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("an order needs at least one item")]
    Empty,
    #[error("there is no such order")]
    Unknown,
}

impl Aggregate for Order {
    const KIND: &'static str = "order";
    type Command = Do;
    type Event = Happened;
    type Rejection = Refused;

    fn decide(&self, command: &Do) -> Result<Decision<Order>, Refused> {
        match command {
            Do::Place { items: 0 } => Err(Refused::Empty),
            Do::Place { items } => Ok([Happened::Placed { items: *items }].into()),
            Do::Pick { .. } if self.items == 0 => Err(Refused::Unknown),
            // A job runs at least once; its effect is there once.
            Do::Pick { .. } if self.picked => Ok(Decision::nothing()),
            Do::Pick { by } => Ok([Happened::Picked { by: by.clone() }].into()),
        }
    }

    fn evolve(&mut self, event: &Happened) {
        match event {
            Happened::Placed { items } => self.items = *items,
            Happened::Picked { .. } => self.picked = true,
        }
    }
}

/// Which order is to be picked.
#[derive(Debug, Serialize, Deserialize)]
struct Pick {
    order: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = std::env::args().nth(1).map_or_else(|| folder.path().join("desk.db"), Into::into);
    let store = Store::open(file).await?;
    let (picking, news, diary) =
        (store.queue::<Pick>("picking"), store.channel::<String>("orders"), store.log::<String>("desk"));
    let mut board = news.subscribe().await?;

    for (order, items) in [("lamp-lovers", 3), ("chair-club", 1)] {
        store.aggregate::<Order>(order).execute(Do::Place { items }).await?;
        picking.push(&Pick { order: order.to_owned() }).await?;
        news.publish(&format!("{order} has ordered")).await?;
        diary.append(&format!("took the order of {order}")).await?;
    }
    if let Err(refused) = store.aggregate::<Order>("nobody").execute(Do::Place { items: 0 }).await {
        println!("refused: {refused}");
    }
    for _ in 0..2 {
        println!("board: {}", *board.next().await.ok_or("the store is open")??);
    }

    // In another process, or in several: a job is one worker's at a time.
    while let Some(pick) = picking.try_pop().await? {
        store.aggregate::<Order>(&pick.order).execute(Do::Pick { by: "Ada".into() }).await?;
        println!("picked: {}", pick.order);
        // Both or neither: should the desk fall over here, the job is run again and the line is not there twice.
        let mut batch = store.batch();
        batch.log(&diary, &format!("picked the order of {}", pick.order))?;
        pick.done_in(&mut batch)?;
        batch.commit().await?;
    }

    // Whoever has the lock closes the day; one who has lost it meanwhile writes nothing.
    let guard = store.lock("closing").acquire().await?;
    let closed = Event::new("DayClosed", &serde_json::json!({ "orders": 2 }))?;
    store.events().guarded_by(&guard).append("desk-today", Expected::Any, [closed]).await?;
    guard.release().await?;
    let mut lines = diary.range(..);
    while let Some(line) = lines.next().await {
        let line = line?;
        println!("diary {}: {}", line.sequence(), *line);
    }
    Ok(store.close().await?)
}
