//! Projections on threads, and all of a store's projections looked at.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use millpond::blocking;
use millpond::{Attempt, Error, Expected, Failure, From, Project, Recorded, Result, Rows, Store};

use crate::backends::event;

each_backend! {
    both_faces_of_a_projection
    a_thread_that_projects_is_stopped_by_another
    a_thread_that_waits_for_a_position_is_told
    threads_share_the_partitions_of_a_projection
    projections_are_listed_as_they_are_read
}

/// Writes down the positions of what it sees, in a log that is named so.
fn positions(store: &blocking::Store, log: &str) -> impl Project + Send + 'static {
    let log = store.asynchronous().log::<u64>(log);
    move |event: &Recorded, rows: &mut Rows<'_>| -> Result<(), Failure> {
        rows.log(&log, &event.position())?;
        Ok(())
    }
}

fn append(store: &blocking::Store, events: u64) -> Result<u64> {
    let events: Vec<_> = (0..events).map(event).collect();
    Ok(store.events().append("c-1", Expected::Any, events)?.position)
}

fn logged(store: &blocking::Store, log: &str) -> Vec<u64> {
    store.log::<u64>(log).range(..).map(|record| *record.unwrap()).collect()
}

async fn on_a_thread(store: Store, case: fn(&blocking::Store) -> Result<()>) -> Result<()> {
    let store = store.blocking();
    tokio::task::spawn_blocking(move || case(&store)).await.unwrap()
}

async fn both_faces_of_a_projection(store: Store) -> Result<()> {
    on_a_thread(store, |store| {
        let projection = store.projection("all").starting(From::After(1));
        assert!(!projection.pause()? && !projection.resume()? && !projection.remove()?);
        assert!(!projection.reset(From::Start)? && !projection.rebuild(From::Now)?);
        assert_eq!(projection.progress()?, None);
        append(store, 5)?;
        let all = || store.events().read_all();
        let project = || projection.projector(all()).batch(2).attempts(3).drain().run(positions(store, "l"));
        let projected = project()?;
        assert_eq!((projected.handled, projected.commits), (4, 2));
        projection.caught_up()?;
        assert!(projection.pause()?);
        append(store, 1)?;
        let progress = projection.progress()?.unwrap();
        assert!(progress.paused);
        assert_eq!((progress.position, progress.lag()), (5, 1));
        assert!(projection.resume()? && projection.rebuild(From::After(5))?);
        assert_eq!(rebuilt(projection.progress()?), Some((2, 5)));
        project()?;
        assert!(projection.reset(From::Now)?);
        assert_eq!(project()?.handled, 0);
        assert_eq!(logged(store, "l"), [2, 3, 4, 5, 6]);
        assert!(matches!(projection.reset(From::After(u64::MAX)), Err(Error::InvalidArgument { .. })));
        let refused = projection.projector(all()).batch(0).run(positions(store, "l"));
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })));
        append(store, 1)?;
        let poison = |_: &Recorded, _: &mut Rows<'_>| -> Result<(), Failure> { Err("never".into()) };
        projection.projector(all()).attempts(1).dead_letters().drain().run(poison)?;
        assert_eq!(projection.dead_letters().numbers()?.unwrap().dead, 1);
        assert!(projection.remove()?);
        assert_eq!(projection.progress()?, None);
        Ok(())
    })
    .await
}

async fn a_thread_that_projects_is_stopped_by_another(store: Store) -> Result<()> {
    on_a_thread(store, |store| {
        let projection = store.projection("all");
        let projector = projection.projector(store.events().read_all());
        let (stopper, project) = (projector.stopper(), positions(store, "l"));
        thread::scope(|scope| {
            let running = scope.spawn(|| projector.run(project));
            for _ in 0..3 {
                // It sleeps by then, or is about to.
                projection.wait_for(append(store, 4)?)?;
            }
            let holder = store.inspect().projector("all")?.unwrap().holder().unwrap().grant.process;
            assert_eq!(holder, store.inspect().process());
            stopper.stop(Duration::from_secs(60));
            assert_eq!(running.join().unwrap()?.handled, 12);
            Ok::<_, Error>(())
        })?;
        assert!(store.inspect().projector("all")?.unwrap().holder().is_none(), "the next one may begin");
        append(store, 1)?;
        assert_eq!(projection.progress()?.unwrap().lag(), 1);
        assert_eq!(logged(store, "l"), (1..=12).collect::<Vec<_>>());
        Ok(())
    })
    .await
}

async fn threads_share_the_partitions_of_a_projection(store: Store) -> Result<()> {
    on_a_thread(store, |store| {
        let projection = store.projection("mails").ttl(Duration::from_secs(5));
        let (seen, told) = mpsc::channel();
        thread::scope(|scope| {
            let start = || {
                let seen = seen.clone();
                let reactor = projection.reactor(store.events().read_all()).partitions(4).streams(2);
                let stopper = reactor.stopper();
                let run = move |event: Attempt| {
                    seen.send((event.stream().to_owned(), event.version())).map_err(|_| "nobody listens")
                };
                (scope.spawn(move || reactor.run(run)), stopper)
            };
            let running = [start(), start()];
            for n in 0..10 {
                store.events().append(format!("c-{}", n % 5), Expected::Any, [event(n)])?;
            }
            projection.caught_up()?;
            for (running, stopper) in running {
                stopper.stop(Duration::from_secs(60));
                running.join().unwrap()?;
            }
            Ok::<_, Error>(())
        })?;
        let mut seen: Vec<_> = told.try_iter().collect();
        // Those of a stream came in this order.
        seen.sort_by(|(one, _), (other, _)| one.cmp(other));
        let all = (0..5).flat_map(|stream| [(format!("c-{stream}"), 1), (format!("c-{stream}"), 2)]);
        assert_eq!(seen, all.collect::<Vec<_>>());
        assert_eq!(projection.progress()?.unwrap().partitions, 4);
        Ok(())
    })
    .await
}

async fn a_thread_that_waits_for_a_position_is_told(store: Store) -> Result<()> {
    on_a_thread(store, |store| {
        let projection = store.projection("all");
        let all = || store.events().read_all();
        thread::scope(|scope| {
            // Before there is such a projection, or such an event.
            let (ready, is_ready) = mpsc::channel();
            let waiting = projection.clone();
            let waiter = scope.spawn(move || {
                ready.send(()).unwrap();
                waiting.wait_for(3)
            });
            is_ready.recv().unwrap();
            append(store, 3)?;
            projection.projector(all()).drain().run(positions(store, "l"))?;
            waiter.join().unwrap()?;
            // And when it does not come, because the projection is parked, or the store is closed.
            append(store, 1)?;
            let waiter = scope.spawn(|| projection.caught_up());
            let poison = |_: &Recorded, _: &mut Rows<'_>| -> Result<(), Failure> { Err("never".into()) };
            let drained = projection.projector(all()).attempts(1).drain().run(poison);
            assert!(matches!(drained, Err(Error::Parked { .. })));
            assert_eq!(waiter.join().unwrap(), drained.map(drop));
            projection.resume()?;
            let waiter = scope.spawn(|| projection.wait_for(u64::MAX));
            store.close()?;
            assert_eq!(waiter.join().unwrap(), Err(Error::Closed));
            Ok(())
        })
    })
    .await
}

/// What it makes can be read while it is made anew, but it is not made: so a rebuild stays one.
struct Stuck;

impl Project for Stuck {
    fn apply(&mut self, _: &Recorded, rows: &mut Rows<'_>) -> Result<(), Failure> {
        if rows.generation() > 1 { Err("stuck".into()) } else { Ok(()) }
    }

    fn beside(&self) -> bool {
        true
    }
}

async fn projections_are_listed_as_they_are_read(store: Store) -> Result<()> {
    on_a_thread(store, |store| {
        let inspect = store.inspect();
        assert_eq!(inspect.projections(None, 10)?, []);
        append(store, 3)?;
        let all = || store.events().read_all();
        let odd = "it's a \"b/c\" 100%";
        for name in ["b", odd, "a"] {
            store.projection(name).projector(all()).drain().run(positions(store, "l"))?;
        }
        let stuck = || store.projection("b").projector(all()).attempts(1).drain().run(Stuck);
        store.projection("b").rebuild(From::After(1))?;
        assert!(matches!(stuck(), Err(Error::Parked { .. })));
        store.projection("a").pause()?;
        let listed = inspect.projections(None, 10)?;
        let names =
            |listed: &[millpond::Progress]| listed.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&listed), ["a", "b", odd]);
        for progress in &listed {
            assert_eq!(store.projection(&progress.name).progress()?.as_ref(), Some(progress));
        }
        assert_eq!(rebuilt(Some(listed[1].clone())), Some((2, 1)), "one line, however many generations");
        assert_eq!(names(&inspect.projections(None, 2)?), ["a", "b"]);
        assert_eq!(names(&inspect.projections(Some("b"), 2)?), [odd]);
        assert_eq!(inspect.projector("nobody's")?, None);
        assert_eq!(inspect.projector(odd)?.unwrap().holder(), None);
        assert!(matches!(inspect.projector(""), Err(Error::InvalidName { .. })));
        Ok(())
    })
    .await
}

/// Which generation is being made, and how far it has come.
fn rebuilt(progress: Option<millpond::Progress>) -> Option<(u64, u64)> {
    progress.and_then(|progress| progress.rebuilding).map(|newer| (newer.generation, newer.position))
}
