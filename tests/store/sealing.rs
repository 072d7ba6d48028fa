//! Values that are sealed for a subject: who can open them, and who cannot any more.

use futures_util::future::join_all;
use millpond::{
    Aggregate, Decision, Error, Event, Execute, Expected, Location, Push, Result, Sealed, Snapshots, Store,
    blocking,
};
use serde::{Deserialize, Serialize};

use crate::backends::event;
use crate::erasing::{bytes_of, contains};

each_backend! {
    what_is_sealed_is_opened_until_its_subject_is_shredded
    a_shredded_subject_has_no_key_any_more_nor_gets_one
    many_who_ask_at_once_are_given_one_key
    what_was_changed_is_not_opened
    what_was_sealed_elsewhere_says_so
    a_sealed_value_travels_in_jobs_and_messages
    names_of_subjects_are_checked
}

/// Somebody whose name is nobody's business.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Person {
    names: Vec<Sealed<String>>,
}

#[derive(Serialize, Deserialize)]
enum Happened {
    Named { name: Sealed<String>, at_birth: bool },
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Aggregate for Person {
    const KIND: &'static str = "person";
    type Command = Sealed<String>;
    type Event = Happened;
    type Rejection = Never;

    fn decide(&self, name: &Sealed<String>) -> Result<Decision<Person>, Never> {
        Ok([Happened::Named { name: name.clone(), at_birth: self.names.is_empty() }].into())
    }

    fn evolve(&mut self, event: &Happened) {
        let Happened::Named { name, .. } = event;
        self.names.push(name.clone());
    }

    fn snapshots() -> Snapshots<Person> {
        Snapshots::every(2)
    }
}

async fn what_is_sealed_is_opened_until_its_subject_is_shredded(store: Store) -> Result<()> {
    let person = store.aggregate::<Person>("7");
    let key = store.subject("person-7").key().await?;
    for name in ["Augusta", "Ada", "Ada", "Countess"] {
        person.execute(key.seal(&name.to_owned())?).await.unwrap();
    }
    let names = person.state().await?.names;
    assert_ne!(names[1], names[2], "the same twice does not look the same");
    assert_eq!(store.unseal(&names[3]).await?.as_deref(), Some("Countess"));
    assert_eq!(key.open(&names[0])?, "Augusta");
    assert!(store.subject("person-7").shred().await?);
    for name in &names {
        assert_eq!(store.unseal(name).await?, None);
    }
    // The rest of what happened is there.
    assert_eq!(person.state().await?.names, names);
    let history = person.history().next().await.unwrap()?;
    let Happened::Named { at_birth, .. } = person.decode(&history)?;
    assert!(at_birth);
    Ok(())
}

async fn a_shredded_subject_has_no_key_any_more_nor_gets_one(store: Store) -> Result<()> {
    let (ada, grace) = (store.subject("ada"), store.subject("grace"));
    let sealed = grace.key().await?.seal(&1)?;
    assert!(!ada.shred().await?, "there was no key");
    assert!(matches!(ada.key().await, Err(Error::Shredded { subject }) if subject == "ada"));
    assert!(grace.shred().await?);
    assert!(!grace.shred().await?);
    assert!(matches!(grace.clone().key().await, Err(Error::Shredded { subject }) if subject == "grace"));
    assert_eq!(store.unseal(&sealed).await?, None);
    Ok(())
}

async fn many_who_ask_at_once_are_given_one_key(store: Store) -> Result<()> {
    let subject = store.subject("ada");
    let keys = join_all((0..64).map(|_| subject.key())).await.into_iter().collect::<Result<Vec<_>>>()?;
    let sealed = keys[0].seal(&17)?;
    assert!(keys.iter().all(|key| key.open(&sealed) == Ok(17)));
    Ok(())
}

async fn what_was_changed_is_not_opened(store: Store) -> Result<()> {
    let (ada, grace) = (store.subject("ada").key().await?, store.subject("grace").key().await?);
    let sealed = ada.seal(&"secret".to_owned())?;
    let broken = |error: Result<Option<String>>, why: &str| {
        let Err(Error::SealBroken { subject, reason }) = error else { panic!("{error:?}") };
        assert!(reason.contains(why) && ["ada", "grace"].contains(&&*subject), "{subject}: {reason}");
    };
    let json = serde_json::to_value(&sealed).unwrap();
    let text = json["sealed"].as_str().unwrap().to_owned();
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = serde_json::json!({"subject": "ada", "sealed": String::from_utf8(changed).unwrap()});
        // The last letter has bits that stand for nothing, and must be none.
        let Ok(changed) = serde_json::from_value::<Sealed<String>>(changed) else { continue };
        broken(store.unseal(&changed).await, "damaged");
    }
    let other = serde_json::json!({"subject": "grace", "sealed": text});
    broken(store.unseal(&serde_json::from_value(other).unwrap()).await, "another key");
    let other: Sealed<String> =
        serde_json::from_value(serde_json::json!({"subject": "ada", "sealed": "AQ"})).unwrap();
    broken(store.unseal(&other).await, "cut off");
    broken(grace.open(&sealed).map(Some), "another key");
    let number: Sealed<u64> = serde_json::from_value(json).unwrap();
    assert!(matches!(ada.open(&number), Err(Error::Decode { .. })));
    for wrong in ["{}", r#"{"subject":"","sealed":"AQ"}"#, r#"{"subject":"ada","sealed":"!"}"#, "7"] {
        assert!(serde_json::from_str::<Sealed<String>>(wrong).is_err(), "{wrong}");
    }
    Ok(())
}

async fn what_was_sealed_elsewhere_says_so(store: Store) -> Result<()> {
    let keys = Store::memory().await?;
    let sealed = keys.subject("ada").key().await?.seal(&"Ada".to_owned())?;
    let refused = store.unseal(&sealed).await;
    assert!(matches!(&refused, Err(Error::SealBroken { subject, .. }) if subject == "ada"), "{refused:?}");
    store.events().append("ada", Expected::Any, [Event::new("Named", &sealed)?]).await?;
    let read = store.events().read_stream("ada").next().await.unwrap()?.decode::<Sealed<String>>()?;
    assert_eq!(keys.unseal(&read).await?.as_deref(), Some("Ada"));
    keys.close().await
}

async fn a_sealed_value_travels_in_jobs_and_messages(store: Store) -> Result<()> {
    let sealed = store.subject("ada").key().await?.seal(&vec!["a letter".to_owned()])?;
    store.queue("mail").push_with(&sealed, Push::new()).await?;
    store.channel("mail").publish(&sealed).await?;
    let job = store.queue::<Sealed<Vec<String>>>("mail").pop().await?;
    assert_eq!(*job, sealed);
    assert_eq!(store.unseal(&job).await?, Some(vec!["a letter".to_owned()]));
    job.done().await?;
    let message = store.channel::<Sealed<Vec<String>>>("mail").history().next().await.unwrap()?;
    assert_eq!((message.subject(), &*message), ("ada", &sealed));
    Ok(())
}

async fn names_of_subjects_are_checked(store: Store) -> Result<()> {
    for name in ["", "a\0b", &"x".repeat(513)] {
        assert!(matches!(store.subject(name).key().await, Err(Error::InvalidName { .. })), "{name:?}");
        assert!(matches!(store.subject(name).shred().await, Err(Error::InvalidName { .. })), "{name:?}");
    }
    let odd = store.subject("it's \"7\"; DROP TABLE subject");
    let sealed = odd.key().await?.seal(&7)?;
    assert_eq!(store.unseal(&sealed).await?, Some(7));
    assert_eq!(format!("{sealed:?}"), r#"Sealed { subject: "it's \"7\"; DROP TABLE subject", .. }"#);
    Ok(())
}

#[test]
fn nothing_that_is_sealed_stands_in_the_file_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let store = blocking::Store::open(folder.path().join("case.db")).unwrap();
    let key = store.subject("person-7").key().unwrap();
    let person = store.aggregate::<Person>("7");
    for number in 0..10 {
        let name = key.seal(&format!("Ada Lovelace {number}")).unwrap();
        person.execute_with(name, Execute::new()).unwrap();
    }
    store.events().append("other-1", Expected::Any, [event(1)]).unwrap();
    let names = person.state().unwrap().names;
    assert_eq!(store.unseal(&names[9]).unwrap().as_deref(), Some("Ada Lovelace 9"));
    assert!(store.inspect().summary().unwrap().snapshots > 0, "the state was written down too");
    store.close().unwrap();
    let bytes = bytes_of(folder.path());
    assert!(contains(&bytes, "person-7") && !contains(&bytes, "Lovelace"));
}

#[test]
fn who_shreds_in_one_process_shreds_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let open = || blocking::Store::open(Location::File(folder.path().join("case.db"))).unwrap();
    let first = open();
    let sealed = first.subject("ada").key().unwrap().seal(&7).unwrap();
    first.close().unwrap();
    let second = open();
    assert_eq!(second.unseal(&sealed).unwrap(), Some(7));
    assert!(second.subject("ada").shred().unwrap());
    second.close().unwrap();
    let third = open();
    assert_eq!(third.unseal(&sealed).unwrap(), None);
    assert!(matches!(third.subject("ada").key(), Err(Error::Shredded { .. })));
    third.close().unwrap();
}
