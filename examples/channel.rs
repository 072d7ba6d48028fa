//! A channel: live subscribers, one that is slow, and a durable one that goes on where it was.
//!
//! `cargo run --example channel [FILE]`

use millpond::{Error, From, Retention, Store};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    item: String,
    count: u32,
}

fn order(item: &str, count: u32) -> Order {
    Order { item: item.to_owned(), count }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = std::env::args().nth(1).map_or_else(|| folder.path().join("channel.db"), Into::into);
    let store = Store::open(file).await?;
    let orders = store.channel::<Order>("orders");

    // Active from here on, though nothing is asked for yet.
    let mut live = orders.subscribe().await?;
    orders.publish(&order("lamp", 2)).await?;
    let first = live.next().await.ok_or("the store is open")??;
    println!("live: message {} is {} {}(s)", first.sequence(), first.count, first.item);

    // A durable subscription: the store remembers what was acknowledged.
    let billing = orders.durable("billing");
    orders.publish_all(&[order("table", 1), order("chair", 4)]).await?;
    let mut consumer = billing.consume().await?;
    for _ in 0..2 {
        let order = consumer.next().await.ok_or("the store is open")??;
        println!("billed: {}", order.item);
        consumer.ack(order.sequence()).await?;
    }
    drop(consumer); // as if its process had been killed
    let mut consumer = billing.consume().await?;
    let order = consumer.next().await.ok_or("the store is open")??;
    println!("billed by the next consumer: {}", order.item);
    consumer.ack(order.sequence()).await?;

    // Who was too slow for the retention is told exactly what was missed.
    orders.retain(Retention::everything().count(1)).await?;
    let mut late = orders.subscribe_from(From::After(0)).await?;
    match late.next().await.ok_or("the store is open")? {
        Err(Error::Lagged { missed, .. }) => println!("too late for {missed} messages"),
        other => return Err(format!("{other:?}").into()),
    }
    println!("and it goes on with {}", late.next().await.ok_or("the store is open")??.item);
    Ok(store.close().await?)
}
