//! An order desk with every primitive: an order is an aggregate, picking its goods is a job that follows from it, how many items
//! are still to be picked stands in a table, whoever wants to know follows a channel, what the desk did stands in a log, and the
//! day is closed under a lock.
//!
//! `cargo run --example order_desk [FILE]`

use millpond::{
    Aggregate, Decision, Event, Expected, Failure, ProcessManager, Project, Queue, Recorded, Rows, Sql,
    Steps, Store,
};
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

/// What there is still to be picked: a table that is worked out from the events.
struct Open;

impl Project for Open {
    fn begin(&mut self, rows: &mut Rows<'_>) -> Result<(), Failure> {
        let table =
            "CREATE TABLE IF NOT EXISTS desk_open (stream TEXT PRIMARY KEY, items INTEGER NOT NULL) STRICT";
        rows.sql([Sql::new(table), Sql::new("DELETE FROM desk_open")])?;
        Ok(())
    }

    fn apply(&mut self, event: &Recorded, rows: &mut Rows<'_>) -> Result<(), Failure> {
        let change = match event.decode_event()? {
            Happened::Placed { items } => {
                Sql::new("INSERT INTO desk_open VALUES (?1, ?2)").bind(event.stream()).bind(items)
            }
            Happened::Picked { .. } => {
                Sql::new("DELETE FROM desk_open WHERE stream = ?1").bind(event.stream()).rows(1)
            }
        };
        rows.sql(change)?;
        Ok(())
    }
}

/// What follows from an order: a process of its own, which is told of each step.
struct Delivery(Queue<Pick>);

impl ProcessManager for Delivery {
    /// What is done about it.
    type State = String;

    fn correlate(&self, event: &Recorded) -> Result<Option<String>, Failure> {
        Ok(event.stream().strip_prefix("order-").map(str::to_owned))
    }

    fn handle(&mut self, state: &mut String, event: &Recorded, steps: &mut Steps<'_>) -> Result<(), Failure> {
        *state = match event.decode_event()? {
            Happened::Placed { .. } => {
                let order = steps.correlation().to_owned();
                steps.push(&self.0, &Pick { order })?;
                "is being picked".into()
            }
            Happened::Picked { by } => format!("was picked by {by}"),
        };
        Ok(())
    }
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
        news.publish(&format!("{order} has ordered")).await?;
        diary.append(&format!("took the order of {order}")).await?;
    }
    if let Err(refused) = store.aggregate::<Order>("nobody").execute(Do::Place { items: 0 }).await {
        println!("refused: {refused}");
    }
    for _ in 0..2 {
        println!("board: {}", *board.next().await.ok_or("the store is open")??);
    }

    // As long as the program runs, in a task of its own; here until there is nothing more.
    let orders = || store.events().read_category("order");
    let (delivery, open) = (store.projection("delivery"), store.projection("open"));
    delivery.projector(orders()).drain().manage(Delivery(picking.clone())).await?;
    open.projector(orders()).drain().run(Open).await?;
    let items = store.sql(Sql::new("SELECT * FROM desk_open WHERE items > 0")).await?;
    println!("orders to be picked: {}", items.first().copied().unwrap_or(0));

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

    delivery.projector(orders()).drain().manage(Delivery(picking.clone())).await?;
    open.projector(orders()).drain().run(Open).await?;
    store.sql(Sql::new("SELECT * FROM desk_open").rows(0)).await?;
    let mut deliveries = store.events().read_category("delivery");
    while let Some(step) = deliveries.next().await {
        let step = step?;
        println!("{}: {}", step.stream(), step.decode::<String>()?);
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
