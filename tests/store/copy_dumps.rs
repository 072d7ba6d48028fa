//! Copies to a dump and out of one: gone on with from every place at which it was cut, and never over another file.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::PathBuf;

use millpond::{Copied, Copying, Dump, Error, Expected, Result, Store};
use tempfile::tempdir;

use crate::backends::event;
use crate::copies::fill_well;
use crate::dumps::{dumped, records};

fn part(path: &std::path::Path) -> PathBuf {
    path.with_extension("jsonl.part")
}

async fn copy_from(text: &str, to: &Store) -> Result<Copied> {
    to.copy_from_dump(Cursor::new(text.to_owned()), Copying::new()).await
}

async fn a_copy_goes_to_a_dump_and_back(store: Store) -> Result<()> {
    let folder = tempdir().unwrap();
    let (path, other) = (folder.path().join("a.jsonl"), folder.path().join("other.db"));
    fill_well(&store).await?;
    let text = dumped(&store).await?;
    let copied = store.copy_to_dump(&path, Copying::new()).await?;
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(records(&written), records(&text));
    assert_eq!((copied.written, copied.known), (records(&text).len() as u64, 0));
    assert!(!part(&path).exists());
    // It is a dump like any other, and nobody else may read it.
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // Whoever was killed while he gave it its name has left it two.
    fs::hard_link(&path, part(&path)).unwrap();
    let again = store.copy_to_dump(&path, Copying::new()).await?;
    assert_eq!((again.written, again.known, again.checksum), (0, copied.written, copied.checksum));
    assert!(!part(&path).exists());

    let other = Store::open(other).await?;
    let back = copy_from(&written, &other).await?;
    assert_eq!(
        (back.written, back.checksum, &back.counts),
        (copied.written, copied.checksum, &copied.counts)
    );
    assert_eq!(records(&dumped(&other).await?), records(&text));
    assert!(other.check().await?.is_sound());
    let again = copy_from(&written, &other).await?;
    assert_eq!((again.written, again.known), (0, copied.written));
    other.close().await
}

async fn a_dump_is_gone_on_with_wherever_it_was_cut(store: Store) -> Result<()> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    fill_well(&store).await?;
    store.copy_to_dump(&path, Copying::new()).await?;
    let whole = fs::read_to_string(&path).unwrap();
    let all = records(&whole).len() as u64;
    let header = whole.find('\n').unwrap();
    for cut in (0..whole.len()).step_by(whole.len() / 40).chain([1, header, header + 1, whole.len()]) {
        fs::remove_file(&path).unwrap();
        fs::write(part(&path), &whole.as_bytes()[..cut]).unwrap();
        let copied = store.copy_to_dump(&path, Copying::new()).await?;
        let lines = whole[..cut].matches('\n').count() as u64;
        assert_eq!(copied.known, lines.saturating_sub(1).min(all), "cut at {cut}");
        assert_eq!(copied.written, all - copied.known, "cut at {cut}");
        let now = fs::read_to_string(&path).unwrap();
        assert_eq!(records(&now), records(&whole), "cut at {cut}");
        let other = Store::memory().await?;
        assert_eq!(copy_from(&now, &other).await?.written, all, "it is whole");
        other.close().await?;
    }
    // What changed in it meanwhile, or what it is of, has it written anew.
    fs::remove_file(&path).unwrap();
    fs::write(part(&path), &whole.as_bytes()[..whole.len() / 2]).unwrap();
    store.events().append("order-1", Expected::Any, [event(8)]).await?;
    let copied = store.copy_to_dump(&path, Copying::new()).await?;
    assert_eq!((copied.known, copied.written), (0, all + 1));
    // From the first record on that is another one.
    let whole = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(part(&path), whole.replacen("desk 1", "desk 7", 1)).unwrap();
    let copied = store.copy_to_dump(&path, Copying::new()).await?;
    let same = records(&whole).iter().position(|line| line.contains("desk 1")).unwrap();
    assert_eq!((copied.known, copied.written), (same as u64, all + 1 - same as u64));
    assert_eq!(records(&fs::read_to_string(&path).unwrap()), records(&whole));
    Ok(())
}

async fn another_file_stays_as_it_is(store: Store) -> Result<()> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    store.dict::<u64>("d").set("k", &1).await?;
    fs::write(part(&path), "a shopping list").unwrap();
    let refused = store.copy_to_dump(&path, Copying::new()).await.unwrap_err();
    assert!(matches!(refused, Error::CopyRefused { .. }), "{refused}");
    assert_eq!(fs::read_to_string(part(&path)).unwrap(), "a shopping list");
    fs::remove_file(part(&path)).unwrap();

    fs::write(&path, "a shopping list").unwrap();
    let refused = store.copy_to_dump(&path, Copying::new()).await.unwrap_err();
    assert!(matches!(&refused, Error::NotTheCopy { record, .. } if record == "line 1"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "a shopping list");
    fs::remove_file(&path).unwrap();

    store.copy_to_dump(&path, Copying::new()).await?;
    let before = fs::read_to_string(&path).unwrap();
    store.dict::<u64>("d").set("k", &2).await?;
    let refused = store.copy_to_dump(&path, Copying::new()).await;
    let (record, reason) = ("dict \"d\"".to_owned(), "is not there: line 2 stands in its place".to_owned());
    assert_eq!(refused, Err(Error::NotTheCopy { record, reason }));
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    // One who writes it now is not disturbed.
    fs::remove_file(&path).unwrap();
    let file = File::create(part(&path)).unwrap();
    file.lock().unwrap();
    let refused = store.copy_to_dump(&path, Copying::new()).await.unwrap_err();
    assert!(matches!(refused, Error::CopyRefused { .. }), "{refused}");
    Ok(())
}

async fn what_is_wrong_with_a_dump_is_named_and_nothing_is_copied(store: Store) -> Result<()> {
    let source = Store::memory().await?;
    fill_well(&source).await?;
    let text = dumped(&source).await?;
    let line = 1 + text.lines().position(|line| line.contains("\"channel.message\"")).unwrap();
    let broken = text.replacen("\"of\":\"orders\",\"sequence\":1,", "\"of\":\"orders\",\"sequence\":2,", 1);
    let refused = copy_from(&broken, &store).await;
    let reason = "message 2 comes where 1 should".to_owned();
    assert_eq!(refused, Err(Error::LoadRefused { line: line as u64, reason }));
    assert_eq!(records(&dumped(&store).await?).len(), 0);

    let paper = folder_file(&source, Dump::new().only("dict")).await?;
    let refused = copy_from(&paper, &store).await.unwrap_err();
    let said = "the dump holds only dict of its store, and a copy is whole; nothing was copied";
    assert_eq!(refused.to_string(), said);
    assert_eq!(records(&dumped(&store).await?).len(), 0);

    // What no line shows: two living jobs of one key. The store says it, and the line.
    let job = text.lines().find(|line| line.contains("\"key\":\"k\",\"pushed_at\"")).unwrap();
    let third = text.lines().find(|line| line.contains("\"sequence\":3,\"state\":\"delayed\"")).unwrap();
    let twice = third.replace("\"max_attempts\":20,", "\"max_attempts\":20,\"key\":\"k\",");
    assert!(job.len() > 10 && twice != third);
    let odd = resealed(&text.replacen(third, &twice, 1));
    let stopped = copy_from(&odd, &store).await.unwrap_err();
    assert!(matches!(stopped, Error::CopyStopped { .. }), "{stopped}");
    assert_eq!(records(&dumped(&store).await?).len(), 0, "it was one commit");

    // A dump without keys is all that it can be.
    let paper = folder_file(&source, Dump::new()).await?;
    let copied = copy_from(&paper, &store).await?;
    assert_eq!((copied.written, copied.known), (records(&text).len() as u64 - 1, 0));
    source.close().await
}

/// A dump whose last line is that of what comes before it.
fn resealed(text: &str) -> String {
    let cut = text.trim_end().rfind('\n').unwrap() + 1;
    let last: serde_json::Value = serde_json::from_str(&text[cut..]).unwrap();
    let crc = millpond_actors::storage::checksum::append(0, &text.as_bytes()[..cut]);
    format!("{}{{\"kind\":\"end\",\"counts\":{},\"crc\":\"{crc:08x}\"}}\n", &text[..cut], last["counts"])
}

async fn folder_file(store: &Store, dump: Dump) -> Result<String> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    store.dump(File::create(&path).unwrap(), dump).await?;
    Ok(fs::read_to_string(&path).unwrap())
}

each_backend! {
    a_copy_goes_to_a_dump_and_back
    a_dump_is_gone_on_with_wherever_it_was_cut
    another_file_stays_as_it_is
    what_is_wrong_with_a_dump_is_named_and_nothing_is_copied
}
