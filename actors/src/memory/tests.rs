//! The knobs and what only this backend can be made to do; everything else is the contract suite's.

use super::Memory;
use crate::error::{Error, Expected};
use crate::name::Name;
use crate::storage::Data;
use crate::storage::lock::{Acquire, Acquired, Settle};
use crate::storage::stream::{Append, NewEvent};
use crate::storage::{Backend, Identity, Moment, Operation, Session, Standing, Target};

const NOW: Moment = Moment { boot_ms: 1_000, wall_ms: 1_000 };

fn join(memory: &Memory) -> Box<dyn Session> {
    let identity = Identity { pid: 1, host: "h".into(), program: "p".into(), boot: "b".into() };
    memory.join(&identity, &|| NOW).unwrap()
}

fn begin(session: &mut dyn Session) -> Standing {
    assert!(session.take_turn(false).unwrap());
    session.begin(NOW).unwrap()
}

fn target(text: &str) -> Target {
    Target { name: Name::new(text).unwrap(), id: None }
}

fn append(number: u128) -> Operation {
    let event = NewEvent {
        id: uuid::Uuid::from_u128(number),
        event_type: "Happened".into(),
        data: Data::Json("{}".into()),
        schema: 1,
        at: None,
        metadata: None,
        origin: None,
    };
    let (stream, expected) = (target("s"), Expected::Any);
    Operation::StreamAppend(Append { stream, expected, events: vec![event], known_ids: true, fence: None })
}

fn full() -> Error {
    Error::StorageFull { detail: "asked for".into() }
}

fn head(memory: &Memory) -> u64 {
    memory.view().unwrap().head().unwrap()
}

#[test]
fn a_failed_operation_leaves_its_writes_until_the_rollback() {
    let memory = Memory::new();
    let mut a = join(&memory);
    memory.faults().fail_apply(2, full());
    begin(&mut *a);
    assert!(a.apply(&append(1)).is_ok());
    assert_eq!(a.apply(&append(2)), Err(full()));
    assert!(a.in_transaction());
    a.rollback();
    begin(&mut *a);
    assert!(a.apply(&append(2)).is_ok());
    a.commit(1).unwrap();
    assert_eq!(head(&memory), 1);
}

#[test]
fn a_full_disk_takes_the_transaction_with_it() {
    let memory = Memory::new();
    let mut a = join(&memory);
    memory.faults().fail_apply_and_roll_back(1, full());
    begin(&mut *a);
    assert_eq!(a.apply(&append(1)), Err(full()));
    assert!(!a.in_transaction());
    assert!(a.apply(&append(2)).is_err() && a.commit(1).is_err(), "nothing follows it");
    assert_eq!(head(&memory), 0);
}

#[test]
fn a_failed_commit_is_settled_by_the_last_group() {
    for applied in [false, true] {
        let memory = Memory::new();
        let mut a = join(&memory);
        memory.faults().fail_commit(full(), applied);
        memory.faults().fail_reopen(1, full());
        begin(&mut *a);
        a.apply(&append(1)).unwrap();
        assert_eq!(a.commit(7), Err(full()));
        assert!(a.begin(NOW).is_err(), "not before it is reopened");
        assert_eq!(a.reopen(), Err(full()));
        assert!(a.begin(NOW).is_err());
        a.reopen().unwrap();
        begin(&mut *a);
        assert_eq!(a.last_group(), Ok(if applied { 7 } else { 0 }));
        assert_eq!(head(&memory), u64::from(applied));
    }
}

#[test]
fn a_failed_begin_opens_nothing() {
    let memory = Memory::new();
    let mut a = join(&memory);
    memory.faults().fail_begin(full());
    assert!(a.take_turn(false).unwrap());
    assert_eq!(a.begin(NOW), Err(full()));
    assert!(!a.in_transaction());
    assert_eq!(a.begin(NOW), Ok(Standing::Good));
}

#[test]
fn a_panic_leaves_a_transaction_that_can_be_undone() {
    let memory = Memory::new();
    let mut a = join(&memory);
    memory.faults().panic_in_apply(2);
    begin(&mut *a);
    a.apply(&append(1)).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| a.apply(&append(2)).is_ok()));
    assert!(panicked.is_err());
    a.rollback();
    begin(&mut *a);
    a.apply(&append(1)).unwrap();
    a.commit(1).unwrap();
    assert_eq!(head(&memory), 1);
}

#[test]
fn a_held_commit_shows_nothing_until_the_gate_opens() {
    let memory = Memory::new();
    let gate = memory.faults().hold_commits();
    let mut a = join(&memory);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            begin(&mut *a);
            a.apply(&append(1)).unwrap();
            a.commit(1).unwrap();
        });
        gate.wait_until_held();
        assert_eq!(head(&memory), 0, "readers go on meanwhile, and see nothing of it");
        gate.open();
    });
    assert_eq!(head(&memory), 1);
}

#[test]
fn a_buried_process_registers_anew() {
    let memory = Memory::new();
    let (mut a, mut b) = (join(&memory), join(&memory));
    let acquire = Operation::LockAcquire(Acquire {
        lock: target("l"),
        capacity: 1,
        weight: 1,
        ttl_ms: 100,
        wait: true,
    });
    for session in [&mut a, &mut b] {
        begin(&mut **session);
        session.apply(&acquire).unwrap();
        session.commit(1).unwrap();
        session.leave_turn();
    }
    let before = a.process();
    memory.bury(before, NOW);
    assert_eq!(begin(&mut *a), Standing::Lapsed);
    assert!(a.process() > before, "ids are never given twice");
    assert_eq!(a.lock_settle(&Settle { lock: 1 }).unwrap().holders[0].process, b.process());
    assert!(matches!(a.apply(&acquire), Ok(crate::storage::Outcome::LockAcquire(Acquired::Waiting { .. }))));
    assert_eq!(a.last_group(), Ok(1), "it still knows what it committed");
    a.commit(2).unwrap();
    a.leave_turn();
    assert_eq!(begin(&mut *a), Standing::Good);
}
