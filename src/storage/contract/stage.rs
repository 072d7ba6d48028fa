//! The stage on which the cases play: a backend, a clock moved by hand, and processes that join.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ops::{Deref, DerefMut};

use millpond_actors::error::Expected;
use millpond_actors::name::Name;
use millpond_actors::storage::Data;
use millpond_actors::storage::lock::{Acquire, Acquired, Fence, Grant, Leave, Left, Settle, Was};
use millpond_actors::storage::stream::{Append, Appended, Filter, NewEvent, Query, Recorded, Scope};
use millpond_actors::storage::{
    Apply, Backend, Identity, Moment, Origin, Session, Standing, Target, View, feed,
};
use uuid::Uuid;

/// A fresh store and the moment it is.
pub(super) struct Stage<'b> {
    pub(super) backend: &'b dyn Backend,
    now: Cell<Moment>,
    /// Views that nobody looks through at the moment: a connection is more work than a look.
    idle: RefCell<Vec<Box<dyn View>>>,
}

/// A view that comes back when it is not looked through any more.
pub(super) struct Lent<'s> {
    view: Option<Box<dyn View>>,
    idle: &'s RefCell<Vec<Box<dyn View>>>,
}

impl Deref for Lent<'_> {
    type Target = dyn View;

    fn deref(&self) -> &(dyn View + 'static) {
        &**self.view.as_ref().unwrap()
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut (dyn View + 'static) {
        &mut **self.view.as_mut().unwrap()
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.idle.borrow_mut().extend(self.view.take());
    }
}

impl<'b> Stage<'b> {
    pub(super) fn new(backend: &'b dyn Backend) -> Stage<'b> {
        let now = Cell::new(Moment { boot_ms: 1_000_000, wall_ms: 1_700_000_000_000 });
        Stage { backend, now, idle: RefCell::default() }
    }

    pub(super) fn now(&self) -> Moment {
        self.now.get()
    }

    /// Both clocks go on.
    pub(super) fn pass(&self, ms: u64) {
        let Moment { boot_ms, wall_ms } = self.now();
        self.now.set(Moment { boot_ms: boot_ms + ms, wall_ms: wall_ms + i64::try_from(ms).unwrap() });
    }

    /// Somebody sets the wall clock.
    pub(super) fn set_wall(&self, wall_ms: i64) {
        self.now.set(Moment { wall_ms, ..self.now() });
    }

    /// A process joins. Dropped, it is dead.
    pub(super) fn join(&self) -> Player<'_, 'b> {
        self.join_as(&identity("program", "boot"))
    }

    pub(super) fn join_as(&self, identity: &Identity) -> Player<'_, 'b> {
        let session = self.backend.join(identity, &|| self.now()).unwrap();
        Player { stage: self, session, group: 0 }
    }

    pub(super) fn view(&self) -> Lent<'_> {
        let idle = self.idle.borrow_mut().pop();
        Lent { view: Some(idle.unwrap_or_else(|| self.backend.view().unwrap())), idle: &self.idle }
    }

    /// All events of one page.
    pub(super) fn read(&self, query: &Query) -> Vec<Recorded> {
        self.view().events(query).unwrap().events.into_iter().map(Result::unwrap).collect()
    }

    /// The numbers of the events of one page, as they were given to [`event`].
    pub(super) fn numbers(&self, query: &Query) -> Vec<u128> {
        self.read(query).iter().map(|event| event.id.as_u128()).collect()
    }

    /// The numbers of all events, page after page of `limit`, each resumed behind the last row looked at.
    pub(super) fn numbers_paged(&self, query: &Query, limit: u32) -> Vec<u128> {
        let mut view = self.view();
        let mut query = Query { limit, ..query.clone() };
        let mut numbers = Vec::new();
        loop {
            let page = view.events(&query).unwrap();
            assert!(page.events.len() <= limit as usize);
            assert!(
                !page.events.is_empty() || !page.more,
                "a page that is not the last must bring something"
            );
            numbers.extend(page.events.iter().map(|event| event.as_ref().unwrap().id.as_u128()));
            let Some(last) = page.last.filter(|_| page.more) else { return numbers };
            if query.backward {
                query.to = last - 1;
            } else {
                query.from = last + 1;
            }
        }
    }

    pub(super) fn version(&self, stream: &str) -> u64 {
        self.view().stream(&name(stream)).unwrap().map_or(0, |head| head.version)
    }

    /// The ticket that holds a lock, and how many wait.
    pub(super) fn line(&self, lock: &str) -> (Option<u64>, u64) {
        let line = self.view().lock(&name(lock), self.now()).unwrap().unwrap();
        (line.holder().filter(|holder| !holder.void).map(|holder| holder.grant.ticket), line.waiting)
    }
}

/// A process on the stage.
pub(super) struct Player<'s, 'b> {
    pub(super) stage: &'s Stage<'b>,
    pub(super) session: Box<dyn Session>,
    pub(super) group: u64,
}

impl Player<'_, '_> {
    /// Takes the turn and begins.
    pub(super) fn begin(&mut self) -> Standing {
        assert!(self.session.take_turn(false).unwrap(), "the turn is free");
        self.session.begin(self.stage.now()).unwrap()
    }

    /// Begins behind one who has died with the turn: a server passes it on when it has seen that.
    pub(super) fn begin_behind_the_dead(&mut self) -> Standing {
        assert!(self.session.take_turn(true).unwrap());
        self.session.begin(self.stage.now()).unwrap()
    }

    /// One operation within the group.
    pub(super) fn apply<A: Apply>(&mut self, operation: A) -> A::Outcome {
        A::from_outcome(self.session.apply(&operation.into_operation()).unwrap()).unwrap()
    }

    pub(super) fn commit(&mut self) {
        self.group += 1;
        self.session.commit(self.group).unwrap();
        self.session.leave_turn();
    }

    pub(super) fn rollback(&mut self) {
        self.session.rollback();
        self.session.leave_turn();
    }

    /// A group of one operation.
    pub(super) fn run<A: Apply>(&mut self, operation: A) -> A::Outcome {
        self.begin();
        let outcome = self.apply(operation);
        self.commit();
        outcome
    }

    /// An empty group.
    pub(super) fn beat(&mut self) -> Standing {
        let standing = self.begin();
        self.commit();
        standing
    }

    /// Appends to a stream whatever is there.
    pub(super) fn append(&mut self, stream: &str, numbers: &[u128]) -> Appended {
        self.run(append(stream, Expected::Any, numbers))
    }

    /// Acquires a lock that must be free.
    pub(super) fn hold(&mut self, lock: &str, ttl_ms: u64) -> Grant {
        granted(self.run(acquire(lock, ttl_ms)))
    }

    /// Takes a ticket of a lock that must be held.
    pub(super) fn wait(&mut self, lock: &str, ttl_ms: u64) -> (u64, u64) {
        waiting(self.run(acquire(lock, ttl_ms)))
    }

    /// Releases what must be held; who holds it then.
    pub(super) fn release(&mut self, grant: Grant) -> Option<Grant> {
        let Left { was, next } = self.run(leave(grant.lock, grant.ticket));
        assert_eq!(was, Was::Holding);
        next.first().copied()
    }

    pub(super) fn settle(&mut self, lock: u64) -> Option<Grant> {
        self.run(Settle { lock }).holders.first().copied()
    }
}

pub(super) fn identity(program: &str, boot: &str) -> Identity {
    Identity { pid: std::process::id(), host: "host".into(), program: program.into(), boot: boot.into() }
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(super) fn target(text: &str) -> Target {
    Target { name: name(text), id: None }
}

/// An event with nothing special about it, recognisable by its number.
pub(super) fn event(number: u128) -> NewEvent {
    NewEvent {
        id: Uuid::from_u128(number),
        event_type: Cow::Borrowed("Happened"),
        data: Data::Json(format!("{{\"number\":{number}}}")),
        schema: 1,
        at: None,
        metadata: None,
        origin: None,
    }
}

/// Where something comes from, some of it missing at times.
pub(super) fn odd_origin(number: u128) -> Origin {
    Origin {
        correlation: number.is_multiple_of(2).then(|| Uuid::from_u128(number << 64)),
        causation: number.is_multiple_of(3).then(|| Uuid::from_u128(number)),
        actor: number.is_multiple_of(5).then(|| format!("actor {number}")),
        tenant: number.is_multiple_of(7).then(|| format!("tenant {}", number % 4)),
    }
}

pub(super) fn typed(number: u128, event_type: &'static str) -> NewEvent {
    NewEvent { event_type: Cow::Borrowed(event_type), ..event(number) }
}

pub(super) fn append(stream: &str, expected: Expected, numbers: &[u128]) -> Append {
    append_events(stream, expected, numbers.iter().copied().map(event).collect())
}

pub(super) fn append_events(stream: &str, expected: Expected, events: Vec<NewEvent>) -> Append {
    Append { stream: target(stream), expected, events, known_ids: true, fence: None }
}

/// Version and position of an append that must have been done, for the first time.
pub(super) fn done(appended: Appended) -> (u64, u64) {
    match appended {
        Appended::Done { version, position, repeated: false, .. } => (version, position),
        other => panic!("not done: {other:?}"),
    }
}

/// Version and position of an append that must have been recognised.
pub(super) fn repeated(appended: Appended) -> (u64, u64) {
    match appended {
        Appended::Done { version, position, repeated: true, .. } => (version, position),
        other => panic!("not recognised: {other:?}"),
    }
}

pub(super) fn duplicate(number: u128) -> Appended {
    Appended::Duplicate { id: Uuid::from_u128(number) }
}

fn whole(scope: Scope) -> Query {
    Query { scope, backward: false, from: 0, to: u64::MAX, filter: Filter::default(), limit: 1_000 }
}

pub(super) fn all() -> Query {
    whole(Scope::All)
}

pub(super) fn of_stream(stream: &str) -> Query {
    whole(Scope::Stream(name(stream)))
}

pub(super) fn of_category(category: &str) -> Query {
    whole(Scope::Category(category.into()))
}

pub(super) fn backward(query: Query) -> Query {
    Query { backward: true, ..query }
}

pub(super) fn acquire(lock: &str, ttl_ms: u64) -> Acquire {
    Acquire { lock: target(lock), capacity: 1, weight: 1, ttl_ms, wait: true }
}

pub(super) fn try_acquire(lock: &str, ttl_ms: u64) -> Acquire {
    Acquire { wait: false, ..acquire(lock, ttl_ms) }
}

pub(super) fn leave(lock: u64, ticket: u64) -> Leave {
    Leave { lock, ticket }
}

pub(super) fn granted(acquired: Acquired) -> Grant {
    match acquired {
        Acquired::Granted(grant) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

/// Lock and ticket of somebody who must wait.
pub(super) fn waiting(acquired: Acquired) -> (u64, u64) {
    match acquired {
        Acquired::Waiting { lock, ticket } => (lock, ticket),
        other => panic!("not waiting: {other:?}"),
    }
}

pub(super) fn fence(lock: &str, grant: Grant) -> Fence {
    Fence { lock: grant.lock, name: name(lock), token: grant.token }
}

/// An append that must be made under a lock.
pub(super) fn fenced(lock: &str, grant: Grant, stream: &str, numbers: &[u128]) -> Append {
    Append { fence: Some(fence(lock, grant)), ..append(stream, Expected::Any, numbers) }
}

/// Messages whose content is their number.
pub(super) fn append_to(kind: feed::Kind, feed: &str, numbers: &[u64]) -> feed::Append {
    let message = |number: &u64| feed::NewMessage {
        data: Data::Json(number.to_string()),
        schema: 1,
        key: number.is_multiple_of(3).then(|| format!("key {}", number % 7)),
        at: number.is_multiple_of(2).then(|| format!("at {number}")),
    };
    let messages = numbers.iter().map(message).collect();
    feed::Append { kind, feed: target(feed), messages, fence: None }
}

/// All of a feed.
pub(super) fn of_feed(kind: feed::Kind, feed: &str) -> feed::Query {
    feed::Query {
        kind,
        name: name(feed),
        backward: false,
        from: 0,
        to: u64::MAX,
        since: None,
        until: None,
        content: None,
        limit: 10_000,
    }
}
