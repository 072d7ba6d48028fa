//! Benches of lists: what an operation costs in a long one against a short one, and after very many inserts at one place.

use std::path::Path;

use millpond::{List, ListEnd, Store};

use super::drive::block_on;
use super::figures::{Figures, Kind};
use crate::failure::Done;
use crate::time::Stopwatch;

/// Items of the short list.
const FEW: u64 = 1_000;

/// Items that are pushed in one commit.
const CHUNK: u64 = 10_000;

/// What an operation may cost in the long list, against the short one.
const BAR: f64 = 2.0;

/// Inserts at one place that are in flight at once.
const AT_ONCE: u64 = 100;

/// An operation of the bench on a list of about so many items, the how-manieth.
type Act = for<'a> fn(&'a List<u64>, u64, u64) -> Boxed<'a>;
type Boxed<'a> = std::pin::Pin<Box<dyn Future<Output = millpond::Result<()>> + 'a>>;

const ACTS: [(&str, Act); 4] = [
    ("list_push", |list, _, n| Box::pin(async move { list.push_back(&n).await.map(drop) })),
    ("list_insert_middle", |list, count, n| {
        Box::pin(async move { list.insert((count / 2).cast_signed(), &n).await.map(drop) })
    }),
    ("list_get", |list, count, n| {
        // A step that has no divisor in common with the usual sizes goes all over the list.
        let index = (n.wrapping_mul(7_919) % count).cast_signed();
        Box::pin(async move { list.get(index).await.map(drop) })
    }),
    ("list_pop", |list, _, _| Box::pin(async move { list.try_pop_front().await.map(drop) })),
];

async fn fill(list: &List<u64>, count: u64) -> millpond::Result<()> {
    for first in (0..count).step_by(CHUNK as usize) {
        list.push_all(ListEnd::Back, first..count.min(first + CHUNK)).await?;
    }
    Ok(())
}

fn half_of(mut nanos: Vec<u64>) -> u64 {
    nanos.sort_unstable();
    nanos.get(nanos.len() / 2).copied().unwrap_or(0)
}

fn against(workload: &'static str, size: u64, few: u64, many: u64, bar: f64) -> Figures {
    let ratio = (many as f64 / few.max(1) as f64 * 1_000.0).round() / 1_000.0;
    let figures = Kind::Against { few_us: few / 1_000, many_us: many / 1_000, ratio };
    Figures { workload, size, figures, reached: ratio <= bar }
}

/// Each operation of a lone caller in a list of so many items, and in one of 1,000, in turns.
pub(super) fn sizes(folder: &Path, items: u64, rounds: usize) -> Done<Vec<Figures>> {
    let figures = block_on(async {
        // In files of their own: a file that is large has larger indexes for everything in it.
        let short = Store::open(folder.join(format!("list-short-{items}.db"))).await?;
        let long = Store::open(folder.join(format!("list-long-{items}.db"))).await?;
        let (few, many) = (short.list::<u64>("l"), long.list::<u64>("l"));
        fill(&few, FEW).await?;
        fill(&many, items).await?;
        let mut all = Vec::new();
        for (name, act) in ACTS {
            let (mut in_few, mut in_many) = (Vec::new(), Vec::new());
            for round in 0..rounds as u64 {
                for (list, count, nanos) in [(&few, FEW, &mut in_few), (&many, items, &mut in_many)] {
                    let began = Stopwatch::start();
                    act(list, count, round).await?;
                    nanos.push(began.elapsed().as_nanos() as u64);
                }
                if name == "list_push" || name == "list_insert_middle" {
                    // The short one stays short.
                    few.try_pop_front().await?;
                }
            }
            all.push(against(name, items, half_of(in_few), half_of(in_many), BAR));
        }
        short.close().await?;
        long.close().await?;
        Ok(all)
    })?;
    Ok(figures)
}

/// What half of a thousand inserts of a lone caller take at most.
async fn alone(list: &List<u64>, place: i64) -> millpond::Result<u64> {
    let mut nanos = Vec::new();
    for number in 0..1_000_u64 {
        let began = Stopwatch::start();
        list.insert(place, &number).await?;
        nanos.push(began.elapsed().as_nanos() as u64);
    }
    Ok(half_of(nanos))
}

/// So many inserts at one place: what the last thousand of a lone caller cost against the first thousand.
pub(super) fn one_place(file: &Path, inserts: u64) -> Done<Figures> {
    let (first, last) = block_on(async {
        let store = Store::open(file).await?;
        let list = store.list::<u64>("l");
        fill(&list, FEW).await?;
        let place = (FEW / 2).cast_signed();
        let first = alone(&list, place).await?;
        for _ in (0..inserts.saturating_sub(2_000)).step_by(AT_ONCE as usize) {
            let numbers: Vec<u64> = (0..AT_ONCE).collect();
            let all = numbers.iter().map(|number| list.insert(place, number));
            futures_util::future::try_join_all(all).await?;
        }
        let last = alone(&list, place).await?;
        store.close().await?;
        Ok((first, last))
    })?;
    Ok(against("list_one_place", inserts, first, last, BAR))
}
