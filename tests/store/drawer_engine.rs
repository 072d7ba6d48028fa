//! What the engine of the reference store gets wrong, row by row (`x1_..` to `x6_..`), tried with what its drawer is used for most: dicts,
//! lists and blobs. The rest of X1 is what power cuts have to show (`torture power`), and X7 is that both faces have the same names
//! (`drawer_x7_..`).

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use crossbeam_channel::{Receiver, Sender, bounded};
use futures_util::future::try_join_all;
use millpond::{Dump, Error, Put, Result, Store};

use crate::backends::until;
use crate::peer::{Peer, file};

each_backend! {
    x2_a_call_that_is_dropped_at_any_moment_holds_up_nobody
    x3_writes_that_one_task_makes_at_once_do_not_wait_for_each_other
    x4_nobody_reads_what_was_not_committed
    x5_who_takes_long_to_read_keeps_nobody_waiting
}

/// Each is let go a step further than the one before.
async fn x2_a_call_that_is_dropped_at_any_moment_holds_up_nobody(store: Store) -> Result<()> {
    let (dict, list, blobs) = (store.dict::<u64>("d"), store.list::<u64>("l"), store.blobs("b"));
    for steps in 0..60 {
        let mut batch = store.batch();
        batch.set(&dict, "batch", &steps)?;
        batch.push_back(&list, &steps)?;
        let calls: [std::pin::Pin<Box<dyn Future<Output = Result<()>> + '_>>; 4] = [
            Box::pin(async { dict.set("k", &steps).await.map(drop) }),
            Box::pin(async { list.push_front(&steps).await.map(drop) }),
            Box::pin(async { blobs.put("blob", &[7; 300_000]).await.map(drop) }),
            Box::pin(async { batch.commit().await.map(drop) }),
        ];
        for mut call in calls {
            for _ in 0..steps {
                if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                std::thread::yield_now();
            }
        }
    }
    dict.set("last", &1).await?;
    list.push_back(&1).await?;
    blobs.put("last", b"1").await?;
    assert!(store.health().is_good());
    Ok(())
}

async fn x3_writes_that_one_task_makes_at_once_do_not_wait_for_each_other(store: Store) -> Result<()> {
    let (dict, list) = (store.dict::<u64>("d"), store.list::<u64>("l"));
    let numbers: Vec<u64> = (0..50).collect();
    let sets = numbers.iter().map(|number| async { dict.set(number.to_string(), number).await.map(drop) });
    let pushes = numbers.iter().map(|number| async { list.push_back(number).await.map(drop) });
    let batches = numbers.iter().map(|number| async {
        let mut batch = store.batch();
        batch.increment(&dict, "sum", 1)?;
        batch.push_back(&list, number)?;
        batch.commit().await.map(drop)
    });
    let ((), (), ()) = tokio::try_join!(
        async { try_join_all(sets).await.map(drop) },
        async { try_join_all(pushes).await.map(drop) },
        async { try_join_all(batches).await.map(drop) },
    )?;
    assert_eq!((dict.get("sum").await?.as_deref(), list.count().await?), (Some(&50), 100));
    Ok(())
}

/// Batches that are refused at their end, while others read what they would have written.
async fn x4_nobody_reads_what_was_not_committed(store: Store) -> Result<()> {
    let (dict, list, blobs) = (store.dict::<u64>("d"), store.list::<u64>("l"), store.blobs("b"));
    dict.set("there", &1).await?;
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (dict, list, blobs, done) = (dict.clone(), list.clone(), blobs.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                assert_eq!(dict.get("never").await?.map(|it| *it), None);
                assert_eq!((list.count().await?, blobs.count().await?), (0, 0));
            }
            Ok::<_, Error>(())
        })
    };
    for number in 0..100 {
        let mut batch = store.batch();
        batch.set(&dict, "never", &number)?;
        batch.push_back(&list, &number)?;
        let writer = blobs.write("never");
        let _blob = writer.finish_in(&mut batch).await?;
        batch.set_with(&dict, "there", &number, Put::new().absent())?;
        assert!(matches!(batch.commit().await, Err(Error::EntryConflict { .. })));
    }
    done.store(true, Ordering::SeqCst);
    reader.await.unwrap()
}

/// A place that a dump is written to, which says that it has begun and waits until it may go on.
struct Slow(Sender<()>, Receiver<()>);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.try_send(());
        let _ = self.1.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn x5_who_takes_long_to_read_keeps_nobody_waiting(store: Store) -> Result<()> {
    let (dict, list) = (store.dict::<u64>("d"), store.list::<u64>("l"));
    dict.set("k", &1).await?;
    let ((begun, begins), (go_on, waits)) = (bounded(1), bounded::<()>(1));
    let dump = {
        let store = store.clone();
        tokio::spawn(async move { store.dump(Slow(begun, waits), Dump::new()).await.map(drop) })
    };
    until(async || Ok(!begins.is_empty())).await?;
    for number in 0..50 {
        dict.set("k", &number).await?;
        assert_eq!(dict.get("k").await?.as_deref(), Some(&number));
        list.push_back(&number).await?;
        assert_eq!(list.get(-1).await?.as_deref(), Some(&number));
    }
    assert!(!dump.is_finished(), "it still waits for its reader");
    drop(go_on);
    dump.await.unwrap()
}

#[test]
fn x6_a_process_that_forgets_to_close_its_store_ends() {
    let (_folder, file) = file();
    let mut a = Peer::start(&file);
    assert_eq!(a.ask("push-back l 7"), "1");
    a.tell("forget");
    a.ended();
    let mut b = Peer::start(&file);
    assert_eq!(b.ask("pop-front l"), "7");
}
