//! How blobs are used: what is known of them, who watches, bad input, and both faces.

use std::io::{Read, Write};

use millpond::{Error, Primitive, Result, Store, Upload, blocking};

use crate::blobs::{PIECE, bytes, write};

each_backend! {
    what_is_known_of_blobs_is_read_by_key
    whoever_watches_is_told_which
    bad_input_is_refused_and_loses_nothing
    both_faces_are_the_same_blobs
}

async fn what_is_known_of_blobs_is_read_by_key(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    let said = serde_json::json!({"type": "video/mp4", "näme": ["\"pond\"", null]});
    for key in ["b", "a-2", "a-1", "ä"] {
        blobs.put_with(key, key, Upload::new().metadata(&said)).await?;
    }
    blobs.put("c", "").await?;
    let keys = async |mut entries: millpond::BlobEntries| {
        let mut keys = Vec::new();
        while let Some(blob) = entries.next().await {
            keys.push(blob?.key().to_owned());
        }
        Ok::<_, Error>(keys)
    };
    assert_eq!(keys(blobs.entries("")).await?, ["a-1", "a-2", "b", "c", "ä"]);
    assert_eq!(keys(blobs.entries("a-")).await?, ["a-1", "a-2"]);
    assert_eq!(keys(blobs.entries("").after("a-2").limit(2)).await?, ["b", "c"]);
    assert_eq!(keys(blobs.entries("x")).await?, Vec::<String>::new());
    let blob = blobs.head("ä").await?.unwrap();
    assert_eq!(blob.metadata::<serde_json::Value>()?, Some(said));
    assert!(matches!(blob.metadata::<u64>(), Err(Error::Decode { .. })));
    assert!(blob.created_at_ms() > 1_700_000_000_000);
    assert_eq!(blobs.head("c").await?.unwrap().metadata::<u64>()?, None);
    let heads = store.inspect().blobs(None, 9).await?;
    let heads: Vec<_> = heads.iter().map(|it| (it.name.as_str(), it.version, it.count, it.bytes)).collect();
    assert_eq!(heads, [("films", 5, 5, 9)]);
    assert_eq!(store.inspect().summary().await?.blob_bytes, 9);
    Ok(())
}

async fn whoever_watches_is_told_which(store: Store) -> Result<()> {
    let (blobs, mut changes) = (store.blobs("films"), store.watch("films").await?);
    write(&blobs, "k", &bytes(1, 3 * PIECE), usize::MAX).await?;
    drop(blobs.write("never"));
    blobs.delete("never").await?;
    let mut batch = store.batch();
    batch.delete_blob(&blobs, "k")?;
    blobs.put("l", "").await?;
    batch.commit().await?;
    for (key, version) in [("k", 1), ("l", 2), ("k", 3)] {
        let change = changes.next().await.unwrap()?;
        let told = (change.primitive(), change.name(), change.key(), change.sequence());
        assert_eq!(told, (Primitive::Blob, "films", Some(key), Some(version)));
    }
    Ok(())
}

async fn bad_input_is_refused_and_loses_nothing(store: Store) -> Result<()> {
    let blobs = store.blobs("films");
    blobs.put("k", "1").await?;
    for key in ["", "\u{0}", "a\nb", &"x".repeat(513)] {
        let errors = [
            blobs.put(key, "2").await.map(drop),
            blobs.write(key).write(b"2").await,
            blobs.put(key, bytes(1, 2 * PIECE)).await.map(drop),
            blobs.get(key).await.map(drop),
            blobs.head(key).await.map(drop),
            blobs.read(key).await.map(drop),
            blobs.read_range(key, 0..1).await.map(drop),
            blobs.contains(key).await.map(drop),
            blobs.delete(key).await.map(drop),
            store.batch().delete_blob(&blobs, key).map(drop),
            blobs.write(key).finish_in(&mut store.batch()).await.map(drop),
        ];
        for error in errors {
            assert!(matches!(error, Err(Error::InvalidName { .. })), "{error:?}");
        }
    }
    let none = store.blobs("");
    assert!(matches!(none.put("k", "2").await, Err(Error::InvalidName { .. })));
    assert!(matches!(none.count().await, Err(Error::InvalidName { .. })));
    assert!(matches!(none.entries("").next().await, Some(Err(Error::InvalidName { .. }))));
    let large = Upload::new().metadata(&"x".repeat(65 << 10));
    let error = blobs.put_with("k", "2", large).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    struct Odd;
    impl serde::Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("odd"))
        }
    }
    let error = blobs.put_with("k", "2", Upload::new().metadata(&Odd)).await.unwrap_err();
    assert!(matches!(error, Error::Encode { .. }), "{error}");
    let huge = bytes(1, (16 << 20) + 1);
    write(&blobs, "huge", &huge, usize::MAX).await?;
    assert!(matches!(blobs.get("huge").await, Err(Error::TooLarge { size: 16_777_217, .. })));
    assert_eq!(blobs.put("' OR 1=1; -- \"%_*", "7").await?.size(), 1);
    assert_eq!(blobs.get("k").await?.as_deref(), Some(&b"1"[..]));
    Ok(())
}

async fn both_faces_are_the_same_blobs(store: Store) -> Result<()> {
    let case = |store: blocking::Store| -> Result<()> {
        let blobs = store.blobs("films");
        let whole = bytes(1, 20 * PIECE + 9);
        let mut writer = blobs.write_with("k", Upload::new().metadata("said").absent());
        writer.write_all(&whole[..5]).unwrap();
        writer.write(&whole[5..])?;
        writer.flush().unwrap();
        assert_eq!(writer.size(), whole.len() as u64);
        let blob = writer.finish()?;
        assert_eq!(blobs.head("k")?.as_ref(), Some(&blob));
        assert_eq!(blob.metadata::<String>()?.as_deref(), Some("said"));
        let mut reader = blobs.read("k")?.unwrap();
        assert_eq!(reader.blob(), &blob);
        let mut found = vec![0; 3];
        reader.read_exact(&mut found).unwrap();
        for piece in &mut reader {
            found.extend(piece?);
        }
        assert!(found == whole && reader.next().is_none());
        blobs.put_from("copy", &mut blobs.read("k")?.unwrap())?;
        assert_eq!(blobs.get("copy")?, Some(whole.clone()));
        let copied = blobs.put_from_with("k", &mut &b"x"[..], Upload::new().absent());
        assert!(matches!(copied, Err(Error::BlobConflict { .. })));
        let error = blobs.put_from("k", &mut Broken(3 * PIECE)).unwrap_err();
        assert!(matches!(&error, Error::BlobLost { reason, .. } if reason.contains("the end")), "{error}");
        let mut text = String::new();
        blobs.put_with("text", "abcdef", Upload::new())?;
        blobs.read_range("text", 1..=3)?.unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "bcd");
        let mut batch = store.batch();
        let mut writer = blobs.write("in batch");
        writer.write(&whole)?;
        let slot = writer.finish_in(&mut batch)?;
        let gone = batch.delete_blob(&blobs, "text")?;
        let written = batch.commit()?;
        assert_eq!((written[slot].size(), written[gone]), (whole.len() as u64, true));
        let keys: Vec<_> =
            blobs.entries("").map(|it| it.map(|it| it.key().to_owned())).collect::<Result<_>>()?;
        assert_eq!(keys, ["copy", "in batch", "k"]);
        assert_eq!(blobs.entries("").after("copy").limit(1).count(), 1);
        assert_eq!((blobs.count()?, blobs.total_bytes()?), (3, 3 * whole.len() as u64));
        assert!(blobs.contains("copy")? && blobs.delete("copy")? && !blobs.contains("copy")?);
        assert_eq!((blobs.clear("")?, blobs.count()?), (2, 0));
        blobs.sweep()?;
        assert_eq!(store.inspect().blobs(None, 9)?.len(), 1);
        Ok(())
    };
    let store = store.blocking();
    tokio::task::spawn_blocking(move || case(store)).await.unwrap()
}

/// A source that fails after so many bytes.
struct Broken(usize);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(std::io::Error::other("the end of the tape"));
        }
        let read = buffer.len().min(self.0);
        self.0 -= read;
        Ok(read)
    }
}
