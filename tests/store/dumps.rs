//! Dumps: a store as text, made while others write, and back: all of it or nothing.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use millpond::{
    Dump, Error, Expected, Json, ListEnd, Load, Loaded, Push, Result, Retention, SealKey, Stamp, Store,
    blocking,
};

use crate::backends::{event, wait};
use crate::peer::{Peer, file};

/// A place that a dump is written to and that stays with the test.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

pub(crate) async fn dumped(store: &Store) -> Result<String> {
    let paper = Paper::default();
    let dumped = store.dump(paper.clone(), Dump::new().with_keys()).await?;
    let text = paper.text();
    assert_eq!((dumped.bytes, dumped.records() + 2), (text.len() as u64, text.lines().count() as u64));
    Ok(text)
}

/// The lines between the first, which tells of the store and the time, and the last.
pub(crate) fn records(text: &str) -> Vec<&str> {
    let lines: Vec<_> = text.lines().collect();
    lines[1..lines.len() - 1].to_vec()
}

pub(crate) async fn load(store: &Store, text: &str, how: Load) -> Result<Loaded> {
    store.load(std::io::Cursor::new(text.to_owned()), how).await
}

/// Something of everything that a user can put there.
pub(crate) async fn fill(store: &Store) -> Result<()> {
    store.events().append("order-1", Expected::Any, [event(1), event(2)]).await?;
    store.events().append("order-2", Expected::Any, [event(3)]).await?;
    store.events().delete("order-2", Expected::Any).await?;
    store.subject("ada").key().await?;
    let audit = store.log::<u64>("audit");
    audit.retain(Retention::everything().count(2)).await?;
    for n in 1..=4 {
        audit.append(&n).await?;
    }
    let orders = store.channel::<String>("orders");
    orders.publish_with(&"lamp".to_owned(), Stamp::new().key("k")).await?;
    let mut billing = orders.durable("billing").consume().await?;
    let first = billing.next().await.unwrap()?;
    billing.ack(first.sequence()).await?;
    let mail = store.queue::<String>("mail");
    mail.push(&"a".into()).await?;
    mail.push_with(&"b".into(), Push::new().priority(-1).key("k")).await?;
    mail.push_with(&"c".into(), Push::new().delay(Duration::from_secs(3_600))).await?;
    let prices = store.dict::<u64>("prices");
    prices.set("lamp", &700).await?;
    prices.set("desk", &20_000).await?;
    prices.delete("desk").await?;
    store.dict::<Json>("people").index(["age"]).await?;
    store.sealed_dict("secrets", SealKey::bytes([7; 32])).set("pin", &1_234_u64).await?;
    let steps = store.list::<String>("steps");
    steps.push_all(ListEnd::Back, ["saw".to_owned(), "measure".into(), "glue".into()]).await?;
    steps.move_item(1, 0).await?;
    steps.pop_back().await?;
    store.blobs("films").put("pond", "a pond").await?;
    Ok(())
}

async fn dump_comes_back_as_it_was(store: Store) -> Result<()> {
    fill(&store).await?;
    let text = dumped(&store).await?;
    let other = Store::memory().await?;
    let loaded = load(&other, &text, Load::new()).await?;
    assert_eq!((loaded.written, loaded.known), (records(&text).len() as u64, 0));
    assert_eq!(records(&dumped(&other).await?), records(&text));
    // It is a store like any other.
    assert_eq!(other.dict::<u64>("prices").get("lamp").await?.as_deref(), Some(&700));
    let job = other.queue::<String>("mail").pop().await?;
    assert_eq!((&**job, job.attempt()), ("b", 1));
    job.done().await?;
    assert_eq!(other.events().append("order-1", Expected::Version(2), [event(4)]).await?.version, 3);
    let mut again = other.channel::<String>("orders").durable("billing").consume().await?;
    other.channel::<String>("orders").publish(&"desk".into()).await?;
    assert_eq!(again.next().await.unwrap()?.sequence(), 2, "the first was acknowledged");
    other.close().await
}

async fn load_is_the_same_on_the_blocking_face(store: Store) -> Result<()> {
    fill(&store).await?;
    let text = dumped(&store).await?;
    let blocking = || {
        let paper = Paper::default();
        store.blocking().dump(paper.clone(), Dump::new().with_keys())?;
        assert_eq!(records(&paper.text()), records(&text));
        let other = blocking::Store::memory()?;
        let loaded = other.load(std::io::Cursor::new(text.clone()), Load::new().only("dict/prices"))?;
        assert_eq!((loaded.written, loaded.left_out), (2, records(&text).len() as u64 - 2));
        let paper = Paper::default();
        other.dump(paper.clone(), Dump::new().only("dict"))?;
        assert_eq!(records(&paper.text()).len(), 2);
        other.close()
    };
    std::thread::scope(|threads| threads.spawn(blocking).join().unwrap())
}

async fn load_wakes_who_waits_and_tells_who_watches(store: Store) -> Result<()> {
    fill(&store).await?;
    let text = dumped(&store).await?;
    let other = Store::memory().await?;
    let mail = other.queue::<String>("mail");
    let waiting = tokio::spawn(async move { mail.pop().await });
    let mut changes = other.watch("prices").await?;
    let orders = other.channel::<String>("orders");
    let mut live = orders.subscribe().await?;
    load(&other, &text, Load::new()).await?;
    let job = waiting.await.unwrap()?;
    assert_eq!(&**job, "b");
    let change = changes.next().await.unwrap()?;
    assert_eq!((change.name(), change.key()), ("prices", Some("lamp")));
    assert_eq!(&**live.next().await.unwrap()?, "lamp");
    job.done().await?;
    other.close().await
}

async fn load_refuses_what_is_there_and_names_it(store: Store) -> Result<()> {
    fill(&store).await?;
    let text = dumped(&store).await?;
    let refused = load(&store, &text, Load::new().only("queue")).await;
    let there = Error::Exists { kind: "queue", name: "mail".into() };
    assert_eq!(refused, Err(there.clone()));
    let said = "queue \"mail\" is there already; nothing was loaded (replace what is there, or append to it)";
    assert_eq!(there.to_string(), said);
    load(&store, &text, Load::new().only("queue").append()).await?;
    let counted = async || store.queue::<String>("mail").numbers().await.map(|it| it.unwrap().pushed);
    assert_eq!(counted().await?, 6);
    load(&store, &text, Load::new().only("queue").replace()).await?;
    assert_eq!(counted().await?, 9, "no number is given twice");
    let wrong = load(&store, &text, Load::new().only("tables")).await;
    assert!(matches!(wrong, Err(Error::InvalidArgument { .. })), "{wrong:?}");
    Ok(())
}

/// A dump without a line, or with another one in its place; the checksum and the counts are those of what is left, if wanted.
fn changed(text: &str, line: usize, to: Option<&str>) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    match to {
        Some(to) => lines[line - 1] = to,
        None => drop(lines.remove(line - 1)),
    }
    lines.join("\n") + "\n"
}

async fn load_that_breaks_at_a_line_is_named_and_leaves_all_as_it_was(store: Store) -> Result<()> {
    let source = Store::memory().await?;
    fill(&source).await?;
    let text = dumped(&source).await?;
    source.close().await?;
    store.dict::<u64>("own").set("k", &1).await?;
    let before = dumped(&store).await?;
    let count = text.lines().count();
    let find = |kind: &str| 1 + text.lines().position(|line| line.contains(&format!("\"{kind}\""))).unwrap();
    let swap = |kind: &str, from: &str, to: &str| {
        let line = text.lines().nth(find(kind) - 1).unwrap();
        assert!(line.contains(from), "{line}");
        changed(&text, find(kind), Some(&line.replace(from, to)))
    };
    let message = find("log.message");
    let (job, entry, last) = (find("queue.job"), find("dict.entry"), count);
    let twice = changed(&text, entry, Some(&[text.lines().nth(entry - 1).unwrap(); 2].join("\n")));
    let rows: Vec<(&str, String, usize, &str)> = vec![
        ("nothing", String::new(), 1, "the dump is empty"),
        ("another file", "a shopping list\n".into(), 1, "it is not the first line of a dump of Millpond"),
        ("no first line", changed(&text, 1, None), 1, "its kind is another one"),
        ("a newer format", swap("millpond", "\"format\":1", "\"format\":2"), 1, "the dump has format 2"),
        (
            "counters too large",
            swap("millpond", "\"token\":", "\"token\":9223372036854775807,\"x\":"),
            1,
            "counters",
        ),
        ("no JSON", changed(&text, job, Some("{\"kind\":\"queue.job\"")), job, "EOF while parsing"),
        ("no object", changed(&text, job, Some("7")), job, "invalid type"),
        ("no such kind", swap("queue.job", "queue.job", "table.row"), job, "there is no kind \"table.row\""),
        (
            "no such part",
            swap("queue.job", "queue.job", "queue.jobs"),
            job,
            "there is no kind \"queue.jobs\"",
        ),
        ("another type", swap("queue.job", "\"priority\":0", "\"priority\":\"low\""), job, "invalid type"),
        ("a field more", swap("queue.job", "\"attempts\"", "\"x\":1,\"attempts\""), job, "unknown field `x`"),
        ("a field less", swap("queue.job", "\"attempts\":0,", ""), job, "missing field `attempts`"),
        ("a bad name", swap("dict.entry", "\"lamp\"", "\"la\\u0000mp\""), entry, "cannot be seen"),
        ("cut at the end", changed(&text, last, None), last, "it ends without its last line"),
        ("cut in a line", text[..text.len() - 9].to_owned(), last, "it ends in the middle: the dump was cut"),
        (
            "cut anywhere",
            text.lines().take(job).map(|line| format!("{line}\n")).collect(),
            job + 1,
            "was cut",
        ),
        ("a line behind the end", format!("{text}{{}}\n"), last + 1, "behind the last line"),
        ("a content that is another", swap("dict.entry", "700", "701"), last, "the checksum of all lines"),
        ("a line that is missing", changed(&text, entry, None), last - 1, "it tells of other records"),
        ("a line that comes twice", twice, entry + 1, "key \"lamp\" comes behind key \"lamp\""),
        (
            "a message that is missing",
            changed(&text, message, None),
            message,
            "message 4 comes where 3 should",
        ),
        (
            "an event that is missing",
            changed(&text, find("stream.event"), None),
            find("stream.event"),
            "event 2 of",
        ),
        (
            "a queue that is missing",
            changed(&text, find("queue"), None),
            find("queue"),
            "which does not come before",
        ),
        ("another order", changed(&text, 2, Some(text.lines().nth(entry - 2).unwrap())), 3, "comes too late"),
    ];
    for (what, broken, line, reason) in rows {
        let refused = load(&store, &broken, Load::new()).await;
        let Err(Error::LoadRefused { line: found, reason: why }) = refused else {
            panic!("{what}: {refused:?}")
        };
        assert!(why.contains(reason), "{what}: {why}");
        assert_eq!(found as usize, line, "{what}: {why}");
        assert_eq!(records(&dumped(&store).await?), records(&before), "{what}");
    }
    let bytes = [text.as_bytes(), b"\xff\xfe\n"].concat();
    let refused = store.load(std::io::Cursor::new(bytes), Load::new()).await;
    assert!(
        matches!(refused, Err(Error::LoadRefused { line, .. }) if line as usize == last + 1),
        "{refused:?}"
    );
    load(&store, &text, Load::new()).await?;
    Ok(())
}

async fn load_sees_every_line_that_is_gone_and_every_byte_that_is_another(store: Store) -> Result<()> {
    let source = Store::memory().await?;
    fill(&source).await?;
    let text = dumped(&source).await?;
    source.close().await?;
    for line in 1..=text.lines().count() {
        let refused = load(&store, &changed(&text, line, None), Load::new()).await;
        assert!(matches!(refused, Err(Error::LoadRefused { .. })), "without line {line}: {refused:?}");
    }
    for at in (0..text.len()).step_by(3) {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let refused = store.load(std::io::Cursor::new(bytes), Load::new()).await;
        assert!(matches!(refused, Err(Error::LoadRefused { .. })), "with byte {at} changed: {refused:?}");
    }
    assert!(records(&dumped(&store).await?).is_empty());
    Ok(())
}

each_backend! {
    dump_comes_back_as_it_was
    load_is_the_same_on_the_blocking_face
    load_wakes_who_waits_and_tells_who_watches
    load_refuses_what_is_there_and_names_it
    load_that_breaks_at_a_line_is_named_and_leaves_all_as_it_was
    load_sees_every_line_that_is_gone_and_every_byte_that_is_another
}

/// What a folder holds beside a store.
fn strangers(folder: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn dump_is_one_snapshot_made_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    wait(async {
        let store = Store::open(folder.path().join("a.db")).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let write = |who: u64| {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let counts = store.dict::<u64>("counts");
                while !stop.load(Ordering::SeqCst) {
                    let mut batch = store.batch();
                    batch.append(format!("s-{who}"), Expected::Any, [event(1), event(2)])?;
                    batch.increment(&counts, "events", 2)?;
                    batch.commit().await?;
                }
                Ok::<_, Error>(())
            })
        };
        let writers: Vec<_> = (0..4).map(write).collect();
        for n in 1..4 {
            while store.events().head().await? < 40 * n {
                tokio::task::yield_now().await;
            }
            let before = store.events().head().await?;
            let text = dumped(&store).await?;
            let events =
                records(&text).iter().filter(|line| line.contains("\"stream.event\"")).count() as u64;
            assert!(events >= before, "what was acknowledged before is in it: {events} of {before}");
            let count = format!("\"data\":{{\"json\":{events}}}}}");
            assert!(records(&text).last().unwrap().ends_with(&count), "of each commit all or nothing");
            let other = Store::memory().await?;
            load(&other, &text, Load::new()).await?;
            assert_eq!(other.events().head().await?, events);
            other.close().await?;
        }
        stop.store(true, Ordering::SeqCst);
        for ended in join_all(writers).await {
            ended.unwrap()?;
        }
        store.close().await
    })
    .unwrap();
    assert_eq!(strangers(folder.path()), [""; 0]);
}

/// Whoever reads a dump, and takes his time.
struct Slow {
    began: Option<std::sync::mpsc::Sender<()>>,
    go_on: std::sync::mpsc::Receiver<()>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(began) = self.began.take() {
            began.send(()).unwrap();
            self.go_on.recv().unwrap();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn g13_dump_that_is_read_slowly_does_not_keep_the_log_growing() {
    let folder = tempfile::tempdir().unwrap();
    let store = blocking::Store::open(folder.path().join("a.db")).unwrap();
    let log = store.log::<String>("l");
    let record = "x".repeat(100_000);
    for _ in 0..20 {
        log.append(&record).unwrap();
    }
    let ((began, beginning), (go, go_on)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    std::thread::scope(|threads| {
        let slow = threads.spawn(|| store.dump(Slow { began: Some(began), go_on }, Dump::new()));
        beginning.recv().unwrap();
        // More than a log may have that nobody keeps from beginning anew.
        for _ in 0..1_000 {
            log.append(&record).unwrap();
        }
        let log_bytes = store.inspect().summary().unwrap().log_bytes;
        assert!(log_bytes < 64 << 20, "{log_bytes} bytes");
        assert_eq!(strangers(folder.path()), [""; 0], "a kill now leaves nothing behind");
        go.send(()).unwrap();
        assert_eq!(slow.join().unwrap().unwrap().counts["log.message"], 20);
    });
    store.close().unwrap();
}

#[test]
fn g8_load_that_does_not_get_the_turn_says_who_has_it_and_does_nothing() {
    let (_folder, file) = file();
    let mut peer = Peer::start(&file);
    let store = blocking::Store::builder().call_timeout(Duration::from_millis(300)).open(&file).unwrap();
    let source = blocking::Store::memory().unwrap();
    source.dict::<u64>("d").set("k", &1).unwrap();
    let paper = Paper::default();
    source.dump(paper.clone(), Dump::new()).unwrap();
    source.close().unwrap();
    assert_eq!(peer.ask("keep 0"), "kept");
    for _ in 0..2 {
        let refused = store.load(std::io::Cursor::new(paper.text()), Load::new());
        let Err(Error::Busy { process, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(process.process().expect("it is known").pid, peer.id());
        let refused = store.compact();
        assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    }
    peer.killed();
    store.dict::<Json>("other").set("k", &Json::Null).unwrap();
    assert_eq!(store.dict::<u64>("d").count().unwrap(), 0, "what was given up is not done later");
    store.load(std::io::Cursor::new(paper.text()), Load::new()).unwrap();
    store.close().unwrap();
}
