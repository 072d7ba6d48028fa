//! Roles that own nothing: what they have to be granted, and what those are told who were not.

use std::sync::Arc;

use millpond_actors::error::{Error, WriteOutcome};

use super::super::ground::Ground;
use super::super::param::Reading;
use super::{fresh, ground};
use crate::blocking::{Store, StoreBuilder};
use crate::{Appended, Durability, Event, Expected, Result};

/// A store, made by the owner of its schema, and a role that may not do anything.
struct Granted {
    ground: Arc<Ground>,
    url: String,
    role: String,
}

impl Granted {
    fn new(role: &str) -> Option<Granted> {
        let url = fresh()?;
        let ground = ground(&url);
        let granted = Granted { role: format!("{}_{role}", ground.address.schema()), ground, url };
        granted.owner("CREATE ROLE $role LOGIN");
        Some(granted)
    }

    /// What the owner says.
    fn owner(&self, sql: &str) {
        let sql = sql.replace("$role", &self.role).replace("$schema", self.ground.address.schema());
        self.ground.connect().unwrap().script(&sql).unwrap();
    }

    /// As the guide says it.
    fn may_use(&self) {
        self.owner(
            "GRANT USAGE ON SCHEMA $schema TO $role;
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA $schema TO $role",
        );
    }

    fn may_look(&self) {
        self.owner(
            "GRANT USAGE ON SCHEMA $schema TO $role; GRANT SELECT ON ALL TABLES IN SCHEMA $schema TO $role",
        );
    }

    fn open(&self, builder: StoreBuilder) -> Result<Store> {
        builder.open(self.url.replacen("millpond@", &format!("{}@", self.role), 1))
    }

    fn count(&self, sql: &str) -> u64 {
        let rows = self.ground.connect().unwrap().ask(sql, Vec::new()).unwrap();
        Reading::of(&rows[0]).number().unwrap()
    }
}

impl Drop for Granted {
    /// Roles are the server's, and not the schema's.
    fn drop(&mut self) {
        self.owner("DROP OWNED BY $role; DROP ROLE $role");
    }
}

fn builder() -> StoreBuilder {
    Store::builder().durability(Durability::ProcessCrash)
}

fn append(store: &Store, number: u64) -> Result<Appended> {
    let event = Event::new("Counted", &number)?;
    store.events().append("s-1", Expected::Version(number - 1), [event])
}

/// Something of everything.
fn use_all(store: &Store) -> Result<()> {
    let guard = store.lock("l").acquire()?;
    append(store, 1)?;
    guard.release()?;
    let queue = store.queue::<u64>("q");
    queue.push(&1)?;
    queue.pop()?.done()?;
    store.channel("c").publish(&1)?;
    store.log("l").append(&1)?;
    let dict = store.dict::<u64>("d");
    dict.set("a", &1)?;
    dict.increment("a", 1)?;
    dict.delete("a")?;
    let list = store.list::<u64>("l");
    list.push_back(&1)?;
    list.pop_front()?;
    let blobs = store.blobs("b");
    blobs.put("a", vec![7; 300_000])?;
    assert_eq!(blobs.get("a")?.map(|bytes| bytes.len()), Some(300_000));
    blobs.delete("a")?;
    blobs.sweep()?;
    let sealed = store.subject("alice").key()?.seal(&1)?;
    assert_eq!(store.unseal(&sealed)?, Some(1));
    store.subject("alice").shred()?;
    assert_eq!(store.events().read_all().count(), 1);
    assert_eq!(store.inspect().summary()?.events, 1);
    assert_eq!(store.inspect().processes()?.len(), 1);
    Ok(())
}

#[test]
fn whoever_may_write_rows_may_do_everything() {
    let Some(granted) = Granted::new("app") else { return };
    granted.may_use();
    let store = granted.open(builder()).unwrap();
    use_all(&store).unwrap();
    let report = store.check().unwrap();
    assert!(report.is_sound(), "{report:?}");
    store.close().unwrap();
    assert_eq!(granted.count("SELECT count(*) FROM @process"), 0, "it has left");
}

#[test]
fn whoever_may_read_rows_may_look() {
    let Some(granted) = Granted::new("reader") else { return };
    granted.may_look();
    let owner = builder().open(granted.url.as_str()).unwrap();
    append(&owner, 1).unwrap();
    let store = granted.open(builder().read_only()).unwrap();
    assert_eq!(store.events().read_all().count(), 1);
    assert_eq!(store.inspect().processes().unwrap().len(), 1);
    assert_eq!(store.inspect().summary().unwrap().events, 1);
    assert!(matches!(append(&store, 2), Err(Error::ReadOnly { .. })));
    store.close().unwrap();
    let refused = granted.open(builder()).unwrap_err();
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused}");
    assert!(refused.to_string().contains("permission denied for table"), "{refused}");
    assert_eq!(granted.count("SELECT count(*) FROM @process"), 1, "whoever was refused has left nothing");
    append(&owner, 2).unwrap();
    owner.close().unwrap();
}

#[test]
fn whoever_may_not_look_or_make_one_is_told() {
    let Some(granted) = Granted::new("stranger") else { return };
    let refused = granted.open(builder().read_only()).unwrap_err();
    assert!(matches!(refused, Error::InvalidPath { .. }), "{refused}");
    assert!(refused.to_string().contains("cannot be read: permission denied for schema"), "{refused}");
    granted.owner("GRANT USAGE ON SCHEMA $schema TO $role");
    let refused = granted.open(builder()).unwrap_err();
    assert!(refused.to_string().contains("cannot be read: permission denied for table"), "{refused}");
    let elsewhere = granted.url.replacen("millpond@", &format!("{}@", granted.role), 1) + "_elsewhere";
    let refused = builder().open(elsewhere).unwrap_err();
    assert!(matches!(refused, Error::InvalidPath { .. }), "{refused}");
    assert!(refused.to_string().contains("none can be made: permission denied for database"), "{refused}");
}

#[test]
fn g4_a_right_that_is_taken_away_costs_nothing_but_the_writes_that_need_it() {
    let Some(granted) = Granted::new("robbed") else { return };
    granted.may_use();
    let store = granted.open(builder()).unwrap();
    append(&store, 1).unwrap();
    granted.owner("REVOKE INSERT ON $schema.event FROM $role");
    for _ in 0..3 {
        let refused = append(&store, 2).unwrap_err();
        assert!(matches!(refused, Error::ReadOnly { .. }), "{refused}");
        assert_eq!(refused.outcome(), WriteOutcome::NotApplied);
        store.lock("l").acquire().unwrap().release().unwrap();
        assert_eq!(store.events().read_all().count(), 1, "reads go on, and so do other writes");
    }
    granted.may_use();
    append(&store, 2).unwrap();
    let positions: Vec<u64> = store.events().read_all().map(|event| event.unwrap().position()).collect();
    assert_eq!(positions, [1, 2]);
    store.close().unwrap();
}
