//! Keys of subjects: what is in the file, and what damage does to them.

use std::fs;

use millpond_actors::error::Error;
use millpond_actors::storage::Backend;
use millpond_actors::storage::subject::{KeyState, Make, Secret, Shred};

use super::{Fixture, group, moment, name};

/// Bytes that stand nowhere else.
fn key(number: u32) -> [u8; 32] {
    let mut bytes = *b"this key is of subject number ..";
    bytes[28..].copy_from_slice(&number.to_le_bytes());
    bytes
}

#[test]
fn a_key_that_was_destroyed_is_not_in_the_file_any_more() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let subject = |number: u32| name(&format!("{number}"));
    // Enough for many pages, in no order of their names.
    let numbers: Vec<u32> = (0..1_000).map(|number| number * 7_919 % 1_000).collect();
    for chunk in numbers.chunks(100) {
        group(&mut *session, 0, 1, |session| {
            for number in chunk {
                session.subject_key(&Make { subject: subject(*number), key: Secret::new(key(*number)) })?;
            }
            Ok(())
        });
    }
    let is_gone = |number: u32| !number.is_multiple_of(5);
    group(&mut *session, 0, 2, |session| {
        (0..1_000).filter(|number| is_gone(*number)).try_for_each(|number| {
            assert!(session.subject_shred(&Shred { subject: subject(number) })?);
            Ok(())
        })
    });
    assert!(session.take_turn(true).unwrap());
    session.leave(moment(0)).unwrap();
    session.checkpoint(true).unwrap();
    drop(session);
    let files = fs::read_dir(fixture.directory.path()).unwrap();
    let bytes: Vec<u8> = files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    for number in 0..1_000 {
        let is_there = memchr::memmem::find(&bytes, &key(number)).is_some();
        assert_eq!(is_there, !is_gone(number), "the key of {number}");
    }
}

#[test]
fn g14_a_damaged_key_is_found_out_and_can_be_destroyed() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let stands = |subject| fixture.backend.view().unwrap().subject(&name(subject));
    let make = |subject: &str, number| Make { subject: name(subject), key: Secret::new(key(number)) };
    for damage in [
        "UPDATE subject SET key = zeroblob(32) WHERE name = 'b'",
        "UPDATE subject SET key = (SELECT key FROM subject WHERE name = 'a') WHERE name = 'b'",
        "UPDATE subject SET key = x'00' WHERE name = 'b'",
        "UPDATE subject SET crc = crc + 1 WHERE name = 'b'",
    ] {
        group(&mut *session, 0, 1, |session| {
            session.subject_key(&make("a", 1))?;
            session.subject_key(&make("b", 2))
        });
        fixture.plain().execute(damage, []).unwrap();
        let corrupt = |error: Option<Error>| matches!(error, Some(Error::Corrupt { kind: "key of subject", name, .. }) if name == "b");
        assert!(corrupt(stands("b").err()), "{damage}");
        assert!(session.take_turn(false).unwrap());
        session.begin(moment(0)).unwrap();
        assert!(
            corrupt(session.subject_key(&make("b", 3)).err()),
            "no new key is put in its place: {damage}"
        );
        session.rollback();
        session.leave_turn();
        assert_eq!(stands("a"), Ok(Some(KeyState::Kept(Secret::new(key(1))))));
        let shredded =
            group(&mut *session, 0, 2, |session| session.subject_shred(&Shred { subject: name("b") }));
        assert!(shredded.1, "there was one");
        assert_eq!(stands("b"), Ok(Some(KeyState::Shredded)));
        fixture.plain().execute("DELETE FROM subject", []).unwrap();
    }
}
