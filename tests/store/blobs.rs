//! Blobs: nobody sees one before all of it is there, and who reads gets just what was written, or is told why not.

use millpond::{Blob, BlobReader, Blobs, Error, Expected, Result, Store, Upload};

use crate::backends::{begin, event, together, until};

each_backend! {
    b1_a_blob_is_what_was_written_however_it_came
    b1_whoever_drops_a_writer_has_written_nothing
    b1_a_call_that_is_dropped_half_way_is_no_part_of_a_blob
    b1_an_end_that_is_dropped_is_an_end_or_none
    b2_what_is_expected_is_looked_at_at_the_end
    b2_of_many_who_write_an_absent_one_one_has_written_it
    b3_what_is_replaced_and_removed_is_swept
    b3_many_are_removed_and_swept
    b5_any_bytes_of_it_can_be_read
    b6_a_batch_finishes_a_blob_with_all_else_or_not_at_all
    b6_a_batch_that_is_dropped_has_written_nothing
    b7_whoever_reads_goes_on_or_is_told_that_it_is_gone
}

/// Bytes of a piece.
pub(crate) const PIECE: usize = 128 << 10;

/// So many bytes that are told from all others by where they are.
pub(crate) fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| seed ^ at as u8 ^ (at >> 8) as u8 ^ (at >> 17) as u8).collect()
}

async fn all(reader: Option<BlobReader>) -> Result<Vec<u8>> {
    let (mut reader, mut found) = (reader.expect("it is there"), Vec::new());
    while let Some(piece) = reader.next().await {
        let piece = piece?;
        assert!(!piece.is_empty() && piece.len() <= PIECE, "a piece of {} bytes", piece.len());
        found.extend_from_slice(&piece);
    }
    assert!(reader.next().await.is_none(), "an end stays the end");
    Ok(found)
}

/// Writes so many bytes in portions of a size.
pub(crate) async fn write(blobs: &Blobs, key: &str, whole: &[u8], portion: usize) -> Result<Blob> {
    let mut writer = blobs.write(key);
    for portion in whole.chunks(portion) {
        writer.write(portion).await?;
    }
    assert_eq!(writer.size(), whole.len() as u64);
    writer.finish().await
}

/// Until nothing is left that is nobody's.
pub(crate) async fn swept(store: &Store) -> Result<()> {
    let inspect = store.inspect();
    until(async || Ok(inspect.summary().await?.blob_contents == 0)).await
}

async fn b1_a_blob_is_what_was_written_however_it_came(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    assert_eq!((blobs.get("k").await?, blobs.contains("k").await?, blobs.count().await?), (None, false, 0));
    assert!(blobs.read("k").await?.is_none() && blobs.head("k").await?.is_none());
    let sizes = [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 11 * PIECE + 7];
    for (number, size) in (1..).zip(sizes) {
        let whole = bytes(number as u8, size);
        let portion = [1_000, PIECE, 3 * PIECE + 5, usize::MAX][number % 4];
        let blob = write(&blobs, "k", &whole, portion).await?;
        assert_eq!((blob.key(), blob.version(), blob.size()), ("k", number as u64, size as u64));
        assert_eq!(blobs.head("k").await?.as_ref(), Some(&blob));
        assert_eq!(all(blobs.read("k").await?).await?, whole, "{size} bytes");
        assert_eq!(blobs.get("k").await?, Some(whole), "{size} bytes");
        assert_eq!((blobs.count().await?, blobs.total_bytes().await?), (1, size as u64));
    }
    // FIPS 180-2, B.1.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(blobs.put("abc", "abc").await?.sha256_hex(), abc);
    assert_eq!(store.blobs("Films").get("k").await?, None, "other blobs");
    swept(&store).await
}

async fn b1_whoever_drops_a_writer_has_written_nothing(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    blobs.put("k", "old").await?;
    let mut writer = blobs.write("k");
    writer.write(&bytes(1, 5 * PIECE)).await?;
    assert_eq!(store.inspect().summary().await?.blob_contents, 1);
    assert_eq!(blobs.get("k").await?.as_deref(), Some(&b"old"[..]));
    drop(writer);
    swept(&store).await?;
    assert_eq!(blobs.get("k").await?.as_deref(), Some(&b"old"[..]));
    drop(blobs.write("k"));
    assert_eq!((blobs.count().await?, blobs.head("k").await?.map(|blob| blob.version())), (1, Some(1)));
    Ok(())
}

async fn b1_a_call_that_is_dropped_half_way_is_no_part_of_a_blob(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    let mut writer = blobs.write("k");
    writer.write(b"the beginning").await?;
    let whole = bytes(1, 40 * PIECE);
    // A store that is faster than who writes has it done in one step; then it is asked again.
    while !begin(writer.write(&whole)).is_pending() {}
    let error = writer.write(b"the end").await.unwrap_err();
    assert!(matches!(&error, Error::BlobLost { key, .. } if key == "k"), "{error}");
    assert!(matches!(writer.finish().await, Err(Error::BlobLost { .. })));
    assert_eq!(blobs.get("k").await?, None);
    swept(&store).await
}

async fn b1_an_end_that_is_dropped_is_an_end_or_none(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    for (key, size) in [("small", 10), ("large", 4 * PIECE + 10)] {
        let mut writer = blobs.write(key);
        writer.write(&bytes(1, size)).await?;
        drop(begin(writer.finish()));
        // Whatever is written after that comes behind it.
        blobs.put("other", "x").await?;
        swept(&store).await?;
        let found = blobs.get(key).await?;
        assert!(found.is_none_or(|found| found == bytes(1, size)));
    }
    Ok(())
}

async fn b2_what_is_expected_is_looked_at_at_the_end(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    let conflict = |result: Result<Blob>| match result {
        Err(Error::BlobConflict { expected, actual, .. }) => (expected, actual),
        other => panic!("{other:?}"),
    };
    let large = bytes(1, 3 * PIECE);
    assert_eq!(
        conflict(blobs.put_with("k", "1", Upload::new().present()).await),
        ("something".to_owned(), None)
    );
    let mut late = blobs.write_with("k", Upload::new().absent());
    late.write(&large).await?;
    let first = blobs.put_with("k", "1", Upload::new().absent()).await?;
    late.write(&large).await?;
    assert_eq!(conflict(late.finish().await), ("nothing".to_owned(), Some(1)));
    // Whoever comes in vain is told so at his second chunk, and not at the end.
    let mut vain = blobs.write_with("k", Upload::new().absent());
    vain.write(&large[..PIECE]).await?;
    assert!(matches!(vain.write(b"x").await, Err(Error::BlobConflict { actual: Some(1), .. })));
    assert!(matches!(vain.finish().await, Err(Error::BlobConflict { .. })));
    assert_eq!(blobs.get("k").await?.as_deref(), Some(&b"1"[..]));
    let second = blobs.put_with("k", &large, Upload::new().version(first.version())).await?;
    assert_eq!(
        conflict(blobs.put_with("k", "3", Upload::new().version(first.version())).await),
        ("version 1".to_owned(), Some(second.version()))
    );
    assert!(blobs.delete("k").await?);
    let third = blobs.put("k", "3").await?;
    assert!(third.version() > second.version(), "no version comes again");
    swept(&store).await
}

async fn b2_of_many_who_write_an_absent_one_one_has_written_it(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    let writing = (0..12_u8).map(|who| {
        let (blobs, whole) = (blobs.clone(), bytes(who, 2 * PIECE + usize::from(who)));
        async move { blobs.put_with("k", &whole, Upload::new().absent()).await.map(|_| whole) }
    });
    let done = together(writing).await;
    let mut written: Vec<_> = done.into_iter().filter_map(Result::ok).collect();
    assert_eq!(written.len(), 1);
    assert_eq!(blobs.get("k").await?, written.pop());
    swept(&store).await
}

async fn b3_what_is_replaced_and_removed_is_swept(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    for seed in 0..3 {
        write(&blobs, "k", &bytes(seed, 40 * PIECE), usize::MAX).await?;
        assert_eq!((blobs.count().await?, blobs.total_bytes().await?), (1, 40 * PIECE as u64));
    }
    swept(&store).await?;
    assert_eq!(all(blobs.read("k").await?).await?, bytes(2, 40 * PIECE));
    assert!(blobs.delete("k").await? && !blobs.delete("k").await?);
    blobs.sweep().await?;
    let summary = store.inspect().summary().await?;
    assert_eq!((summary.blobs, summary.blob_bytes, summary.blob_contents), (0, 0, 0));
    Ok(())
}

async fn b3_many_are_removed_and_swept(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    let putting = (0..120).map(|number| {
        let blobs = blobs.clone();
        async move { blobs.put(format!("a-{number:03}"), "x").await }
    });
    together(putting).await.into_iter().collect::<Result<Vec<_>>>()?;
    blobs.put("a-large", bytes(1, 5 * PIECE)).await?;
    blobs.put("b", "y").await?;
    assert_eq!(blobs.clear("a-").await?, 121);
    assert_eq!((blobs.clear("a-").await?, blobs.count().await?, blobs.total_bytes().await?), (0, 1, 1));
    swept(&store).await?;
    assert_eq!(store.blobs("never").clear("").await?, 0);
    Ok(())
}

async fn b5_any_bytes_of_it_can_be_read(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    let whole = bytes(9, 20 * PIECE + 3);
    write(&blobs, "k", &whole, usize::MAX).await?;
    let end = whole.len();
    let bounds = [0, 1, 7, PIECE - 1, PIECE, PIECE + 1, 9 * PIECE, 17 * PIECE + 5, end - 4, end - 1, end];
    for from in bounds {
        for to in bounds.into_iter().filter(|to| *to >= from) {
            let found = all(blobs.read_range("k", from as u64..to as u64).await?).await?;
            assert!(found == whole[from..to], "{from}..{to}");
        }
    }
    assert!(all(blobs.read_range("k", ..).await?).await? == whole);
    assert_eq!(all(blobs.read_range("k", 5..=8).await?).await?, whole[5..=8]);
    assert_eq!(all(blobs.read_range("k", end as u64 - 2..).await?).await?, whole[end - 2..]);
    for beyond in [end as u64, end as u64 + 1, u64::MAX] {
        assert_eq!(all(blobs.read_range("k", beyond..).await?).await?, b"");
    }
    #[allow(clippy::reversed_empty_ranges, reason = "that is what is asked here")]
    let reversed = 9..3;
    assert_eq!(all(blobs.read_range("k", reversed).await?).await?, b"");
    assert!(blobs.read_range("never", 0..1).await?.is_none());
    Ok(())
}

async fn b6_a_batch_finishes_a_blob_with_all_else_or_not_at_all(store: Store) -> Result<()> {
    let (blobs, jobs) = (store.blobs("films"), store.queue::<String>("thumbnails"));
    blobs.put("old", bytes(3, 3 * PIECE)).await?;
    let whole = bytes(1, 3 * PIECE + 5);
    let batch = async |expected| {
        let mut batch = store.batch();
        let mut writer = blobs.write_with("k", Upload::new().metadata("new").absent());
        writer.write(&whole).await?;
        let blob = writer.finish_in(&mut batch).await?;
        let gone = batch.delete_blob(&blobs, "old")?;
        batch.push(&jobs, &"k".to_owned())?;
        batch.append("film-k", expected, [event(1)])?;
        let written = batch.commit().await?;
        Ok::<_, Error>((written[blob].clone(), written[gone]))
    };
    assert!(matches!(batch(Expected::Version(7)).await, Err(Error::Conflict { .. })));
    assert_eq!((blobs.get("k").await?, blobs.contains("old").await?), (None, true));
    swept(&store).await?;
    let (blob, gone) = batch(Expected::NoStream).await?;
    assert_eq!((blob.size(), gone), (whole.len() as u64, true));
    assert_eq!(blobs.head("k").await?.as_ref(), Some(&blob));
    assert_eq!((blobs.get("k").await?, blobs.count().await?), (Some(whole.clone()), 1));
    assert_eq!(jobs.try_pop().await?.as_deref().map(String::as_str), Some("k"));
    assert!(matches!(batch(Expected::Any).await, Err(Error::BlobConflict { .. })));
    swept(&store).await
}

async fn b6_a_batch_that_is_dropped_has_written_nothing(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    let mut writer = blobs.write("k");
    writer.write(&bytes(1, 3 * PIECE)).await?;
    let mut batch = store.batch();
    writer.finish_in(&mut batch).await?;
    drop(batch);
    swept(&store).await?;
    let other = Store::memory().await?;
    let mut writer = blobs.write("k");
    writer.write(&bytes(1, 3 * PIECE)).await?;
    let mut batch = other.batch();
    assert!(matches!(writer.finish_in(&mut batch).await, Err(Error::InvalidArgument { .. })));
    swept(&store).await?;
    assert_eq!(blobs.get("k").await?, None);
    other.close().await
}

async fn b7_whoever_reads_goes_on_or_is_told_that_it_is_gone(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    let whole = bytes(1, 40 * PIECE);
    write(&blobs, "k", &whole, usize::MAX).await?;
    write(&blobs, "short", &whole[..2 * PIECE], usize::MAX).await?;
    let (mut far, mut short) = (blobs.read("k").await?.unwrap(), blobs.read("short").await?.unwrap());
    assert_eq!(far.next().await.unwrap()?, whole[..PIECE]);
    blobs.put("k", "new").await?;
    assert!(blobs.delete("short").await?);
    blobs.sweep().await?;
    // What was read before that is right; the rest is gone, or was read ahead.
    let mut read = PIECE;
    let error = loop {
        match far.next().await {
            Some(Ok(piece)) => {
                assert_eq!(piece, whole[read..read + piece.len()]);
                read += piece.len();
            }
            Some(Err(error)) => break error,
            None => panic!("it ended after {read} bytes"),
        }
    };
    assert!(matches!(&error, Error::BlobGone { key, .. } if key == "k"), "{error}");
    assert!(read <= 16 * PIECE && far.next().await.is_none(), "{read} bytes");
    assert_eq!(short.next().await.unwrap()?, whole[..PIECE], "it was read when it was begun");
    assert_eq!(all(Some(short)).await?, whole[PIECE..2 * PIECE]);
    assert_eq!(blobs.get("k").await?.as_deref(), Some(&b"new"[..]));
    Ok(())
}
