//! Sealed dicts: what is in them is read by whoever has the key, and seen by nobody else, wherever it lies.

use std::time::Duration;

use millpond::{Dict, Error, Json, Location, Put, Result, SealKey, SealedDict, Store, blocking, field};
use serde::{Deserialize, Serialize};

use crate::backends::wait;

each_backend! {
    values_come_back_as_they_were
    the_first_use_fixes_the_key
    a_dict_is_sealed_or_plain_and_never_both
    what_is_changed_while_others_write_is_not_lost
    whoever_watches_a_sealed_dict_reads_it
    bad_keys_are_refused
    both_faces_open_the_same_dict
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Login {
    user: String,
    password: String,
}

fn login(n: u64) -> Login {
    Login { user: format!("user-{n}"), password: format!("pässword-{n}") }
}

fn key() -> SealKey {
    SealKey::bytes([7; 32])
}

async fn all(dict: &SealedDict<Login>) -> Result<Vec<(String, Login)>> {
    let (mut entries, mut found) = (dict.entries("").await?, Vec::new());
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        found.push((entry.key().to_owned(), entry.into_value()));
    }
    Ok(found)
}

async fn values_come_back_as_they_were(store: Store) -> Result<()> {
    let secrets = store.sealed_dict::<Login>("secrets", SealKey::passphrase("correct horse"));
    assert_eq!(
        (secrets.get("a").await?, secrets.count().await?, secrets.contains("a").await?),
        (None, 0, false)
    );
    assert_eq!(
        (secrets.pop("a").await?, secrets.delete("a").await?, secrets.clear("").await?),
        (None, false, 0)
    );
    assert!(
        all(&secrets).await?.is_empty() && store.inspect().dicts(None, 9).await?.is_empty(),
        "looking seals nothing"
    );
    assert_eq!(secrets.set("a", &login(1)).await?, 1);
    assert_eq!(secrets.set_with("b", &login(2), Put::new().absent().ttl(Duration::from_secs(60))).await?, 2);
    let again = secrets.set_with("b", &login(3), Put::new().absent()).await;
    assert!(matches!(again, Err(Error::EntryConflict { actual: Some(2), .. })));
    // Another handle, which has nothing but the passphrase.
    let secrets = store.sealed_dict::<Login>("secrets", SealKey::passphrase("correct horse"));
    assert_eq!(secrets.get("a").await?.as_deref(), Some(&login(1)));
    assert_eq!(all(&secrets).await?, [("a".to_owned(), login(1)), ("b".to_owned(), login(2))]);
    assert_eq!(secrets.pop("a").await?.as_deref(), Some(&login(1)));
    assert!(!secrets.delete("a").await? && secrets.contains("b").await?);
    assert_eq!((secrets.clear("").await?, secrets.count().await?), (1, 0));
    let head = &store.inspect().dicts(None, 9).await?[0];
    assert!(head.sealed && head.version == 4, "{head:?}");
    Ok(())
}

async fn the_first_use_fixes_the_key(store: Store) -> Result<()> {
    let secrets = store.sealed_dict::<Login>("secrets", SealKey::passphrase("one"));
    secrets.set("a", &login(1)).await?;
    for other in [SealKey::passphrase("two"), SealKey::passphrase("One"), key()] {
        let wrong = store.sealed_dict::<Login>("secrets", other);
        let errors = [
            wrong.get("a").await.map(drop),
            wrong.set("a", &login(2)).await.map(drop),
            wrong.pop("a").await.map(drop),
            wrong.delete("a").await.map(drop),
            wrong.clear("").await.map(drop),
            wrong.count().await.map(drop),
            wrong.entries("").await.map(drop),
            wrong.watch("").await.map(drop),
            wrong.update("a", |_| None).await.map(drop),
        ];
        for error in errors {
            let error = error.unwrap_err();
            assert!(matches!(&error, Error::WrongKey { dict, .. } if dict == "secrets"), "{error}");
            assert!(!error.to_string().contains("two") && !format!("{wrong:?}").contains("two"));
        }
    }
    let bytes = store.sealed_dict::<Login>("bytes", key());
    bytes.set("a", &login(1)).await?;
    for other in [SealKey::bytes([8; 32]), SealKey::passphrase("one")] {
        let wrong = store.sealed_dict::<Login>("bytes", other).get("a").await;
        assert!(matches!(wrong, Err(Error::WrongKey { .. })), "{wrong:?}");
    }
    assert_eq!(secrets.get("a").await?.as_deref(), Some(&login(1)));
    Ok(())
}

async fn a_dict_is_sealed_or_plain_and_never_both(store: Store) -> Result<()> {
    let (sealed, plain) = (store.sealed_dict::<Login>("s", key()), store.dict::<Login>("s"));
    sealed.set("a", &login(1)).await?;
    let numbers: Dict<i64> = store.dict("s");
    let errors = [
        plain.get("a").await.map(drop),
        plain.get("none").await.map(drop),
        plain.contains("a").await.map(drop),
        plain.count().await.map(drop),
        plain.set("a", &login(2)).await.map(drop),
        plain.pop("a").await.map(drop),
        plain.delete("a").await.map(drop),
        plain.clear("").await.map(drop),
        plain.update("a", |_| None).await.map(drop),
        plain.watch("").await.map(drop),
        plain.entries("").next().await.expect("an error").map(drop),
        numbers.increment("n", 1).await.map(drop),
    ];
    for error in errors {
        let error = error.unwrap_err();
        assert!(matches!(&error, Error::UsedOtherwise { name, .. } if name == "s"), "{error}");
        assert!(
            error.to_string().contains("a plain dict") && error.to_string().contains("a sealed one"),
            "{error}"
        );
    }
    let mut batch = store.batch();
    batch.increment(&numbers, "n", 1)?;
    assert!(matches!(batch.commit().await, Err(Error::UsedOtherwise { .. })));
    for error in [plain.index(["user"]).await, plain.explain(field("user").exists()).await.map(drop)] {
        assert!(matches!(error, Err(Error::Unsupported { .. })), "{error:?}");
    }
    assert!(matches!(plain.count_where("", field("user").exists()).await, Err(Error::Unsupported { .. })));
    let mut filtered = sealed.entries("").await?.matching(field("user").equal("user-1"));
    assert!(matches!(filtered.next().await, Some(Err(Error::Unsupported { .. }))));
    assert_eq!(all(&sealed).await?, [("a".to_owned(), login(1))]);
    // And the other way round.
    store.dict::<Login>("p").set("a", &login(1)).await?;
    let wrong = store.sealed_dict::<Login>("p", key());
    for error in [wrong.get("a").await.map(drop), wrong.set("a", &login(2)).await.map(drop)] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("\"p\" cannot be used as a sealed dict: it is a plain one"), "{error}");
    }
    Ok(())
}

async fn what_is_changed_while_others_write_is_not_lost(store: Store) -> Result<()> {
    let handles: Vec<SealedDict<u64>> = (0..4).map(|_| store.sealed_dict("n", key())).collect();
    let counts = (0..40).map(|at| handles[at % 4].update("k", |found| Some(found.unwrap_or(0) + 1)));
    for done in futures_util::future::join_all(counts).await {
        done?;
    }
    assert_eq!(handles[0].get("k").await?.as_deref(), Some(&40));
    Ok(())
}

async fn whoever_watches_a_sealed_dict_reads_it(store: Store) -> Result<()> {
    let secrets = store.sealed_dict::<Login>("s", key());
    let mut changes = secrets.watch("a").await?;
    secrets.set("b", &login(1)).await?;
    secrets.set("a1", &login(2)).await?;
    let change = changes.next().await.expect("one")?;
    assert_eq!((change.key.as_str(), change.entry.as_deref()), ("a1", Some(&login(2))));
    Ok(())
}

async fn bad_keys_are_refused(store: Store) -> Result<()> {
    let empty = store.sealed_dict::<Login>("s", SealKey::passphrase(""));
    assert!(matches!(empty.set("a", &login(1)).await, Err(Error::InvalidArgument { .. })));
    let secrets = store.sealed_dict::<String>("s", key());
    assert!(matches!(secrets.set("", &String::new()).await, Err(Error::InvalidName { .. })));
    assert!(matches!(secrets.set("k", &"x".repeat(5 << 20)).await, Err(Error::TooLarge { .. })));
    let odd = store.sealed_dict::<String>("", key());
    assert!(matches!(odd.set("k", &String::new()).await, Err(Error::InvalidName { .. })));
    secrets.set("k", &"text".to_owned()).await?;
    assert!(matches!(store.sealed_dict::<u64>("s", key()).get("k").await, Err(Error::Decode { .. })));
    Ok(())
}

async fn both_faces_open_the_same_dict(store: Store) -> Result<()> {
    store.sealed_dict::<Login>("s", SealKey::passphrase("one")).set("a", &login(1)).await?;
    let case = |store: blocking::Store| -> Result<()> {
        let secrets = store.sealed_dict::<Login>("s", SealKey::passphrase("one"));
        assert_eq!(secrets.get("a")?.as_deref(), Some(&login(1)));
        secrets.set("b", &login(2))?;
        secrets.set_with("c", &login(3), Put::new().absent())?;
        assert_eq!(secrets.update("c", |_| Some(login(4)))?, Some(4));
        assert!(secrets.contains("b")? && secrets.delete("b")?);
        let keys: Vec<String> = secrets.entries("")?.map(|it| it.unwrap().key().to_owned()).collect();
        assert_eq!((keys, secrets.count()?), (vec!["a".to_owned(), "c".to_owned()], 2));
        let mut changes = secrets.watch("")?;
        assert_eq!(secrets.pop("c")?.as_deref(), Some(&login(4)));
        assert_eq!(changes.next().expect("one")?.entry, None);
        let wrong = store.sealed_dict::<Login>("s", SealKey::passphrase("two"));
        assert!(matches!(wrong.get("a"), Err(Error::WrongKey { .. })));
        assert_eq!((secrets.clear("")?, store.sealed_dict::<Json>("never", key()).count()?), (1, 0));
        Ok(())
    };
    let store = store.blocking();
    tokio::task::spawn_blocking(move || case(store)).await.unwrap()
}

/// A store in a file, whatever is done to which.
fn in_a_file(case: impl AsyncFnOnce(Store, std::path::PathBuf) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    wait(async {
        let store = Store::builder().open(Location::File(path.clone())).await?;
        case(store, path).await
    })
    .unwrap();
}

#[test]
fn nothing_of_a_value_or_a_key_is_in_the_file() {
    in_a_file(async |store, path| {
        let secrets = store.sealed_dict::<Login>("s", SealKey::passphrase("correct horse battery staple"));
        for n in 0..20 {
            secrets.set(format!("k{n}"), &login(n)).await?;
        }
        let plain = store.dict::<Login>("plain");
        plain.set("k", &login(1)).await?;
        let bytes =
            || ["a.db", "a.db-wal"].map(|name| std::fs::read(path.with_file_name(name)).unwrap_or_default());
        let holds = |needle: &str| {
            bytes().iter().any(|bytes| memchr::memmem::find(bytes, needle.as_bytes()).is_some())
        };
        assert!(holds("pässword-1") && holds("user-1"), "it would be found");
        for needle in ["pässword-7", "user-7", "correct horse", "battery"] {
            assert!(!holds(needle), "{needle}");
        }
        store.close().await
    });
}

#[test]
fn what_is_moved_or_changed_past_millpond_is_found_out() {
    in_a_file(async |store, path| {
        let secrets = store.sealed_dict::<Login>("s", key());
        for name in ["a", "b"] {
            secrets.set(name, &login(1)).await?;
        }
        store.sealed_dict::<Login>("t", key()).set("a", &login(2)).await?;
        store.close().await?;
        // Whoever can write to the file can make its checksums too: he only lacks the key.
        let forged = "UPDATE dict_entry SET data = (SELECT data FROM dict_entry WHERE dict = ?1 AND key = ?2) \
                      WHERE dict = 1 AND key = 'b'";
        for (dict, from) in [(1, "a"), (2, "a")] {
            let file = millpond_file(&path);
            file.execute(forged, (dict, from)).unwrap();
            let data: Vec<u8> = file
                .query_row("SELECT data FROM dict_entry WHERE dict = 1 AND key = 'b'", [], |row| row.get(0))
                .unwrap();
            let version: u64 = file
                .query_row("SELECT version FROM dict_entry WHERE dict = 1 AND key = 'b'", [], |row| {
                    row.get(0)
                })
                .unwrap();
            let crc = millpond_actors::storage::checksum::record(
                millpond_actors::storage::checksum::Kind::Entry,
                "s",
                version,
                "b",
                3,
                1,
                &data,
            );
            file.execute("UPDATE dict_entry SET crc = ?1 WHERE dict = 1 AND key = 'b'", [crc]).unwrap();
            drop(file);
            let store = Store::builder().open(Location::File(path.clone())).await?;
            let found = store.sealed_dict::<Login>("s", key()).get("b").await;
            let moved = matches!(&found, Err(Error::Corrupt { detail, .. }) if detail.contains("belongs under another key or dict"));
            assert!(moved, "{found:?}");
            store.close().await?;
        }
        // A seal that is damaged is no wrong key.
        for (at, byte) in [(0, "02"), (1, "01"), (5, "FF"), (20, "00"), (69, "00")] {
            let file = millpond_file(&path);
            let seal: Vec<u8> =
                file.query_row("SELECT seal FROM dict WHERE id = 1", [], |row| row.get(0)).unwrap();
            let mut spoiled = seal.clone();
            spoiled[at] = u8::from_str_radix(byte, 16).unwrap() ^ 0x55;
            file.execute("UPDATE dict SET seal = ?1 WHERE id = 1", [spoiled]).unwrap();
            let store = Store::builder().open(Location::File(path.clone())).await?;
            let found = store.sealed_dict::<Login>("s", key()).get("a").await;
            assert!(matches!(found, Err(Error::Corrupt { kind: "seal of dict", .. })), "{at}: {found:?}");
            store.close().await?;
            file.execute("UPDATE dict SET seal = ?1 WHERE id = 1", [seal]).unwrap();
        }
        Ok(())
    });
}

fn millpond_file(path: &std::path::Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}
