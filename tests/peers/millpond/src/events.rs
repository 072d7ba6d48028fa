//! Events and aggregates. An aggregate stays in memory, so it keeps no snapshots.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use millpond::{Aggregate, Decision, Expected, Failure, Recorded, Rows, Store};
use peers::measure::{Tally, drive_tasks, runtime};
use peers::{Asked, CHUNK, Events, Measured, Outcome, PROJECTED, PROJECTION, STREAMS, Stopwatch, payload};
use serde::{Deserialize, Serialize};

use crate::{Millpond, open};

/// Counts what was noted.
#[derive(Clone, Debug, Default)]
struct Notes {
    events: u64,
    bytes: usize,
}

#[derive(Debug, Deserialize, Serialize)]
enum Happened {
    Noted { text: String },
}

fn noted() -> Happened {
    Happened::Noted { text: payload() }
}

impl Aggregate for Notes {
    const KIND: &'static str = "notes";
    /// Notes so many.
    type Command = u64;
    type Event = Happened;
    type Rejection = Infallible;

    fn decide(&self, count: &u64) -> Result<Decision<Notes>, Infallible> {
        Ok((0..*count).map(|_| noted()).collect::<Vec<_>>().into())
    }

    fn evolve(&mut self, Happened::Noted { text }: &Happened) {
        self.events += 1;
        self.bytes += text.len();
    }
}

/// Gives an aggregate so many events.
async fn fill(store: &Store, id: &str, events: u64) -> Outcome<()> {
    let notes = store.aggregate::<Notes>(id);
    for first in (0..events).step_by(CHUNK as usize) {
        notes.execute(CHUNK.min(events - first)).await?;
    }
    Ok(())
}

impl Events for Millpond {
    fn append(&self, asked: &Asked, seconds: f64) -> Outcome<Measured> {
        let runtime = runtime()?;
        let store = runtime.block_on(open(asked))?;
        let (events, notes, mut version) = (store.events(), store.aggregate::<Notes>("1"), 0);
        let caller = move || {
            let (events, notes, expected) = (events.clone(), notes.clone(), Expected::Version(version));
            version += 1;
            async move {
                let event = notes.encode(&noted())?;
                Ok(events.append("notes-1", expected, [event]).await.map(drop)?)
            }
        };
        let measured = drive_tasks(&runtime, vec![caller], seconds)?;
        runtime.block_on(store.close())?;
        Ok(measured)
    }

    fn command(&self, asked: &Asked, callers: usize, aggregates: usize, seconds: f64) -> Outcome<Measured> {
        let runtime = runtime()?;
        let store = runtime.block_on(open(asked))?;
        let tally = Arc::new(Tally::default());
        let caller = |number: usize| {
            let notes = store.aggregate::<Notes>((number % aggregates).to_string());
            let tally = Arc::clone(&tally);
            move || {
                let (notes, tally) = (notes.clone(), Arc::clone(&tally));
                async move {
                    notes.execute(1).await?;
                    tally.done();
                    Ok(())
                }
            }
        };
        let measured = drive_tasks(&runtime, (0..callers).map(caller).collect(), seconds)?;
        let written = runtime.block_on(store.events().head())?;
        runtime.block_on(store.close())?;
        tally.check(measured, written)
    }

    fn load(&self, asked: &Asked, events: u64, rounds: usize) -> Outcome<Measured> {
        runtime()?.block_on(async {
            let store = open(asked).await?;
            fill(&store, "1", events).await?;
            let notes = store.aggregate::<Notes>("1");
            let mut each = Vec::new();
            for _ in 0..rounds {
                let began = Stopwatch::start();
                // Made anew from the events each time, and kept nowhere.
                let loaded = notes.at_version(events).await?;
                each.push(began.elapsed());
                assert_eq!(black_box(loaded).events, events, "all of it is loaded");
            }
            store.close().await?;
            Ok(Measured::times(each))
        })
    }

    fn read_all(&self, asked: &Asked, events: u64) -> Outcome<Measured> {
        runtime()?.block_on(async {
            let store = open(asked).await?;
            for stream in 0..STREAMS {
                fill(&store, &stream.to_string(), events / STREAMS).await?;
            }
            let (began, mut read, mut all) = (Stopwatch::start(), 0, store.events().read_all());
            while let Some(event) = all.next().await {
                black_box(event?.decode_event::<Happened>()?);
                read += 1;
            }
            let measured = Measured::rate(read, began.elapsed());
            store.close().await?;
            if read == events { Ok(measured) } else { Err(format!("{read} of {events} were read").into()) }
        })
    }

    fn catch_up(&self, asked: &Asked, events: u64, batch: Option<u32>) -> Outcome<Option<Measured>> {
        runtime()?.block_on(async {
            let store = open(asked).await?;
            for stream in 0..PROJECTED {
                fill(&store, &stream.to_string(), events / PROJECTED).await?;
            }
            let mut seen = Vec::new();
            // The peer decodes an event before it calls the handler; here that is the handler's.
            let handler = |event: &Recorded, _: &mut Rows<'_>| -> Result<(), Failure> {
                black_box(event.decode_event::<Happened>()?);
                seen.push(event.position());
                Ok(())
            };
            let began = Stopwatch::start();
            let projection = store.projection(PROJECTION);
            let projector = projection.projector(store.events().read_all()).drain();
            let projector = if let Some(batch) = batch { projector.batch(batch) } else { projector };
            projector.run(handler).await?;
            let measured = Measured::rate(events, began.elapsed());
            store.close().await?;
            // What it remembers is in the file.
            let store = open(asked).await?;
            let progress = store.projection(PROJECTION).progress().await?.ok_or("there is no checkpoint")?;
            store.close().await?;
            if !seen.iter().copied().eq(1..=events) {
                return Err(format!("of {events} events not each was projected once, in order").into());
            }
            if (progress.position, progress.lag()) != (events, 0) {
                return Err(format!("it has come to {} of {events}", progress.position).into());
            }
            Ok(Some(measured))
        })
    }
}
