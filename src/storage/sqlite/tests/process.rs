//! Registration, turns, the sidecar's loss, reopening, the bell.

use std::fs;
use std::sync::Arc;

use millpond_actors::error::{Error, Expected, Occupant};
use millpond_actors::storage::lock::{Acquired, Settle};
use millpond_actors::storage::stream::Appended;
use millpond_actors::storage::{Backend, Identity, Session, Standing, Tables, Turn};

use super::super::migrate;
use super::super::session::SqliteSession;
use super::super::sync::Sidecar;
use super::{Fixture, Options, acquire, append, event, granted, group, identity, moment, name, waiting};

#[test]
fn one_has_the_turn_and_the_other_learns_whose_it_is() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    assert!(a.take_turn(true).unwrap() && a.take_turn(false).unwrap());
    assert!(!b.take_turn(false).unwrap());
    let turn = b.turn_holder().unwrap();
    assert_eq!(turn.occupant.to_string(), "test (pid 4711 on here, process 1) has the writers' turn");
    // Of one that was buried while it was stopped there is no name any more, and still the turn.
    fixture.plain().execute("DELETE FROM process WHERE id = ?1", [a.process()]).unwrap();
    assert_eq!(b.turn_holder(), Some(Turn { occupant: Occupant::Unknown, ..turn }));
    a.leave_turn();
    assert!(b.take_turn(false).unwrap());
    drop(b);
    assert!(a.take_turn(false).unwrap(), "the dead pass their turn on");
}

#[test]
fn another_program_that_writes_makes_us_busy() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let other = fixture.plain();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let Err(Error::Busy { process, .. }) = session.begin(moment(0)) else { panic!("not busy") };
    assert_eq!(process, Occupant::OtherProgram);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(session.begin(moment(0)), Ok(Standing::Good));
}

#[test]
fn the_last_group_survives_a_reopening() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    group(&mut *session, 0, 41, |_| Ok(()));
    session.begin(moment(0)).unwrap();
    session.stream_append(&append("a-1", Expected::Any, vec![event(1, "{}")])).unwrap();
    session.reopen().unwrap();
    assert!(!session.in_transaction());
    let (_, last) = group(&mut *session, 0, 42, |session| session.last_group());
    assert_eq!(last, 41);
    assert_eq!(group(&mut *session, 0, 43, |session| session.last_group()).1, 42);
    assert_eq!(fixture.one::<i64>("SELECT count(*) FROM event"), 0);
    assert!(session.commit(44).is_err(), "no transaction is open");
}

#[test]
fn slots_of_the_dead_are_taken_over_and_ids_are_not() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.join(0), fixture.join(0));
    let dead = a.process();
    drop(a);
    let mut view = fixture.backend.view().unwrap();
    assert_eq!(view.pulse(0).unwrap().living, [b.process()]);
    assert_eq!(view.processes(moment(1)).unwrap().len(), 2);
    let c = fixture.join(1);
    assert!(c.process() > b.process() && b.process() > dead);
    assert_eq!(fixture.one::<i64>("SELECT count(*) FROM process"), 2);
    assert_eq!(view.pulse(0).unwrap().living, [b.process(), c.process()]);
}

#[test]
fn joining_passes_on_what_the_dead_held() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    granted(&mut *a, 0, &acquire("x", 3_600, true));
    let (_, ticket) = waiting(&mut *b, 0, &acquire("x", 3_600, true));
    drop(a);
    let _c = fixture.join(0);
    assert_eq!(fixture.one::<u64>("SELECT holder FROM lock"), ticket);
}

#[test]
fn whoever_joins_reads_the_clock_when_nobody_else_can_write() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    granted(&mut *a, 0, &acquire("x", 3_600, true));
    waiting(&mut *b, 0, &acquire("x", 60, true));
    drop(a);
    let now = || {
        let whose = b.turn_holder().map(|turn| turn.occupant);
        assert_eq!(whose, Some(Occupant::Newcomer), "the turn is not ours yet");
        let other = fixture.plain().execute_batch("BEGIN IMMEDIATE");
        assert!(other.is_err(), "another program may keep us waiting yet");
        moment(50)
    };
    let _c = fixture.backend.join(&identity(), &now).unwrap();
    assert_eq!(fixture.one::<u64>("SELECT granted_at FROM lock"), moment(50).boot_ms);
}

#[test]
fn another_boot_makes_everything_void() {
    let fixture = Fixture::new();
    let mut a = fixture.join(0);
    let held = granted(&mut *a, 0, &acquire("x", 3_600, true));
    let later = Identity { boot: "boot-2".into(), ..identity() };
    let mut b = fixture.backend.join(&later, &|| moment(0)).unwrap();
    assert!(granted(&mut *b, 0, &acquire("x", 60, false)).token > held.token);
}

#[test]
fn a_lost_sidecar_means_unknown_and_is_rebuilt() {
    let fixture = Fixture::new();
    let sidecar = fixture.directory.path().join("a.db-sync");
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    let held = granted(&mut *a, 0, &acquire("x", 60, true));
    let (lock, ticket) = waiting(&mut *b, 0, &acquire("x", 60, true));
    let bell = b.bell();
    bell.waiting(true).unwrap();
    fs::remove_file(&sidecar).unwrap();
    // A newcomer makes a new one: nobody in it lives, and nobody is taken for dead.
    let mut c = fixture.join(1);
    assert!(sidecar.exists());
    assert_eq!(fixture.one::<i64>("SELECT count(*) FROM process"), 3);
    assert_eq!(group(&mut *c, 1, 1, |c| c.lock_settle(&Settle { lock })).1.holders, [held]);
    // The others move to it with their next group, and are known again.
    group(&mut *a, 2, 1, |_| Ok(()));
    group(&mut *b, 2, 1, |_| Ok(()));
    assert_eq!(fixture.one::<i64>("SELECT count(DISTINCT sidecar) FROM process"), 1);
    let rung = || fs::read(&sidecar).unwrap()[40] != 0;
    a.ring();
    assert!(rung(), "whoever waits takes that with him");
    drop(a);
    let holder = group(&mut *c, 2, 1, |c| c.lock_settle(&Settle { lock })).1.holders[0];
    assert_eq!((holder.ticket, holder.process), (ticket, b.process()));
}

#[test]
fn a_dead_process_of_a_lost_sidecar_is_void_by_time() {
    let fixture = Fixture::new();
    let mut a = fixture.join(0);
    granted(&mut *a, 0, &acquire("x", 60, true));
    drop(a);
    fs::remove_file(fixture.directory.path().join("a.db-sync")).unwrap();
    let mut b = fixture.join(1);
    let (lock, ticket) = waiting(&mut *b, 1, &acquire("x", 60, true));
    assert_eq!(group(&mut *b, 61, 1, |b| b.lock_settle(&Settle { lock })).1.holders[0].ticket, ticket);
    let _c = fixture.join(100_000);
    assert_eq!(fixture.one::<i64>("SELECT count(*) FROM process"), 2, "silent for a day: buried");
}

#[test]
fn a_buried_process_registers_anew() {
    let fixture = Fixture::new();
    let mut a = fixture.join(0);
    let before = a.process();
    fixture.plain().execute("DELETE FROM process", []).unwrap();
    assert_eq!(group(&mut *a, 0, 1, |_| Ok(())).0, Standing::Lapsed);
    assert!(a.process() > before);
    assert_eq!(group(&mut *a, 0, 2, |_| Ok(())).0, Standing::Good);
}

#[test]
fn a_foreign_file_in_the_sidecars_place_is_refused() {
    let fixture = Fixture::new();
    fs::write(fixture.directory.path().join("a.db-sync"), "something else").unwrap();
    let refused = fixture.backend.join(&identity(), &|| moment(0)).map(|_| ());
    assert!(matches!(refused, Err(Error::NotOurFile { .. })));
}

#[test]
fn the_log_is_counted_and_moved() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    group(&mut *session, 0, 1, |_| Ok(()));
    assert!(session.log_pages() > 0);
    session.checkpoint(false).unwrap();
    assert_eq!(session.log_pages(), 0);
    group(&mut *session, 0, 2, |_| Ok(()));
    assert!(session.log_pages() > 0);
    session.checkpoint(true).unwrap();
    assert_eq!(fixture.backend.view().unwrap().summary(moment(0)).unwrap().log_bytes, 0);
}

/// A reader that comes before the last one goes keeps a log for ever that only begins anew by chance.
#[test]
fn g13_a_log_is_cleared_as_soon_as_nobody_reads_in_it() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    group(&mut *session, 0, 1, |_| Ok(()));
    let reader = fixture.plain();
    reader.execute_batch("BEGIN; SELECT id FROM store").unwrap();
    session.checkpoint(false).unwrap();
    let before = session.log_length();
    group(&mut *session, 0, 2, |_| Ok(()));
    assert!(session.log_length() > before, "it goes on behind what is read");
    // It waits a moment in vain, which is no error.
    session.clear_log().unwrap();
    let before = session.log_length();
    group(&mut *session, 0, 3, |_| Ok(()));
    assert!(session.log_length() > before);
    reader.execute_batch("COMMIT").unwrap();
    session.clear_log().unwrap();
    group(&mut *session, 0, 4, |_| Ok(()));
    assert!(session.log_length() < before, "it has begun anew");
}

#[test]
fn the_pulse_changes_with_the_commits_of_others() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let mut view = fixture.backend.view().unwrap();
    let before = view.pulse(0).unwrap();
    assert_eq!(view.pulse(0).unwrap(), before);
    group(&mut *session, 0, 1, |_| Ok(()));
    assert_ne!(view.pulse(0).unwrap().groups, before.groups);
    assert_eq!(view.stream(&name("a")), Ok(None));
}

#[test]
fn the_bell_rings_for_those_who_wait_and_when_somebody_dies() {
    let fixture = Fixture::new();
    let (session, dying) = (fixture.join(0), fixture.join(0));
    let waits = fixture.join(0);
    let bell = waits.bell();
    let (rang, ring) = crossbeam_channel::unbounded();
    bell.listen(Box::new(move || rang.send(()).unwrap_or(()))).unwrap();
    session.ring();
    bell.waiting(true).unwrap();
    session.ring();
    let patience = std::time::Duration::from_secs(10);
    ring.recv_timeout(patience).expect("a ring");
    while ring.try_recv().is_ok() {}
    drop(dying);
    ring.recv_timeout(patience).expect("a death");
}

#[test]
fn d8_nobody_rings_for_himself() {
    let fixture = Fixture::new();
    let (session, other) = (fixture.join(0), fixture.join(0));
    let (own, others) = (session.bell(), other.bell());
    let sidecar = fixture.backend.place.beside("-sync");
    let rung = || std::fs::read(&sidecar).unwrap()[40] != 0;
    own.waiting(true).unwrap();
    session.ring();
    assert!(!rung());
    others.waiting(true).unwrap();
    session.ring();
    assert!(rung());
}

#[test]
fn g4_a_group_of_events_alone_is_known_by_its_last_event() {
    let fixture = Fixture::new();
    let place = Arc::clone(&fixture.backend.place);
    let mut a = SqliteSession::join(place, Options::default(), &identity(), &|| moment(0)).unwrap();
    let row = || fixture.one::<u64>("SELECT last_group FROM process");
    let append = |number: u128| append("s", Expected::Any, vec![event(number, "{}")]);
    group(&mut a, 0, 1, |a| a.stream_append(&append(1)));
    assert_eq!(row(), 1, "the first one says that this process lives");
    group(&mut a, 0, 2, |a| a.stream_append(&append(2)));
    assert_eq!(row(), 1, "the second one need not");
    a.forget_last_commit();
    let known = |a: &mut SqliteSession| {
        a.reopen().unwrap();
        assert!(a.take_turn(false).unwrap());
        a.begin(moment(0)).unwrap();
        let last = a.last_group().unwrap();
        a.rollback();
        a.leave_turn();
        last
    };
    assert_eq!(known(&mut a), 2);
    // One that was undone is not taken for it.
    a.take_turn(false).unwrap();
    a.begin(moment(0)).unwrap();
    a.stream_append(&append(3)).unwrap();
    a.rollback();
    assert!(a.commit(3).is_err());
    a.leave_turn();
    assert_eq!(known(&mut a), 2);
    // Others see the positions all the same, and go on behind them.
    let mut b = fixture.join(0);
    let Appended::Done { position, .. } = group(&mut *b, 0, 1, |b| b.stream_append(&append(4))).1 else {
        panic!("it is new")
    };
    assert_eq!(position, 3);
    // With a lock in it, or after a while, the row is written again.
    group(&mut a, 0, 4, |a| a.lock_acquire(&acquire("l", 60, true)));
    assert_eq!(fixture.one::<u64>("SELECT max(last_group) FROM process"), 4);
    group(&mut a, 0, 5, |a| a.stream_append(&append(5)));
    assert_eq!(
        fixture.one::<u64>("SELECT max(last_group) FROM process"),
        5,
        "while it holds a lock, it beats"
    );
}

#[test]
fn l2_a_connection_that_was_opened_anew_knows_nothing_of_what_it_knew() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    let take = |session: &mut dyn Session, group_number: u64, lock: &str| match group(
        session,
        0,
        group_number,
        |session| session.lock_acquire(&acquire(lock, 60, true)),
    )
    .1
    {
        Acquired::Granted(grant) => grant.token,
        other => panic!("{other:?}"),
    };
    // Whatever number the new connection begins to count its versions with.
    for round in 1..=8 {
        let first = take(&mut *a, 2 * round - 1, &format!("a {round}"));
        let second = take(&mut *b, round, &format!("b {round}"));
        a.reopen().unwrap();
        let third = take(&mut *a, 2 * round, &format!("c {round}"));
        assert!(first < second && second < third, "{first}, {second}, {third}");
    }
}

#[test]
fn a_presence_that_was_lent_outlives_its_process_and_nothing_else_does() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    granted(&mut *a, 0, &acquire("x", 60, true));
    let (lock, ticket) = waiting(&mut *b, 0, &acquire("x", 60, true));
    let mut view = fixture.backend.view().unwrap();
    let lent = a.presence().unwrap().upgrade().unwrap().lend().unwrap();
    // Killed in the middle of a group.
    assert!(a.take_turn(false).unwrap());
    let (presence, process) = (a.presence().unwrap(), a.process());
    drop(a);
    assert!(presence.upgrade().is_none());
    assert_eq!(view.pulse(0).unwrap().living, [process, b.process()]);
    let list = view.processes(moment(0)).unwrap();
    let states: Vec<_> = list.iter().map(|process| (process.alive, process.lent, process.holds)).collect();
    assert_eq!(states, [(true, true, 1), (true, false, 0)], "it runs no more, and holds what it held");
    let settled = group(&mut *b, 59, 1, |b| b.lock_settle(&Settle { lock })).1;
    assert_eq!(settled.holders[0].process, process, "the turn was free, and the lock was not");
    // A newcomer takes another slot.
    let c = fixture.join(59);
    assert_eq!(fixture.one::<i64>("SELECT count(*) FROM process"), 3);
    drop(c);
    drop(lent);
    assert_eq!(view.pulse(0).unwrap().living, [b.process()]);
    let settled = group(&mut *b, 59, 1, |b| b.lock_settle(&Settle { lock })).1;
    assert_eq!(settled.holders[0].ticket, ticket);
}

#[test]
fn a_program_that_has_ended_holds_up_no_migration_whatever_it_has_left_behind() {
    let fixture = Fixture::new();
    let mut a = fixture.join(0);
    granted(&mut *a, 0, &acquire("x", 60, true));
    let plain = fixture.plain();
    plain.execute("UPDATE process SET schema = 0", []).unwrap();
    let sidecar = Sidecar::open(&fixture.backend.place).unwrap();
    let refused = || migrate::refuse_if_older_live(&plain, &sidecar);
    let lent = a.presence().unwrap().upgrade().unwrap().lend().unwrap();
    let Err(Error::Unsupported { reason, .. }) = refused() else { panic!("{:?}", refused()) };
    assert_eq!(reason, "test (pid 4711) has it open with an older one; stop it first");
    drop(a);
    assert_eq!(refused(), Ok(()), "it writes nothing any more");
    let line = fixture.backend.view().unwrap().lock(&name("x"), moment(0)).unwrap().unwrap();
    assert!(line.holder().is_some_and(|holder| !holder.void), "what it started keeps the lock");
    drop(lent);
    assert_eq!(refused(), Ok(()));
}

#[test]
fn a_lease_under_a_presence_that_was_lent_ends_by_time() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    granted(&mut *a, 0, &acquire("x", 60, true));
    let (lock, ticket) = waiting(&mut *b, 0, &acquire("x", 60, true));
    let _lent = a.presence().unwrap().upgrade().unwrap().lend().unwrap();
    drop(a);
    let settled = group(&mut *b, 61, 1, |b| b.lock_settle(&Settle { lock })).1;
    assert_eq!(settled.holders[0].ticket, ticket);
}

#[test]
fn leaving_gives_the_slot_up_whoever_has_inherited_it() {
    let fixture = Fixture::new();
    let mut a = fixture.join(0);
    let _lent = a.presence().unwrap().upgrade().unwrap().lend().unwrap();
    let left = a.process();
    assert!(a.take_turn(false).unwrap());
    a.leave(moment(0)).unwrap();
    drop(a);
    let b = fixture.join(0);
    assert_eq!(fixture.one::<i64>("SELECT slot FROM process"), 0);
    assert!(b.process() > left);
}
