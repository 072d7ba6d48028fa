//! Locks over several processes, each a session with a sidecar description of its own.

use millpond_actors::error::Expected;
use millpond_actors::limits;
use millpond_actors::storage::lock::{Acquired, Grant, Leave, Left, Renew, Settle, Was};
use millpond_actors::storage::{Backend, Session, Standing, Tables, Target};

use super::{Fixture, acquire, append, event, granted, group, moment, name, target, waiting};
use crate::location::Durability;
use crate::storage::sqlite::session::SqliteSession;

fn settled(session: &mut dyn Session, at: u64, lock: u64) -> Option<Grant> {
    group(session, at, 1, |session| session.lock_settle(&Settle { lock })).1.holders.first().copied()
}

fn left(session: &mut dyn Session, at: u64, lock: u64, ticket: u64) -> Left {
    group(session, at, 1, |session| session.lock_leave(&Leave { lock, ticket })).1
}

#[test]
fn the_line_is_strict_over_processes() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    let wanted = acquire("x", 60, true);
    let first = granted(&mut *a, 0, &wanted);
    let (lock, second) = waiting(&mut *b, 0, &wanted);
    let (_, third) = waiting(&mut *a, 0, &wanted);
    let (_, fourth) = waiting(&mut *b, 0, &wanted);
    assert_eq!(group(&mut *b, 0, 1, |b| b.lock_acquire(&acquire("x", 60, false))).1, Acquired::Held);
    // A ticket is its process's own.
    assert_eq!(left(&mut *b, 0, lock, first.ticket).was, Was::Gone);
    assert_eq!(left(&mut *a, 0, lock, third), Left { was: Was::Waiting, next: Vec::new() });
    let next = left(&mut *a, 0, lock, first.ticket).next[0];
    assert_eq!((next.ticket, next.process), (second, b.process()));
    assert!(next.token > first.token);
    assert_eq!(left(&mut *b, 0, lock, second).next[0].ticket, fourth);
    assert_eq!(left(&mut *b, 0, lock, fourth), Left { was: Was::Holding, next: Vec::new() });
    assert_eq!(left(&mut *b, 0, lock, fourth).was, Was::Gone);
    let known = millpond_actors::storage::lock::Acquire {
        lock: Target { name: name("x"), id: Some(lock) },
        ..wanted
    };
    assert!(granted(&mut *a, 0, &known).ticket > fourth);
    assert_eq!(fixture.one::<i64>("SELECT sum(waiting) FROM lock"), 0);
}

#[test]
fn a_lock_that_is_held_is_not_given_by_its_row_either() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    let held = granted(&mut *a, 0, &acquire("x", 60, false));
    let mut known = acquire("x", 60, false);
    known.lock.id = Some(held.lock);
    for session in [&mut a, &mut b] {
        assert_eq!(group(&mut **session, 0, 1, |session| session.lock_acquire(&known)).1, Acquired::Held);
    }
    assert_eq!(settled(&mut *b, 0, held.lock), Some(held));
    assert_eq!(left(&mut *a, 0, held.lock, held.ticket), Left { was: Was::Holding, next: Vec::new() });
    assert_eq!(granted(&mut *b, 0, &known).ticket, held.ticket + 1);
    assert_eq!(settled(&mut *a, 0, 99), None);
}

#[test]
fn a_killed_holder_is_noticed_at_once() {
    let fixture = Fixture::new();
    let (mut a, mut b, mut c) = (fixture.join(0), fixture.join(0), fixture.join(0));
    let held = granted(&mut *a, 0, &acquire("x", 3_600, true));
    let (_, dead) = waiting(&mut *c, 0, &acquire("x", 3_600, true));
    let (lock, ticket) = waiting(&mut *b, 0, &acquire("x", 3_600, true));
    assert_eq!(settled(&mut *b, 0, lock), Some(held));
    let mut view = fixture.backend.view().unwrap();
    assert!(!view.lock(&name("x"), moment(0)).unwrap().unwrap().holders[0].void);
    drop((a, c));
    assert!(view.lock(&name("x"), moment(0)).unwrap().unwrap().holders[0].void);
    let holder = settled(&mut *b, 0, lock).unwrap();
    assert_eq!((holder.ticket, holder.process), (ticket, b.process()));
    assert!(holder.token > held.token && dead < ticket);
    let line = view.lock(&name("x"), moment(0)).unwrap().unwrap();
    assert_eq!((line.waiting, line.holders[0].grant), (0, holder));
}

#[test]
fn a_killed_holder_without_waiters_gives_way() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    let held = granted(&mut *a, 0, &acquire("x", 3_600, false));
    drop(a);
    assert!(granted(&mut *b, 0, &acquire("x", 60, false)).token > held.token);
}

#[test]
fn the_dead_in_a_line_take_nobodys_place() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    let wanted = acquire("x", 3_600, true);
    granted(&mut *a, 0, &wanted);
    let (lock, _) = waiting(&mut *b, 0, &wanted);
    // As if it had asked again and again.
    let fill =
        "INSERT INTO ticket WITH RECURSIVE n(n) AS (SELECT 2000000 UNION ALL SELECT n + 1 FROM n LIMIT ?1)
        SELECT lock, n, process, ttl, weight FROM n JOIN ticket";
    let plain = fixture.plain();
    plain.execute(fill, [limits::WAITERS - 1]).unwrap();
    plain.execute("UPDATE lock SET waiting = (SELECT count(*) FROM ticket)", []).unwrap();
    plain.execute("UPDATE process SET token = 4000000", []).unwrap();
    assert_eq!(group(&mut *a, 0, 1, |a| a.lock_acquire(&wanted)).1, Acquired::Full);
    assert_eq!(fixture.one::<u64>("SELECT waiting FROM lock"), limits::WAITERS);
    drop(b);
    let (_, ticket) = waiting(&mut *a, 0, &wanted);
    assert_eq!(fixture.one::<u64>("SELECT waiting FROM lock"), limits::WAITERS + 1);
    let held = settled(&mut *a, 0, lock).unwrap();
    assert_eq!(left(&mut *a, 0, lock, held.ticket).next[0].ticket, ticket);
    assert_eq!(fixture.one::<u64>("SELECT waiting FROM lock"), 0);
}

#[test]
fn a_silent_holder_loses_its_lease_after_its_time_and_learns_it() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    let held = granted(&mut *a, 0, &acquire("x", 60, true));
    let (lock, ticket) = waiting(&mut *b, 1, &acquire("x", 60, true));
    // A beat at 30 carries the lease to 90.
    assert_eq!(group(&mut *a, 30, 1, |_| Ok(())).0, Standing::Good);
    assert_eq!(settled(&mut *b, 89, lock), Some(held));
    assert_eq!(settled(&mut *b, 91, lock).unwrap().ticket, ticket);
    let (standing, ()) = group(&mut *a, 92, 1, |_| Ok(()));
    assert_eq!(standing, Standing::Lapsed);
    assert_eq!(left(&mut *a, 92, lock, held.ticket).was, Was::Gone);
}

#[test]
fn what_expired_in_silence_is_freed_before_the_beat_would_revive_it() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    let held = granted(&mut *a, 0, &acquire("short", 10, true));
    let long = granted(&mut *a, 0, &acquire("long", 1_000, true));
    let (lock, ticket) = waiting(&mut *b, 1, &acquire("short", 1_000, true));
    // An undone group must not swallow the lapse.
    assert_eq!(a.begin(moment(20)), Ok(Standing::Lapsed));
    a.rollback();
    let (standing, holder) = group(&mut *a, 20, 1, |a| a.lock_settle(&Settle { lock }));
    assert_eq!((standing, holder.holders[0].ticket), (Standing::Lapsed, ticket));
    assert_eq!(left(&mut *a, 20, lock, held.ticket).was, Was::Gone);
    assert_eq!(left(&mut *a, 20, long.lock, long.ticket).was, Was::Holding);
    // Nothing is held any more: silence is no lapse.
    assert_eq!(group(&mut *a, 40, 1, |_| Ok(())).0, Standing::Lapsed);
    assert_eq!(group(&mut *a, 80, 1, |_| Ok(())).0, Standing::Good);
}

#[test]
fn leaving_gives_up_what_is_held_and_waited_for() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join(0), fixture.join(0));
    granted(&mut *a, 0, &acquire("x", 60, true));
    let other = granted(&mut *b, 0, &acquire("y", 60, true));
    waiting(&mut *a, 0, &acquire("x", 60, true));
    waiting(&mut *a, 0, &acquire("y", 60, true));
    let (lock, ticket) = waiting(&mut *b, 0, &acquire("x", 60, true));
    a.leave(moment(0)).unwrap();
    assert_eq!(settled(&mut *b, 0, lock).unwrap().ticket, ticket);
    assert_eq!(left(&mut *b, 0, other.lock, other.ticket), Left { was: Was::Holding, next: Vec::new() });
    assert_eq!(fixture.one::<i64>("SELECT count(*) FROM ticket"), 0);
    assert_eq!(fixture.one::<i64>("SELECT count(*) FROM process"), 1);
}

#[test]
fn tokens_are_the_stores_and_only_grow() {
    let fixture = Fixture::new();
    let mut session = fixture.join(0);
    let mut last = 0;
    for lock in ["a", "b", "a'b", "c"] {
        let grant = granted(&mut *session, 0, &acquire(lock, 60, false));
        assert!(grant.token > last);
        last = grant.token;
    }
    session.leave(moment(0)).unwrap();
    let mut later = fixture.join(1);
    assert!(granted(&mut *later, 1, &acquire("a", 60, false)).token > last);
    let lines = fixture.backend.view().unwrap().locks(None, 10, moment(1)).unwrap();
    assert_eq!(lines.into_iter().map(|line| line.name).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn l2_a_token_given_beside_an_event_is_not_given_again() {
    use millpond_actors::storage::Apply;
    use millpond_actors::storage::lock::Break;

    let fixture = Fixture::new();
    let (mut idle, mut holder, mut next) = (fixture.join(0), fixture.join(0), fixture.join(0));
    granted(&mut *holder, 0, &acquire("x", 60, true));
    waiting(&mut *next, 0, &acquire("x", 60, true));
    // A later number, so that the waiter's ticket cannot be its token.
    let other = granted(&mut *holder, 0, &acquire("y", 60, true));
    let event = |id| append("s", Expected::Any, vec![event(id, "{}")]).into_operation();
    // It has beaten now, and neither holds nor waits for anything: events alone leave its row alone.
    group(&mut *idle, 0, 1, |idle| idle.apply(&event(1)));
    let broken = Break { lock: target("x") }.into_operation();
    group(&mut *idle, 0, 2, |idle| idle.apply(&broken).and_then(|_| idle.apply(&event(2))));
    let token = fixture.one::<u64>("SELECT token FROM lock WHERE name = 'x'");
    assert!(token > other.token);
    assert!(granted(&mut *next, 0, &acquire("z", 60, true)).token > token);
}

/// Whether the connection syncs what it commits.
fn syncs(session: &SqliteSession) -> bool {
    session.connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0)).unwrap() == 2
}

#[test]
fn l4_a_beat_is_not_synced_unless_something_has_to_be_freed_on_the_way() {
    let fixture = Fixture::new();
    let (mut a, mut b) = (fixture.join_with(Durability::PowerLoss), fixture.join(0));
    let held = granted(&mut a, 0, &acquire("x", 60, false));
    let renew = |session: &mut SqliteSession, at| {
        assert!(session.take_turn(false).unwrap());
        let standing = session.begin_beat(moment(at)).unwrap();
        let renewed = session.lock_renew(&Renew { lock: held.lock, ticket: held.ticket }).unwrap();
        let synced = syncs(session);
        session.commit(1).unwrap();
        session.leave_turn();
        (standing, renewed.held, synced)
    };
    assert_eq!(renew(&mut a, 50), (Standing::Good, true, false));
    let (_, ticket) = waiting(&mut *b, 100, &acquire("x", 60, true));
    assert_eq!(settled(&mut *b, 109, held.lock), Some(held), "the beat was seen");
    // What it frees is granted to another, and that must last.
    assert_eq!(renew(&mut a, 111), (Standing::Lapsed, false, true));
    assert_eq!(settled(&mut *b, 111, held.lock).unwrap().ticket, ticket);
    group(&mut a, 111, 2, |a| a.stream_append(&append("s", Expected::Any, vec![event(1, "1")])));
    assert!(syncs(&a), "any other commit is synced");
}

#[test]
fn x1_a_commit_is_synced_unless_less_is_asked_for_by_name() {
    for (durability, synced) in [(Durability::PowerLoss, true), (Durability::ProcessCrash, false)] {
        let fixture = Fixture::new();
        let mut a = fixture.join_with(durability);
        group(&mut a, 0, 1, |a| a.stream_append(&append("s", Expected::Any, vec![event(1, "1")])));
        assert_eq!(syncs(&a), synced, "{durability:?}");
    }
}

#[test]
fn l2_a_grant_is_known_to_be_on_disk_only_if_all_processes_sync() {
    let fixture = Fixture::new();
    let mut a = fixture.join(0);
    granted(&mut *a, 0, &acquire("x", 60, false));
    let mut view = fixture.backend.view().unwrap();
    let mut synced = || view.lock(&name("x"), moment(0)).unwrap().unwrap().synced;
    assert!(synced());
    let mut hasty = fixture.join_with(Durability::ProcessCrash);
    assert!(!syncs(&hasty) && !synced(), "it may have written what is seen");
    assert!(hasty.take_turn(false).unwrap());
    hasty.leave(moment(1)).unwrap();
    hasty.leave_turn();
    assert!(syncs(&hasty) && synced(), "with its row goes all doubt");
    let killed = fixture.join_with(Durability::ProcessCrash);
    drop(killed);
    assert!(!synced());
    // Whoever buries it syncs what it wrote.
    let _third = fixture.join(0);
    assert!(synced());
}
