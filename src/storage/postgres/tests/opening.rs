//! Opening: what is refused, and what is made.

use millpond_actors::error::Error;
use millpond_actors::storage::{Backend, Session};

use super::super::Postgres;
use super::super::address::Address;
use super::super::param::Reading;
use super::{NOW, PATIENCE, fresh, ground, join};
use crate::filter::fields;
use crate::location::Durability;

fn open(url: &str, durability: Durability, read_only: bool) -> Result<Postgres, Error> {
    Postgres::open(url, durability, read_only, fields(), PATIENCE)
}

#[test]
fn a_url_is_looked_at_before_anything_else() {
    for bad in [
        "postgres://me@host/d?schema=Shop",
        "postgres://me@host/d?schema=a\"; DROP SCHEMA b; --",
        "postgres://me@host/d?schema=pg_mine",
        "postgres://me@host/d?direct=nowhere",
        "postgres://me@host/d?colour=blue",
        "postgres:///d",
    ] {
        assert!(matches!(Address::parse(bad), Err(Error::InvalidPath { .. })), "{bad}");
    }
    let address = Address::parse("postgres://me:secret@host:5433/shop?schema=a&sslmode=verify-full").unwrap();
    assert_eq!(format!("{address:?}"), "postgres://host:5433/shop?schema=a", "without what is secret");
}

#[test]
fn several_stores_in_one_database_have_nothing_to_do_with_one_another() {
    let (Some(one), Some(other)) = (fresh(), fresh()) else { return };
    let (one, other) = (ground(&one), ground(&other));
    let (mut a, mut b) = (join(&one), join(&other));
    assert!(a.take_turn(false).unwrap());
    assert!(b.take_turn(false).unwrap(), "each has its own turn");
    assert_eq!((a.process(), b.process()), (1, 1));
    assert_ne!(one.place.uuid, other.place.uuid);
}

#[test]
fn g1_a_server_that_may_lose_what_it_has_confirmed_is_refused() {
    let Some(url) = fresh() else { return };
    let refused = open(&url, Durability::PowerLoss, false).unwrap_err();
    assert!(refused.to_string().contains("fsync=off"), "{refused}");
}

#[test]
fn whoever_only_looks_makes_nothing() {
    let Some(url) = fresh() else { return };
    assert!(matches!(open(&url, Durability::ProcessCrash, true), Err(Error::InvalidPath { .. })));
    drop(open(&url, Durability::ProcessCrash, false).unwrap());
    let store = open(&url, Durability::ProcessCrash, true).unwrap();
    assert_eq!(store.view().unwrap().head(), Ok(0));
    let identity = millpond_actors::storage::Identity {
        pid: 1,
        host: String::new(),
        program: String::new(),
        boot: String::new(),
    };
    let mut looks = store.join(&identity, &|| NOW).unwrap();
    assert!(matches!(looks.begin(NOW), Err(Error::ReadOnly { .. })));
}

#[test]
fn what_is_newer_or_not_ours_is_refused_and_left_alone() {
    let Some(url) = fresh() else { return };
    let made = ground(&url);
    let line = made.connect().unwrap();
    line.script("UPDATE @store SET schema = 99").unwrap();
    let newer = open(&url, Durability::ProcessCrash, false).unwrap_err();
    assert!(matches!(newer, Error::SchemaTooNew { found: 99, .. }), "{newer}");
    line.script("DROP TABLE @store").unwrap();
    let odd = open(&url, Durability::ProcessCrash, false).unwrap_err();
    assert!(odd.to_string().contains("something else"), "{odd}");
    let left = line.ask("SELECT count(*) FROM @event", Vec::new()).unwrap();
    assert_eq!(Reading::of(&left[0]).number(), Ok(0));
}

#[test]
fn several_processes_may_make_it_at_once() {
    let Some(url) = fresh() else { return };
    std::thread::scope(|scope| {
        let open = || ground(&url).place.uuid;
        let opened: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        let uuids: Vec<_> = opened.into_iter().map(|opened| opened.join().unwrap()).collect();
        assert!(uuids.iter().all(|uuid| *uuid == uuids[0]));
    });
}
