//! Copies of a store into another one: the same on both sides, gone on with wherever they were stopped, and never over what is
//! somebody else's.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};

use futures_util::future::{Either, select};
use millpond::{
    CopyProgress, CopyStep, Copying, Error, Expected, Failure, Load, Project, Push, Recorded, Result, Rows,
    Store, blocking,
};
use tempfile::{TempDir, tempdir};
use tokio::sync::Notify;

use crate::backends::{event, wait};
use crate::dumps::{dumped, fill, load, records};
use crate::projections::{start, stop};

/// A new store in a file.
async fn in_a_file(folder: &TempDir) -> Result<Store> {
    Store::open(folder.path().join("other.db")).await
}

/// A projection that makes nothing of anything.
struct Nothing;

impl Project for Nothing {
    fn apply(&mut self, _: &Recorded, _: &mut Rows<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// All that `fill` has, and a stream that is closed, a projection, a schedule, a dead letter, more of what can be cut in two.
pub(crate) async fn fill_well(store: &Store) -> Result<()> {
    fill(store).await?;
    store.events().append("order-3", Expected::Any, [event(7)]).await?;
    store.events().tombstone("order-3", Expected::Any).await?;
    store.subject("bob").key().await?;
    store.subject("bob").shred().await?;
    let mail = store.queue::<String>("mail");
    mail.recurring("digest", "0 7 * * *", &"all".into(), Push::new()).await?;
    mail.recurring("weekly", "0 7 * * MON", &"all".into(), Push::new()).await?;
    let orders = store.channel::<String>("orders");
    for n in 0..4 {
        orders.publish(&format!("desk {n}")).await?;
    }
    let mut late = orders.durable("late").consume().await?;
    for n in 0..3 {
        let message = late.next().await.unwrap()?;
        if n == 2 {
            late.ack(message.sequence()).await?;
        }
    }
    let audit = store.log::<u64>("gone");
    audit.append(&1).await?;
    audit.trim_before(u64::MAX).await?;
    for n in 0..5 {
        store.dict::<u64>("prices").set(format!("chair-{n}"), &n).await?;
        store.list::<u64>("numbers").push_back(&n).await?;
    }
    let sums = store.projection("sums");
    let running = start(sums.projector(store.events().read_all()), Nothing);
    sums.caught_up().await?;
    stop(running).await?;
    store.blobs("films").put("river", vec![7; 300_000]).await?;
    store.blobs("films").put("empty", "").await?;
    Ok(())
}

pub(crate) fn each(records: usize) -> Copying {
    Copying::new().at_once(NonZeroUsize::new(records).unwrap())
}

/// A copy that rests once it has written so many commits: what it comes to when it goes on.
pub(crate) async fn resting<T>(
    commits: usize,
    copying: Copying,
    copy: impl AsyncFnOnce(Copying) -> Result<T>,
    meanwhile: impl AsyncFnOnce() -> Result<()>,
) -> Result<Option<T>> {
    let (rests, written) = (Arc::new(Notify::new()), Mutex::new(0));
    let (go, goes_on) = mpsc::channel::<()>();
    let (tell, goes_on) = (Arc::clone(&rests), Mutex::new(goes_on));
    let copying = copying.progress(move |far: CopyProgress| {
        if far.step == CopyStep::Write {
            *written.lock().unwrap() += 1;
            if *written.lock().unwrap() == commits {
                tell.notify_one();
                // Nobody is told of this commit before it is known that it was made.
                let _ = goes_on.lock().unwrap().recv();
            }
        }
    });
    let copy = pin!(copy(copying));
    match select(pin!(rests.notified()), copy).await {
        Either::Left(((), copy)) => {
            go.send(()).unwrap();
            meanwhile().await?;
            copy.await.map(Some)
        }
        // It was done before.
        Either::Right((done, _)) => done.map(|_| None),
    }
}

/// A copy that is given up for good once it has written so many commits. Whether it came so far.
pub(crate) async fn stopped(commits: usize, from: &Store, to: &Store) -> Result<bool> {
    let gone = Error::Closed;
    let stop = async || Err(gone.clone());
    match resting(commits, each(1), async |copying| from.copy_to(to, copying).await, stop).await {
        Err(error) if error == gone => Ok(true),
        Err(error) => Err(error),
        Ok(_) => Ok(false),
    }
}

async fn a_copy_is_what_it_is_copied_from(store: Store) -> Result<()> {
    let folder = tempdir().unwrap();
    fill_well(&store).await?;
    let guard = store.lock("own").acquire().await?;
    let text = dumped(&store).await?;
    let (other, memory) = (in_a_file(&folder).await?, Store::memory().await?);
    for to in [&other, &memory] {
        let copied = store.copy_to(to, Copying::new()).await?;
        let there = dumped(to).await?;
        assert_eq!(records(&there), records(&text));
        assert_eq!((copied.written, copied.known), (records(&text).len() as u64, 0));
        assert_eq!((copied.records(), copied.position), (copied.written, 6));
        assert_eq!((copied.counts["stream.event"], copied.counts["dict.entry"]), (6, 7));
        assert!(to.check().await?.is_sound());
        // Tokens keep their order, and everything goes on behind its numbers.
        assert!(to.lock("own").acquire().await?.token() > guard.token());
        assert_eq!(to.events().append("order-1", Expected::Version(2), [event(9)]).await?.position, 7);
        assert_eq!(to.dict::<u64>("prices").get("lamp").await?.as_deref(), Some(&700));
        assert_eq!(to.channel::<u64>("orders").publish(&9).await?, 6);
    }
    assert_eq!(dumped(&store).await?.lines().count(), text.lines().count());
    guard.release().await?;
    memory.close().await?;
    other.close().await
}

async fn a_copy_that_was_made_has_nothing_to_write(store: Store) -> Result<()> {
    let folder = tempdir().unwrap();
    fill_well(&store).await?;
    let other = in_a_file(&folder).await?;
    let first = store.copy_to(&other, Copying::new()).await?;
    let text = dumped(&other).await?;
    let again = store.copy_to(&other, Copying::new()).await?;
    assert_eq!((again.written, again.known), (0, first.written));
    assert_eq!((&again.counts, again.checksum), (&first.counts, first.checksum));
    assert_eq!(records(&dumped(&other).await?), records(&text));
    other.close().await
}

async fn a_copy_goes_on_wherever_it_was_stopped(store: Store) -> Result<()> {
    fill_well(&store).await?;
    let text = dumped(&store).await?;
    let all = records(&text).len() as u64;
    let (slow, mut commits) = (Store::memory().await?, 0);
    // One that is stopped after each of its commits.
    while stopped(1, &store, &slow).await? {
        commits += 1;
        let report = slow.check().await?;
        assert!(report.is_sound(), "after {commits} commits: {report:?}");
    }
    assert!(commits > 30, "{commits}");
    assert_eq!(records(&dumped(&slow).await?), records(&text));
    slow.close().await?;
    // And one that is stopped once, here and there.
    for stop in (1..commits).step_by(7) {
        let folder = tempdir().unwrap();
        let other = in_a_file(&folder).await?;
        assert!(stopped(stop, &store, &other).await?);
        let report = other.check().await?;
        assert!(report.is_sound(), "after {stop} commits: {report:?}");
        let copied = store.copy_to(&other, each(2)).await?;
        assert_eq!(copied.written + copied.known, all, "after {stop} commits");
        assert!(copied.known >= stop as u64 && copied.written > 0);
        assert_eq!(records(&dumped(&other).await?), records(&text), "after {stop} commits");
        assert!(other.check().await?.is_sound());
        other.close().await?;
    }
    Ok(())
}

async fn onto_something_else_nothing_is_copied(store: Store) -> Result<()> {
    let folder = tempdir().unwrap();
    fill_well(&store).await?;
    let other = in_a_file(&folder).await?;
    let refused = async |record: &str, reason: &str| -> Result<()> {
        let before = dumped(&other).await?;
        let (record, reason) = (record.to_owned(), reason.to_owned());
        let refused = store.copy_to(&other, Copying::new()).await;
        assert_eq!(refused, Err(Error::NotTheCopy { record, reason }));
        assert_eq!(records(&dumped(&other).await?), records(&before));
        Ok(())
    };
    other.dict::<u64>("zebras").set("k", &1).await?;
    refused("subject \"ada\"", "is not there: dict \"zebras\" stands in its place").await?;
    let error = store.copy_to(&other, Copying::new()).await.unwrap_err().to_string();
    let said = "what is there is not the beginning of this copy: subject \"ada\" is not there: dict \"zebras\" stands in its place; nothing was written, copy to an empty place";
    assert_eq!(error, said);
    // What has all of it and more is no beginning either.
    let more = Store::memory().await?;
    store.copy_to(&more, Copying::new()).await?;
    let running = start(more.projection("zebras").projector(more.events().read_all()), Nothing);
    more.projection("zebras").caught_up().await?;
    stop(running).await?;
    let record = "projection \"zebras\"".to_owned();
    let reason = "is there, and is not in what is copied".to_owned();
    assert_eq!(store.copy_to(&more, Copying::new()).await, Err(Error::NotTheCopy { record, reason }));
    more.close().await?;
    other.close().await
}

async fn what_changes_between_two_runs_is_copied_or_refused(store: Store) -> Result<()> {
    fill_well(&store).await?;
    // Dicts come late: when the events are there, they are not.
    let begun = async || -> Result<Store> {
        let other = Store::memory().await?;
        assert!(stopped(10, &store, &other).await?);
        Ok(other)
    };
    let other = begun().await?;
    let before = dumped(&other).await?;
    store.dict::<u64>("prices").set("lamp", &701).await?;
    store.dict::<u64>("a new one").set("k", &1).await?;
    let copied = store.copy_to(&other, Copying::new()).await?;
    assert_eq!(copied.known, records(&before).len() as u64);
    assert_eq!(records(&dumped(&other).await?), records(&dumped(&store).await?));
    other.close().await?;

    let other = begun().await?;
    let before = dumped(&other).await?;
    store.events().append("order-1", Expected::Any, [event(8)]).await?;
    let record = "event 3 of stream \"order-1\" (position 7)".to_owned();
    let reason = "is not there: stream \"order-2\" stands in its place".to_owned();
    assert_eq!(store.copy_to(&other, Copying::new()).await, Err(Error::NotTheCopy { record, reason }));
    assert_eq!(records(&dumped(&other).await?), records(&before), "nothing was written");
    other.close().await
}

async fn a_copy_is_the_same_on_the_blocking_face(store: Store) -> Result<()> {
    fill_well(&store).await?;
    let text = dumped(&store).await?;
    let from = store.blocking();
    let blocking = move || {
        let folder = tempdir().unwrap();
        let (to, path) = (blocking::Store::memory()?, folder.path().join("a.jsonl"));
        let first = from.copy_to(&to, Copying::new())?;
        let on_paper = from.copy_to_dump(&path, Copying::new())?;
        assert_eq!(on_paper.checksum, first.checksum);
        let again = to.copy_from_dump(std::fs::File::open(&path).unwrap(), Copying::new())?;
        assert_eq!((again.written, again.known), (0, first.written));
        let itself = from.copy_to(&from.clone(), Copying::new());
        assert!(matches!(itself, Err(Error::CopyRefused { .. })));
        to.close()?;
        assert_eq!(records(&std::fs::read_to_string(&path).unwrap()), records(&text));
        Ok(())
    };
    std::thread::scope(|threads| threads.spawn(blocking).join().unwrap())
}

each_backend! {
    a_copy_is_what_it_is_copied_from
    a_copy_that_was_made_has_nothing_to_write
    a_copy_goes_on_wherever_it_was_stopped
    onto_something_else_nothing_is_copied
    what_changes_between_two_runs_is_copied_or_refused
    a_copy_is_the_same_on_the_blocking_face
}

/// What is over is not copied, and is not missed, whenever its time has come.
#[cfg(feature = "testing")]
async fn what_is_over_meanwhile_is_not_missed(store: Store, clock: Arc<millpond::ManualClock>) -> Result<()> {
    let sessions = store.dict::<u64>("sessions");
    let ttl = std::time::Duration::from_secs(60);
    sessions.set_with("ada", &1, millpond::Put::new().ttl(ttl)).await?;
    sessions.set("bob", &2).await?;
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    store.copy_to_dump(&path, Copying::new()).await?;
    let open = async || {
        let builder = Store::builder().clock(Arc::<millpond::ManualClock>::clone(&clock));
        builder.open(millpond::Location::Memory).await
    };
    let (other, third) = (open().await?, open().await?);
    assert!(stopped(2, &store, &other).await?);
    assert_eq!(other.dict::<u64>("sessions").get("ada").await?.as_deref(), Some(&1));
    clock.advance(ttl * 2);
    let copied = store.copy_to(&other, Copying::new()).await?;
    assert_eq!((copied.known, copied.written, copied.records()), (1, 1, 2));
    let copied = third.copy_from_dump(std::fs::File::open(&path).unwrap(), Copying::new()).await?;
    assert_eq!((copied.written, copied.records()), (2, 2));
    assert_eq!(third.dict::<u64>("sessions").get("ada").await?.as_deref(), None);
    third.close().await?;
    other.close().await
}

#[cfg(feature = "testing")]
mod by_hand {
    each_backend! {
        on a clock:
        what_is_over_meanwhile_is_not_missed
    }
    use super::what_is_over_meanwhile_is_not_missed;
}

#[test]
fn a_backup_is_another_store() {
    let folder = tempdir().unwrap();
    wait(async {
        let store = Store::open(folder.path().join("a.db")).await?;
        store.dict::<u64>("d").set("k", &1).await?;
        store.backup(folder.path().join("b.db")).await?;
        let backup = Store::open(folder.path().join("b.db")).await?;
        let copied = store.copy_to(&backup, Copying::new()).await;
        // It has its id and its records, and tokens that are far above.
        assert_eq!(copied.map(|copied| (copied.written, copied.known)), Ok((0, 2)));
        let text = dumped(&store).await?;
        let refused = load(&backup, &text, Load::new()).await;
        assert!(matches!(refused, Err(Error::Exists { .. })));
        backup.close().await?;
        store.close().await
    })
    .unwrap();
}
