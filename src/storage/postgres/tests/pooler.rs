//! Behind a pooler in transaction mode, whose few connections are shared by everybody.

use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::{Error, Occupant};
use millpond_actors::storage::{Session, Standing, View};
use millpond_postgres_server::Pooler;

use super::super::address::Address;
use super::super::param::Reading;
use super::super::view::PostgresView;
use super::{NOW, ground, join};
use crate::blocking::{Channel, Store, Subscription};
use crate::{Durability, Event, Expected, Push};

/// So few connections to the server that they have to be shared.
const CONNECTIONS: usize = 3;

/// A pooler of one's own: who holds one of its connections and waits for another must not wait for another test. `None` if there is
/// none to be had, which is said.
fn pooler() -> Option<Pooler> {
    millpond_postgres_server::shared().and_then(|server| Pooler::start(server, CONNECTIONS))
}

fn open(url: &str) -> Store {
    let builder = Store::builder().durability(Durability::ProcessCrash);
    builder.call_timeout(Duration::from_secs(60)).open(url).unwrap()
}

/// Two processes: what is called otherwise is another store to this one, which would open it only once.
fn two(pooler: &Pooler) -> (Store, Store) {
    let url = pooler.fresh();
    let other = url.replacen("127.0.0.1", "localhost", 1);
    (open(&url), open(&other))
}

#[test]
fn a_url_says_what_it_leads_to() {
    let prepares = |url: &str| Address::parse(url).unwrap().prepares();
    assert!(prepares("postgres://me@pooler/d"), "a server");
    assert!(!prepares("postgres://me@pooler/d?direct=server:5432"), "some pooler");
    assert!(prepares("postgres://me@pooler/d?direct=server:5432&prepared=yes"), "one that can do it");
    assert!(!prepares("postgres://me@pooler/d?prepared=no"));
    assert!(matches!(
        Address::parse("postgres://me@pooler/d?prepared=maybe"),
        Err(Error::InvalidPath { .. })
    ));
}

#[test]
fn whose_turn_it_is_is_known() {
    let Some(pooler) = pooler() else { return };
    let ground = ground(&pooler.fresh());
    let (mut a, mut b) = (join(&ground), join(&ground));
    assert!(a.take_turn(true).unwrap());
    let holder = b.turn_holder().expect("somebody has it");
    assert!(matches!(&holder.occupant, Occupant::Process(named) if named.id == a.process()), "{holder:?}");
    assert!(!b.take_turn(false).unwrap());
    a.leave_turn();
    assert!(b.turn_holder().is_none());
    assert!(b.take_turn(true).unwrap());
    let holder = a.turn_holder().expect("the other one has it");
    assert!(matches!(&holder.occupant, Occupant::Process(named) if named.id == b.process()), "{holder:?}");
}

#[test]
fn nothing_is_left_on_a_connection() {
    let Some(pooler) = pooler() else { return };
    let ground = ground(&pooler.fresh());
    let mut session = join(&ground);
    assert!(session.take_turn(true).unwrap());
    assert_eq!(session.begin(NOW).unwrap(), Standing::Good);
    session.commit(1).unwrap();
    session.leave_turn();
    let mut view = PostgresView::open(Arc::clone(&ground)).unwrap();
    assert_eq!(view.head(), Ok(0));
    view.pulse(0).unwrap();
    drop(view.frozen().unwrap());
    // All of the few connections there are: who has one in a transaction is given another one.
    let lines: Vec<_> = (0..CONNECTIONS).map(|_| ground.connect().unwrap()).collect();
    for line in &lines {
        line.script("BEGIN").unwrap();
        let sql = "SELECT current_setting('enable_seqscan'), current_setting('jit'),
            current_setting('idle_in_transaction_session_timeout'), current_setting('application_name')";
        let rows = line.ask(sql, Vec::new()).unwrap();
        let mut row = Reading::of(&rows[0]);
        let found: [&str; 4] = std::array::from_fn(|_| row.next().unwrap());
        assert_eq!(found, ["on", "on", "0", "millpond"]);
    }
    lines.iter().for_each(|line| line.script("ROLLBACK").unwrap());
}

#[test]
fn a_pooler_that_is_taken_for_a_server_is_named() {
    let Some(pooler) = pooler() else { return };
    let refused = (0..20).find_map(|number| {
        let url = format!("{}?schema=taken_{number}_{}", pooler.url(), std::process::id());
        Store::builder().durability(Durability::ProcessCrash).open(url).err()
    });
    let refused = refused.expect("statements are looked for where they are not");
    assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
    assert!(refused.to_string().contains("direct=HOST:PORT"), "{refused}");
}

#[test]
fn l1_a_lock_is_passed_on_between_processes() {
    let Some(pooler) = pooler() else { return };
    let (one, other) = two(&pooler);
    let held = one.lock("l").acquire().unwrap();
    assert!(other.lock("l").try_acquire().unwrap().is_none());
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| other.lock("l").acquire().unwrap());
        while one.inspect().summary().unwrap().tickets_waiting == 0 {
            std::thread::yield_now();
        }
        let token = held.token();
        held.release().unwrap();
        assert!(waits.join().unwrap().token() > token);
    });
}

#[test]
fn events_of_many_at_once_stand_in_one_order() {
    let Some(pooler) = pooler() else { return };
    let (one, other) = two(&pooler);
    std::thread::scope(|scope| {
        for (number, store) in [&one, &other, &one, &other].into_iter().enumerate() {
            scope.spawn(move || {
                for count in 0..25 {
                    let event = Event::new("Counted", &count).unwrap();
                    store.events().append(format!("s-{number}"), Expected::Version(count), [event]).unwrap();
                }
            });
        }
    });
    let conflict = one.events().append("s-1", Expected::NoStream, [Event::new("Counted", &0).unwrap()]);
    assert!(matches!(conflict, Err(Error::Conflict { .. })), "{conflict:?}");
    let positions: Vec<u64> = other.events().read_all().map(|event| event.unwrap().position()).collect();
    assert_eq!(positions, (1..=100).collect::<Vec<_>>());
}

#[test]
fn jobs_are_done_once_each() {
    let Some(pooler) = pooler() else { return };
    let (one, other) = two(&pooler);
    let numbers: Vec<u64> = (0..40).collect();
    one.queue::<u64>("q").push_all(numbers.iter().map(|number| (*number, Push::new()))).unwrap();
    let work = |store: &Store| {
        let (queue, mut done) = (store.queue::<u64>("q"), Vec::new());
        while let Some(job) = queue.try_pop().unwrap() {
            done.push(*job);
            job.done().unwrap();
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let (a, b) = (scope.spawn(|| work(&one)), scope.spawn(|| work(&other)));
        [a.join().unwrap(), b.join().unwrap()].concat()
    });
    done.sort_unstable();
    assert_eq!(done, numbers);
}

#[test]
fn c6_who_waits_is_woken_by_another_process() {
    let Some(pooler) = pooler() else { return };
    let (one, other) = two(&pooler);
    let channel: Channel<u64> = other.channel("c");
    let mut heard: Subscription<u64> = channel.subscribe().unwrap();
    std::thread::scope(|scope| {
        let hears = scope.spawn(move || heard.next().unwrap().unwrap().into_inner());
        one.channel::<u64>("c").publish(&7).unwrap();
        assert_eq!(hears.join().unwrap(), 7);
    });
}
