//! Effects of commands: what an aggregate's decision writes to other primitives, in the commit of its events.

use millpond::{Aggregate, CommandError, Decision, Error, Event, Expected, Result, Store};
use serde::{Deserialize, Serialize};

use crate::backends::begin;

each_backend! {
    a3_effects_are_there_with_their_events
    a3_what_is_refused_has_no_effects
    a3_effects_without_events_rest_on_the_state
    a3_an_overtaken_command_has_its_effects_once
    a3_many_commands_at_once_have_each_their_own_effects
    a3_effects_that_cannot_be_fail_their_command_alone
    a3_effects_wake_who_waits
}

/// How often something was ordered; each third time is announced, and the store is told to stop at a hundred.
#[derive(Clone, Debug, Default)]
struct Desk {
    orders: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum Happened {
    Ordered { number: u64 },
}

#[derive(Clone, Copy, Debug)]
enum Do {
    Order,
    /// Says how many there are, and changes nothing.
    Announce,
    /// Orders, and wants what cannot be.
    Misname,
}

#[derive(Debug, thiserror::Error)]
#[error("it is full")]
struct Full;

impl Aggregate for Desk {
    const KIND: &'static str = "desk";
    type Command = Do;
    type Event = Happened;
    type Rejection = Full;

    fn decide(&self, command: &Do) -> std::result::Result<Decision<Desk>, Full> {
        let number = self.orders + 1;
        match command {
            _ if self.orders == 100 => Err(Full),
            Do::Announce => Ok(Decision::nothing().publish("news", &self.orders)),
            Do::Misname => {
                Ok(Decision::from([Happened::Ordered { number }]).log("log", &number).push("", &number))
            }
            Do::Order => {
                let ordered = Decision::from([Happened::Ordered { number }]).push("picking", &number);
                Ok(if number.is_multiple_of(3) {
                    ordered.publish("news", &number).log("log", &number)
                } else {
                    ordered
                })
            }
        }
    }

    fn evolve(&mut self, Happened::Ordered { number }: &Happened) {
        self.orders = *number;
    }
}

/// Events, jobs, messages, records.
async fn there(store: &Store) -> Result<[u64; 4]> {
    let jobs = store.queue::<u64>("picking").numbers().await?.map_or(0, |numbers| numbers.ready);
    let messages = store.channel::<u64>("news").extent().await?.last;
    let records = store.log::<u64>("log").extent().await?.last;
    Ok([store.events().head().await?, jobs, messages, records])
}

async fn a3_effects_are_there_with_their_events(store: Store) -> Result<()> {
    let desk = store.aggregate::<Desk>("a");
    for number in 1..=7 {
        assert_eq!(desk.execute(Do::Order).await.unwrap().version, number);
        assert_eq!(there(&store).await?, [number, number, number / 3, number / 3]);
    }
    let job = store.queue::<u64>("picking").pop().await?;
    assert_eq!((*job, job.sequence()), (1, 1));
    job.done().await
}

async fn a3_what_is_refused_has_no_effects(store: Store) -> Result<()> {
    let desk = store.aggregate::<Desk>("a");
    for _ in 0..100 {
        desk.execute(Do::Order).await.unwrap();
    }
    let before = there(&store).await?;
    for command in [Do::Order, Do::Announce] {
        assert!(matches!(desk.execute(command).await, Err(CommandError::Rejected(Full))));
    }
    assert_eq!(there(&store).await?, before);
    Ok(())
}

/// What somebody else has ordered, past this process's actor.
async fn order_past(store: &Store, number: u64) -> Result<()> {
    let ordered = Event::new("Ordered", &serde_json::json!({ "number": number }))?;
    store.events().append("desk-a", Expected::Any, [ordered]).await.map(drop)
}

async fn a3_effects_without_events_rest_on_the_state(store: Store) -> Result<()> {
    let desk = store.aggregate::<Desk>("a");
    let announced = desk.execute(Do::Announce).await.unwrap();
    assert_eq!((announced.version, announced.position), (0, None), "of nothing");
    desk.execute(Do::Order).await.unwrap();
    order_past(&store, 9).await?;
    let announced = desk.execute(Do::Announce).await.unwrap();
    assert_eq!((announced.version, announced.position), (2, None));
    let mut news = store.channel::<u64>("news").history();
    let mut heard = Vec::new();
    while let Some(message) = news.next().await {
        heard.push(message?.into_inner());
    }
    assert_eq!(heard, [0, 9], "what was decided on an old state was decided anew, and announced once");
    Ok(())
}

async fn a3_an_overtaken_command_has_its_effects_once(store: Store) -> Result<()> {
    let desk = store.aggregate::<Desk>("a");
    for number in [10, 20, 30] {
        desk.execute(Do::Order).await.unwrap();
        order_past(&store, number).await?;
    }
    desk.execute(Do::Order).await.unwrap();
    let (queue, mut jobs) = (store.queue::<u64>("picking"), Vec::new());
    while let Some(job) = queue.try_pop().await? {
        jobs.push(*job);
        job.done().await?;
    }
    assert_eq!(jobs, [1, 11, 21, 31]);
    Ok(())
}

async fn a3_many_commands_at_once_have_each_their_own_effects(store: Store) -> Result<()> {
    let tasks = (0..30).map(|_| {
        let desk = store.aggregate::<Desk>("a");
        tokio::spawn(async move { desk.execute(Do::Order).await.unwrap() })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(there(&store).await?, [30, 30, 10, 10]);
    let (mut news, mut last) = (store.channel::<u64>("news").history(), 0);
    while let Some(message) = news.next().await {
        last += 3;
        assert_eq!(message?.into_inner(), last, "in the order of the events that they follow from");
    }
    Ok(())
}

async fn a3_effects_that_cannot_be_fail_their_command_alone(store: Store) -> Result<()> {
    let desk = store.aggregate::<Desk>("a");
    let [first, bad, second] = [Do::Order, Do::Misname, Do::Order].map(|command| {
        let desk = desk.clone();
        tokio::spawn(async move { desk.execute(command).await })
    });
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    let failed = bad.await.unwrap().unwrap_err();
    assert!(matches!(failed, CommandError::Failed(Error::InvalidName { .. })), "{failed}");
    assert_eq!(there(&store).await?, [2, 2, 0, 0], "not even its event");
    Ok(())
}

async fn a3_effects_wake_who_waits(store: Store) -> Result<()> {
    let (queue, desk) = (store.queue::<u64>("picking"), store.aggregate::<Desk>("a"));
    let (mut news, mut pop) = (store.channel::<u64>("news").subscribe().await?, begin(queue.pop()));
    assert!(pop.is_pending());
    for number in 1..=3 {
        // Until it waits, and looks no more by itself.
        for _ in 0..50 {
            queue.numbers().await?;
        }
        desk.execute(Do::Order).await.unwrap();
        let job = pop.await?;
        assert_eq!(*job, number);
        job.done().await?;
        pop = begin(queue.pop());
    }
    assert_eq!(news.next().await.unwrap()?.into_inner(), 3);
    drop(pop);
    Ok(())
}
