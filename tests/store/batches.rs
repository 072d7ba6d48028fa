//! Batches: all or nothing over every primitive, the refused one named, and effects that are there once.

use std::time::Duration;

use millpond::{Batch, Error, Event, Expected, JobState, Message, Push, Result, Store, blocking};
use serde_json::json;

use crate::backends::begin;

each_backend! {
    g2_a_batch_is_there_whole
    g2_what_is_refused_leaves_nothing_of_its_batch
    g2_a_batch_that_is_dropped_writes_nothing_and_gives_its_jobs_back
    q2_work_that_is_done_twice_has_one_effect
    c5_an_effect_and_its_acknowledgement_are_one
    c5_what_is_written_in_a_batch_wakes_who_waits
    l3_a_batch_is_guarded_by_a_lock
    many_batches_at_once_take_each_its_turn
    what_no_batch_can_hold_is_refused
    both_faces_write_the_same_batches
}

fn event(text: &str) -> Event {
    Event::new("Happened", &json!({ "text": text })).unwrap()
}

/// One of each primitive.
fn fill(store: &Store, batch: &mut Batch, text: &str) -> Result<()> {
    batch.append(format!("stream-{text}"), Expected::NoStream, [event(text)])?;
    batch.push(&store.queue("queue"), &text.to_owned())?;
    batch.publish(&store.channel("channel"), &text.to_owned())?;
    batch.log(&store.log("log"), &text.to_owned()).map(drop)
}

/// How much there is: events, jobs, messages, records.
async fn there(store: &Store) -> Result<[u64; 4]> {
    let jobs = store.queue::<String>("queue").numbers().await?.map_or(0, |it| it.ready + it.claimed);
    let messages = store.channel::<String>("channel").extent().await?.last;
    let records = store.log::<String>("log").extent().await?.last;
    Ok([store.events().head().await?, jobs, messages, records])
}

async fn g2_a_batch_is_there_whole(store: Store) -> Result<()> {
    let mut batch = store.batch();
    fill(&store, &mut batch, "one")?;
    let next = batch.append("stream-one", Expected::Version(1), [event("a"), event("b")])?;
    let late = Push::new().delay(Duration::from_secs(60)).key("k");
    let letter = batch.push_with(&store.queue::<u32>("letters"), &5, late)?;
    assert_eq!(there(&store).await?, [0; 4]);
    let written = batch.commit().await?;
    assert_eq!((written[next].version, written[next].position), (3, 3));
    assert_eq!((written[letter].sequence, written[letter].existed), (1, false));
    assert_eq!(there(&store).await?, [3, 1, 1, 1]);
    let mut other = store.batch();
    let stranger = other.log(&store.log::<u32>("l"), &1)?;
    assert!(written.get(stranger).is_none(), "a slot of another batch");
    assert!(store.batch().commit().await?.get(stranger).is_none(), "of nothing comes nothing");
    Ok(())
}

async fn g2_what_is_refused_leaves_nothing_of_its_batch(store: Store) -> Result<()> {
    store.events().append("order-1", Expected::NoStream, [event("there")]).await?;
    let id = uuid::Uuid::from_u128(7);
    store.events().append("order-2", Expected::Any, [event("known").id(id)]).await?;
    store.queue("queue").push(&"job".to_owned()).await?;
    let before = there(&store).await?;

    let mut batch = store.batch();
    fill(&store, &mut batch, "one")?;
    batch.append("order-1", Expected::NoStream, [event("again")])?;
    let conflict = Error::Conflict { stream: "order-1".into(), expected: Expected::NoStream, actual: 1 };
    assert_eq!(batch.commit().await.unwrap_err(), conflict);

    let mut batch = store.batch();
    batch.append("order-3", Expected::Any, [event("known").id(id)])?;
    fill(&store, &mut batch, "two")?;
    let duplicate = batch.commit().await.unwrap_err();
    assert!(matches!(&duplicate, Error::DuplicateEvent { id: found, .. } if *found == id), "{duplicate}");

    let job = store.queue::<String>("queue").pop().await?;
    store.queue::<String>("queue").remove(job.sequence()).await?;
    let mut batch = store.batch();
    fill(&store, &mut batch, "three")?;
    let sequence = job.sequence();
    job.done_in(&mut batch)?;
    let stale = batch.commit().await.unwrap_err();
    assert_eq!(stale, Error::StaleClaim { queue: "queue".into(), sequence });

    let mut expected = before;
    expected[1] -= 1;
    assert_eq!(there(&store).await?, expected, "but for the job that was removed");
    Ok(())
}

async fn g2_a_batch_that_is_dropped_writes_nothing_and_gives_its_jobs_back(store: Store) -> Result<()> {
    let queue = store.queue::<String>("queue");
    queue.push(&"job".to_owned()).await?;
    for attempt in 1..=2 {
        let job = queue.pop().await?;
        assert_eq!(job.attempt(), attempt);
        let mut batch = store.batch();
        batch.log(&store.log("log"), &"effect".to_owned())?;
        job.done_in(&mut batch)?;
        if attempt == 1 {
            drop(batch);
        } else {
            let sent = begin(batch.commit());
            // It may have been written already, or not been sent at all.
            let _ = sent.is_pending();
            drop(sent);
        }
    }
    // Whatever came of the second: the effect is there if and only if the job is not.
    let left = match queue.pop_within(Duration::from_millis(50)).await? {
        Some(job) => job.release().await.map(|()| 1)?,
        None => 0,
    };
    assert_eq!(store.log::<String>("log").extent().await?.last, 1 - left);
    Ok(())
}

async fn q2_work_that_is_done_twice_has_one_effect(store: Store) -> Result<()> {
    let queue = store.queue::<u64>("queue");
    queue.push_all((0..20).map(|number| (number, Push::new()))).await?;
    let mut tries = 0;
    while let Some(job) = queue.try_pop().await? {
        tries += 1;
        let mut batch = store.batch();
        batch.log(&store.log("effects"), &*job)?;
        if job.attempt() == 1 && *job % 3 == 0 {
            // The worker does its work and falls over before it can say so.
            drop((batch, job));
            continue;
        }
        job.done_in(&mut batch)?;
        batch.commit().await?;
    }
    assert_eq!(tries, 27);
    let mut effects = Vec::new();
    let mut log = store.log::<u64>("effects").range(..);
    while let Some(effect) = log.next().await {
        effects.push(effect?.into_inner());
    }
    effects.sort_unstable();
    assert_eq!(effects, (0..20).collect::<Vec<_>>());
    Ok(())
}

async fn c5_an_effect_and_its_acknowledgement_are_one(store: Store) -> Result<()> {
    let (channel, effects) = (store.channel::<u64>("channel"), store.log::<u64>("effects"));
    channel.publish_all(&[1, 2, 3]).await?;
    let billing = channel.durable("billing");
    let mut consumer = billing.consume().await?;
    for round in 1..=2 {
        let message = consumer.next().await.unwrap()?;
        let mut batch = store.batch();
        batch.log(&effects, &*message)?;
        consumer.ack_in(&mut batch, message.sequence())?;
        if round == 1 {
            batch.commit().await?;
            assert_eq!((consumer.cursor(), billing.cursor().await?), (1, Some(1)));
        }
    }
    // The second was not committed: neither its effect nor its acknowledgement is there.
    assert_eq!((effects.extent().await?.last, consumer.cursor()), (1, 1));
    let mut late = store.batch();
    late.log(&effects, &2)?;
    consumer.ack_in(&mut late, 2)?;
    consumer.stop().await?;
    let next = billing.consume().await?;
    let refused = late.commit().await.unwrap_err();
    assert!(matches!(refused, Error::Fenced { .. }), "{refused}");
    assert_eq!((effects.extent().await?.last, next.cursor()), (1, 1));
    let too_early = next.ack_in(&mut store.batch(), 9).unwrap_err();
    assert!(matches!(too_early, Error::InvalidArgument { .. }), "{too_early}");
    next.stop().await
}

async fn c5_what_is_written_in_a_batch_wakes_who_waits(store: Store) -> Result<()> {
    let (queue, channel) = (store.queue::<String>("queue"), store.channel::<String>("channel"));
    let (mut live, mut pop) = (channel.subscribe().await?, begin(queue.pop()));
    assert!(pop.is_pending());
    for round in 1..=3 {
        // Until it waits, and looks no more by itself.
        for _ in 0..50 {
            queue.numbers().await?;
        }
        let mut batch = store.batch();
        fill(&store, &mut batch, &round.to_string())?;
        batch.publish(&channel, &"again".to_owned())?;
        batch.commit().await?;
        let text = |message: Option<Result<Message<String>>>| message.unwrap().map(Message::into_inner);
        assert_eq!(text(live.next().await)?, round.to_string());
        assert_eq!(text(live.next().await)?, "again");
        // Not before: whoever else asks for a job makes a claim for all who wait.
        let job = pop.await?;
        assert_eq!(*job, round.to_string());
        job.done().await?;
        pop = begin(queue.pop());
    }
    drop(pop);
    Ok(())
}

async fn l3_a_batch_is_guarded_by_a_lock(store: Store) -> Result<()> {
    let lock = store.lock("l");
    let guard = lock.acquire().await?;
    let guarded = |text: &str| -> Result<Batch> {
        let mut batch = store.batch();
        batch.guarded_by(&guard)?;
        fill(&store, &mut batch, text)?;
        Ok(batch)
    };
    let (good, late) = (guarded("one")?, guarded("two")?);
    let mut batch = guarded("three")?;
    let slot = batch.log(&store.log("log"), &"more".to_owned())?;
    assert_eq!(batch.commit().await?[slot], 2, "a condition takes no slot");
    good.commit().await?;
    lock.break_lock().await?;
    let refused = late.commit().await.unwrap_err();
    assert_eq!(refused, Error::Fenced { lock: "l".into(), token: guard.token() });
    let mut through_a_handle = store.batch();
    through_a_handle.log(&store.log("log").guarded_by(&guard), &"stale".to_owned())?;
    assert!(matches!(through_a_handle.commit().await, Err(Error::Fenced { .. })));
    assert_eq!(there(&store).await?, [2, 2, 2, 3]);
    Ok(())
}

async fn many_batches_at_once_take_each_its_turn(store: Store) -> Result<()> {
    // Each moves one of a hundred from here to there, if nobody else has moved it.
    let tasks = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut moved = 0;
            for number in 0..100 {
                let mut batch = store.batch();
                fill(&store, &mut batch, &number.to_string())?;
                match batch.commit().await {
                    Ok(_) => moved += 1,
                    Err(Error::Conflict { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(moved)
        })
    });
    let mut moved = 0;
    for task in tasks.collect::<Vec<_>>() {
        moved += task.await.unwrap()?;
    }
    assert_eq!((moved, there(&store).await?), (100, [100; 4]));
    Ok(())
}

async fn what_no_batch_can_hold_is_refused(store: Store) -> Result<()> {
    let other = Store::memory().await?;
    let mut batch = store.batch();
    let foreign = batch.push(&other.queue("queue"), &1).unwrap_err();
    assert!(foreign.to_string().contains("another store"), "{foreign}");
    let guard = other.lock("l").acquire().await?;
    assert!(matches!(batch.guarded_by(&guard), Err(Error::InvalidArgument { .. })));
    assert!(matches!(batch.push(&store.queue("\0"), &1), Err(Error::InvalidName { .. })));
    assert!(matches!(batch.append("s", Expected::Any, []), Err(Error::InvalidArgument { .. })));
    let log = store.log::<String>("log");
    let large = "x".repeat(12 << 20);
    for _ in 0..5 {
        batch.log(&log, &large)?;
    }
    assert!(matches!(batch.log(&log, &large), Err(Error::TooLarge { .. })));
    batch.log(&log, &"small".to_owned())?;
    batch.commit().await?;
    assert_eq!(log.extent().await?.last, 6, "what was refused was not added, the rest was");
    let mut many = store.batch();
    for _ in 0..10_000 {
        many.log(&log, &String::new())?;
    }
    assert!(matches!(many.log(&log, &String::new()), Err(Error::TooLarge { .. })));
    many.commit().await?;
    other.close().await
}

async fn both_faces_write_the_same_batches(store: Store) -> Result<()> {
    let threads: blocking::Store = store.blocking();
    let work = move || -> Result<()> {
        let (queue, log) = (threads.queue::<String>("queue"), threads.log::<String>("log"));
        let channel = threads.channel::<String>("channel");
        queue.push(&"job".to_owned())?;
        let guard = threads.lock("l").acquire()?;
        let mut consumer = channel.durable("billing").consume()?;
        let job = queue.pop()?;
        let mut batch = threads.batch();
        batch.guarded_by(&guard)?;
        let (record, event) =
            (batch.log(&log, &"effect".to_owned())?, batch.append("s", Expected::Any, [event("e")])?);
        batch.publish(&channel, &"news".to_owned())?;
        batch.push(&queue, &"next".to_owned())?;
        job.done_in(&mut batch)?;
        let written = batch.commit()?;
        assert_eq!((written[record], written[event].version), (1, 1));
        let news = consumer.next().unwrap()?;
        let mut batch = threads.batch();
        consumer.ack_in(&mut batch, news.sequence())?;
        batch.commit()?;
        assert_eq!(consumer.cursor(), 1);
        let ready = queue.page(Some(JobState::Ready), 0, 9)?.jobs.len();
        assert_eq!(ready, 1);
        guard.release()
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}
