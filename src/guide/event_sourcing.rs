//! Event sourcing with Millpond: from an empty file to an aggregate, an upcast event and a test.
//!
//! What has happened is kept, as a sequence of *events* that never change. What is so now is worked out from them. So one can
//! say afterwards why something is so, how it was last week, and, with a program of today, what one did not think of asking
//! when it happened. It costs a little thought about events, and this page is that thought, in order:
//!
//! 1. [A stream](#1-a-stream)
//! 2. [An aggregate](#2-an-aggregate)
//! 3. [Commands that come twice, and where events come from](#3-commands-that-come-twice-and-where-events-come-from)
//! 4. [What follows from an event](#4-what-follows-from-an-event)
//! 5. [The past](#5-the-past)
//! 6. [Old events](#6-old-events)
//! 7. [What must be forgotten](#7-what-must-be-forgotten)
//! 8. [Tests](#8-tests)
//! 9. [Several processes, what is promised, and when not to use it](#9-several-processes-what-is-promised-and-when-not-to-use-it)
//! 10. [What it is called elsewhere](#10-what-it-is-called-elsewhere)
//!
//! All programs are about a small theatre, in which seats are booked. They need this in `Cargo.toml`:
//!
//! ```toml
//! [dependencies]
//! millpond = { version = "0.1", default-features = false, features = ["sqlite"] }
//! serde = { version = "1", features = ["derive"] }
//! serde_json = "1"
//! thiserror = "2"
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] } # or any other executor
//! uuid = { version = "1", features = ["v5", "v7"] }
//!
//! [dev-dependencies]
//! millpond = { version = "0.1", default-features = false, features = ["sqlite", "testing"] }
//! ```
//!
//! What is `async` here is also there for threads that wait, under the same names: see [`blocking`](crate::blocking). A program
//! that does all of this on a file is `cargo run --example event_sourcing`.
//!
//! # 1. A stream
//!
//! A *stream* is the events of one thing, here of one show, in the order in which they happened. It is called `category-id`,
//! such as `show-hamlet`; what stands before the first `-` is the category. A stream comes into being with its first event.
//!
//! An *event* has a type, which says what happened, and a content, which is JSON. It is called by what has happened, in the
//! past tense: `Booked`, not `Book`.
//!
//! ```
//! use millpond::{Error, Event, Expected, Store};
//! use serde_json::json;
//!
//! #[tokio::main]
//! async fn main() -> millpond::Result<()> {
//!     let store = Store::memory().await?; // `Store::open("theatre.db")` keeps it
//!     let events = store.events();
//!     let booked = |guest: &str| Event::new("Booked", &json!({ "guest": guest, "seats": 2 }));
//!
//!     let opened = Event::new("Opened", &json!({ "seats": 100 }))?;
//!     let done = events.append("show-hamlet", Expected::NoStream, [opened.clone()]).await?;
//!     assert_eq!((done.version, done.position), (1, 1));
//!     events.append("show-hamlet", Expected::Version(1), [booked("Ada")?]).await?;
//!
//!     // Somebody has looked at the stream when there was one event in it. Now there are two.
//!     let late = events.append("show-hamlet", Expected::Version(1), [booked("Bob")?]).await;
//!     assert!(matches!(late, Err(Error::Conflict { actual: 2, .. })));
//!
//!     // An event with an id of its own can be sent again: it is there once.
//!     let grace = booked("Grace")?.id(uuid::Uuid::from_u128(7));
//!     let first = events.append("show-hamlet", Expected::Version(2), [grace.clone()]).await?;
//!     let again = events.append("show-hamlet", Expected::Version(2), [grace]).await?;
//!     assert_eq!((first.version, again.version), (3, 3));
//!     assert_eq!((first.repeated, again.repeated), (false, true));
//!
//!     // Each stream counts its own versions. Positions go on over all of the store.
//!     let other = events.append("show-macbeth", Expected::Any, [opened]).await?;
//!     assert_eq!((other.version, other.position), (1, 4));
//!
//!     let mut stream = events.read_stream("show-hamlet");
//!     while let Some(event) = stream.next().await {
//!         let event = event?;
//!         println!("{} {} {}", event.version(), event.event_type(), event.json().unwrap_or_default());
//!     }
//!     store.close().await
//! }
//! ```
//!
//! - The **version** is an event's place in its stream: 1, 2, 3, without a gap. The **position** is its place in the store,
//!   also without a gap, in the order of the commits. Who reads never sees one before the one in front of it is there.
//! - The **[expected version](crate::Expected)** is what makes it safe to decide: of many who append to the same version one
//!   succeeds, and the others are told [`Error::Conflict`](crate::Error::Conflict), having written nothing. They read again and
//!   decide anew. [`Expected::Any`](crate::Expected::Any) is for what is not decided on what is there.
//! - An **`Ok`** means: on disk. An append is whole or not there at all, however many events are in it.
//! - An **id** names an event for ever. If all events of an append have [ids](crate::Event::id) of yours and are in the stream
//!   already, it is a repetition, and the answer is that of the first time. So an append of which nobody knows what became of it
//!   ([`WriteOutcome::Unknown`](crate::WriteOutcome::Unknown)) is simply sent again.
//!
//! On the command line, on the store that the example has made (`cargo run --example event_sourcing theatre.db`):
//!
//! ```text
//! $ export MILLPOND_STORE=theatre.db
//! $ millpond events read show-hamlet
//! version  time                      type    data
//! 1        2026-11-29T16:44:41.862Z  Opened  {"seats":10}
//! 2        2026-11-29T16:44:41.862Z  Sold    {"seats":3}
//! 3        2026-11-29T16:44:41.884Z  Booked  {"guest":"Ada","seats":2}
//! $ millpond events all --type Booked
//! position  time                      stream       type    data
//! 3         2026-11-29T16:44:41.884Z  show-hamlet  Booked  {"guest":"Ada","seats":2}
//! $ millpond events verify
//! 3 events in 1 stream, 48 B, in 0.00 s: sound
//! ```
//!
//! # 2. An aggregate
//!
//! An [`Aggregate`](crate::Aggregate) is a stream with rules. It has a state, and two functions that do nothing but compute:
//!
//! - `decide` looks at the state and a *command*, what somebody wants, and says which events it leads to. Or it leads to none.
//!   Or it is refused, and the *rejection* says why.
//! - `evolve` changes the state by an event. It says nothing against it: the event has happened.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use millpond::{Aggregate, CommandError, Decision, Store};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Debug, Default)]
//! struct Show {
//!     free: u32,
//!     guests: BTreeMap<String, u32>,
//! }
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! enum Happened {
//!     Opened { seats: u32 },
//!     Booked { guest: String, seats: u32 },
//!     Cancelled { guest: String },
//! }
//!
//! enum Do {
//!     Open { seats: u32 },
//!     Book { guest: String, seats: u32 },
//!     Cancel { guest: String },
//! }
//!
//! #[derive(Debug, PartialEq, thiserror::Error)]
//! #[error("only {left} seats are left")]
//! struct SoldOut {
//!     left: u32,
//! }
//!
//! impl Aggregate for Show {
//!     const KIND: &'static str = "show"; // the show "hamlet" is the stream "show-hamlet"
//!     type Command = Do;
//!     type Event = Happened;
//!     type Rejection = SoldOut;
//!
//!     fn decide(&self, command: &Do) -> Result<Decision<Show>, SoldOut> {
//!         match command {
//!             Do::Open { seats } => Ok([Happened::Opened { seats: *seats }].into()),
//!             Do::Book { seats, .. } if *seats > self.free => Err(SoldOut { left: self.free }),
//!             Do::Book { guest, seats } => {
//!                 Ok([Happened::Booked { guest: guest.clone(), seats: *seats }].into())
//!             }
//!             // It is so already: nothing is to be done, and that is no reason to refuse.
//!             Do::Cancel { guest } if !self.guests.contains_key(guest) => Ok(Decision::nothing()),
//!             Do::Cancel { guest } => Ok([Happened::Cancelled { guest: guest.clone() }].into()),
//!         }
//!     }
//!
//!     fn evolve(&mut self, event: &Happened) {
//!         match event {
//!             Happened::Opened { seats } => self.free += seats,
//!             Happened::Booked { guest, seats } => {
//!                 self.free = self.free.saturating_sub(*seats);
//!                 *self.guests.entry(guest.clone()).or_default() += seats;
//!             }
//!             Happened::Cancelled { guest } => self.free += self.guests.remove(guest).unwrap_or_default(),
//!         }
//!     }
//! }
//!
//! fn book(guest: &str, seats: u32) -> Do {
//!     Do::Book { guest: guest.to_owned(), seats }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::memory().await?;
//! let hamlet = store.aggregate::<Show>("hamlet");
//! hamlet.execute(Do::Open { seats: 10 }).await?;
//! let booked = hamlet.execute(book("Ada", 2)).await?;
//! assert_eq!(booked.version, 2);
//! assert_eq!(booked.events, [Happened::Booked { guest: "Ada".into(), seats: 2 }]);
//!
//! // `Rejected` is the theatre's no; an error of the store would be `Failed`.
//! let refused = hamlet.execute(book("Bob", 9)).await;
//! assert!(matches!(refused, Err(CommandError::Rejected(SoldOut { left: 8 }))));
//!
//! let nothing = hamlet.execute(Do::Cancel { guest: "Bob".into() }).await?;
//! assert_eq!((nothing.version, nothing.position), (2, None));
//! assert_eq!(hamlet.state().await?.free, 8);
//! # Ok(store.close().await?)
//! # }
//! ```
//!
//! - The name of an enum's variant is the event's type in the store, its fields are the content. A variant that is called
//!   otherwise tomorrow is another type: see [old events](#6-old-events).
//! - Nobody says an expected version here. [`execute`](crate::Entity::execute) rests on the version that it has decided on; if
//!   somebody else was faster, it is decided again on the newer state, up to eight times, at last with the others kept out. So
//!   `decide` may run more than once for a command.
//! - `decide` and `evolve` must not wait, ask a clock, throw dice or call the store. What they need of the outside is in the
//!   command. `evolve` has to give the same state for the same events, always.
//! - In a process an aggregate is one actor with its state in memory. Its callers need not agree on anything: while one commit
//!   is under way their commands gather, and are decided one after the other and written in the next one together.
//! - A panic in `decide` or `evolve` is an error for that caller alone, and nothing is written.
//! - [`state`](crate::Entity::state) has all that was committed before the call, by whatever process.
//!   [`latest`](crate::Entity::latest) does not ask the store: it has all that was answered in this process, and maybe not yet
//!   what another has written.
//!
//! # 3. Commands that come twice, and where events come from
//!
//! Somebody clicks twice. A request times out and is sent again. Then two seats become four, unless the command has an
//! [id](crate::Execute::id), made by whoever asks: in one aggregate it takes effect once, and who sends it again is answered what it
//! had led to. That is so for ever, and over all processes. A command that was rejected, or led to no event, has left no trace
//! and is decided anew.
//!
//! An [`Origin`](crate::Origin) says where something comes from: on whose behalf (`actor`), for which customer of yours
//! (`tenant`), what has led to it directly (`causation`) and what it belongs to (`correlation`). It is handed on: from a command
//! to its events, from these to the jobs that [follow from them](#4-what-follows-from-an-event), and from a job to the next
//! command.
//!
//! ```
//! use millpond::{Execute, Origin, Store};
//! use uuid::Uuid;
//!
#![doc = include_str!("show/types.txt")]
//! # impl Aggregate for Show {
#![doc = include_str!("show/aggregate.txt")]
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = Store::memory().await?;
//! let hamlet = store.aggregate::<Show>("hamlet");
//! hamlet.execute(Do::Open { seats: 10 }).await?;
//!
//! let request = Uuid::now_v7(); // comes with the request, and is the same when it is sent again
//! let how = Execute::new().id(request).origin(Origin::new().actor("ada").tenant("globe"));
//! let first = hamlet.execute_with(book("Ada", 2), how.clone()).await?;
//! let again = hamlet.execute_with(book("Ada", 2), how).await?;
//! assert_eq!((first.repeated, again.repeated), (false, true));
//! assert_eq!((first.version, again.version), (2, 2));
//! assert_eq!(hamlet.state().await?.free, 8);
//!
//! // The event was caused by the command.
//! let events = store.events();
//! let booked = events.read_all().tenant("globe").next().await.expect("one event")?;
//! assert_eq!((booked.causation(), booked.correlation()), (Some(request), Some(request)));
//! assert_eq!(booked.actor(), Some("ada"));
//!
//! // The ticket that is to be printed was caused by the event, and belongs to the same request.
//! let ticket = store.queue::<Ticket>("tickets").pop().await?;
//! assert_eq!((ticket.causation(), ticket.correlation()), (Some(booked.id()), Some(request)));
//!
//! // Whoever works on the job may command on, here another show. A job can run twice; the id of the event that has led to
//! // it is a good id for that command.
//! let cause = ticket.causation().expect("it was pushed with an event");
//! let how = Execute::new().id(cause).origin(&ticket);
//! store.aggregate::<Show>("party").execute_with(Do::Open { seats: 2 }, how).await?;
//! ticket.done().await?;
//! let party = store.aggregate::<Show>("party").history().next().await.expect("one event")?;
//! assert_eq!((party.causation(), party.correlation()), (Some(booked.id()), Some(request)));
//! assert_eq!(party.tenant(), Some("globe"));
//! # Ok(store.close().await?)
//! # }
//! ```
//!
//! Ids of commands count in one aggregate: the same id in another one is another command. If one event leads to two commands
//! for the same aggregate, each needs an id of its own, such as `Uuid::new_v5(&event.id(), b"reminder")`.
//!
//! What is read can be chosen: a [stream](crate::Events::read_stream), a [category](crate::Events::read_category) or
//! [all](crate::Events::read_all), from and up to a version or position, forward or backward, of some
//! [types](crate::EventStream::event_types), of a [tenant](crate::EventStream::tenant), by the
//! [time](crate::EventStream::recorded_since) at which it was recorded. One event is [found by its id](crate::Events::find).
//!
//! ```
//! # use millpond::{Event, Expected, Origin, Store};
//! # use serde_json::json;
//! # futures_executor::block_on(async {
//! # let events = Store::memory().await?.events();
//! let booked = |guest: &str| Event::new("Booked", &json!({ "guest": guest, "seats": 2 }));
//! let ada = booked("Ada")?.origin(Origin::new().tenant("globe"));
//! let bob = booked("Bob")?.origin(Origin::new().tenant("rose"));
//! events.append("show-hamlet", Expected::Any, [ada, bob]).await?;
//!
//! let mut newest = events.read_category("show").event_types(["Booked", "Cancelled"]).backward().limit(1);
//! let bob = newest.next().await.expect("one event")?;
//! assert_eq!((bob.version(), bob.tenant()), (2, Some("rose")));
//!
//! let mut since = events.read_all().tenant("globe").recorded_since(bob.recorded_at_ms() - 60_000);
//! let ada = since.next().await.expect("one event")?;
//! assert_eq!(ada.decode::<serde_json::Value>()?["guest"], "Ada");
//! assert_eq!(events.find(ada.id()).await?, Some(ada));
//! # Ok::<(), millpond::Error>(())
//! # }).unwrap();
//! ```
//!
//! A tenant is something to read by. It keeps nobody from reading what another one has.
//!
//! # 4. What follows from an event
//!
//! Who has booked gets a ticket. If it is printed before the commit there may be tickets without a booking, and if it is
//! printed behind it, a crash in between leaves a booking without a ticket. So a [`Decision`](crate::Decision) brings along what
//! follows from it: [jobs](crate::Decision::push), [messages](crate::Decision::publish) and
//! [records](crate::Decision::log), written in the same commit as the events, all or none.
//!
//! The way from a job to something else is a [`Batch`](crate::Batch): what the work has led to and the end of the job, in one
//! commit. A job runs at least once; what is in that batch is there once.
//!
//! ```
//! use millpond::{Event, Expected, Store};
//! use serde_json::json;
#![doc = include_str!("show/types.txt")]
//!
//! impl Aggregate for Show {
//!     # const KIND: &'static str = "show";
//!     # type Command = Do;
//!     # type Event = Happened;
//!     # type Rejection = SoldOut;
//!     # fn evolve(&mut self, event: &Happened) {
//!     #     if let Happened::Opened { seats } = event { self.free = *seats }
//!     #     if let Happened::Booked { seats, .. } = event { self.free -= seats }
//!     # }
//!     fn decide(&self, command: &Do) -> Result<Decision<Show>, SoldOut> {
//!         match command {
//!             Do::Book { seats, .. } if *seats > self.free => Err(SoldOut { left: self.free }),
//!             Do::Book { guest, seats } => {
//!                 let booked = Happened::Booked { guest: guest.clone(), seats: *seats };
//!                 let ticket = Ticket { guest: guest.clone(), seats: *seats };
//!                 let decision = Decision::from([booked]).push("tickets", &ticket);
//!                 Ok(decision.publish("foyer", &format!("{guest} will come")))
//!             }
//!             // ... as before
//!             # Do::Open { seats } => Ok([Happened::Opened { seats: *seats }].into()),
//!             # Do::Cancel { .. } => Ok(Decision::nothing()),
//!         }
//!     }
//!     // ...
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = Store::memory().await?;
//! let hamlet = store.aggregate::<Show>("hamlet");
//! let mut foyer = store.channel::<String>("foyer").subscribe().await?;
//! hamlet.execute(Do::Open { seats: 10 }).await?;
//! hamlet.execute(book("Ada", 2)).await?;
//! assert!(hamlet.execute(book("Bob", 9)).await.is_err()); // no event, so no ticket and no message
//! assert_eq!(*foyer.next().await.expect("until the store is closed")?, "Ada will come");
//!
//! let tickets = store.queue::<Ticket>("tickets");
//! while let Some(ticket) = tickets.try_pop().await? { // a `Worker` does this better
//!     let printed = Event::new("Printed", &json!({ "guest": ticket.guest }))?.origin(&ticket);
//!     let mut batch = store.batch();
//!     let slot = batch.append("printer-1", Expected::Any, [printed])?;
//!     ticket.done_in(&mut batch)?;
//!     let written = batch.commit().await?;
//!     assert_eq!(written[slot].version, 1);
//! }
//! # Ok(store.close().await?)
//! # }
//! ```
//!
//! - What is outside of the store cannot be in the commit. A letter may be sent twice, if the process dies between sending it
//!   and saying that it is done. Give the outside something to know it by: the event's id.
//! - A batch can append to several streams, each with its expected version. So a rule about two aggregates can be kept: read
//!   both, decide, append to both or to none. An aggregate decides on its own state alone.
//! - A command with an [id](crate::Execute::id) that has effects must have an event too: that is what it is known by.
//!
//! # 5. The past
//!
//! Nothing is written over, so the past is there. [`history`](crate::Entity::history) is what happened,
//! [`at_version`](crate::Entity::at_version) and [`at_time`](crate::Entity::at_time) are how it was then.
//!
//! A long stream takes long to load. A *snapshot* is the state at some version, kept beside the events; to load is then to read
//! the snapshot and what came behind it. It is a cache: without it the state is the same, and comes later.
//!
//! ```
//! use millpond::{Snapshots, Store};
#![doc = include_str!("show/types.txt")]
//!
//! impl Aggregate for Show {
//!     // ... as before
#![doc = include_str!("show/aggregate.txt")]
//!
//!     /// Whenever the version passes a multiple of 100. The state needs `Serialize` and `Deserialize` for it.
//!     fn snapshots() -> Snapshots<Show> {
//!         Snapshots::every(100).schema(1)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = Store::memory().await?;
//! let hamlet = store.aggregate::<Show>("hamlet");
//! hamlet.execute(Do::Open { seats: 10 }).await?;
//! hamlet.execute(book("Ada", 2)).await?;
//! hamlet.execute(Do::Cancel { guest: "Ada".into() }).await?;
//!
//! assert_eq!(hamlet.at_version(0).await?, Show::default());
//! assert_eq!(hamlet.at_version(2).await?.free, 8);
//! assert_eq!(hamlet.state().await?.free, 10);
//!
//! // What stands in the store is a `Recorded`; `decode` makes it one of the events of the aggregate.
//! let mut newest = hamlet.history().backward().limit(1);
//! let cancelled = newest.next().await.expect("there are three")?;
//! assert_eq!((cancelled.version(), cancelled.event_type()), (3, "Cancelled"));
//! assert_eq!(hamlet.decode(&cancelled)?, Happened::Cancelled { guest: "Ada".into() });
//! assert_eq!(hamlet.at_time(cancelled.recorded_at_ms()).await?.free, 10);
//! # Ok(store.close().await?)
//! # }
//! ```
//!
//! - **Raise the snapshots' [schema](crate::Snapshots::schema)** whenever the fields of the state change, and also when `evolve`
//!   makes something else of the same events. Snapshots of another schema are not used, and made anew in time. A snapshot of
//!   the same schema is believed.
//! - Times are milliseconds since 1970, by the clock of the machine; they never go back from one event to the next. Order is
//!   always the version, never the time.
//!
//! Between two versions the command line tells what has become different, without knowing what the events mean:
//!
//! ```text
//! $ millpond events diff show-hamlet 1 3
//! path   before  after  version  type
//! guest          "Ada"  3        Booked
//! seats  10      2      3        Booked
//! ```
//!
//! # 6. Old events
//!
//! A program changes, and its events stay as they were recorded. The first program of the theatre sold seats at the door: its
//! events were `Sold`, with a number of seats and no name. They are still there. [`upcasts`](crate::Aggregate::upcasts) says how
//! they are read today:
//!
//! ```
//! use millpond::{Event, Expected, Store, Upcasts};
//! use serde_json::json;
#![doc = include_str!("show/types.txt")]
//!
//! impl Aggregate for Show {
//!     // ... as before
#![doc = include_str!("show/aggregate.txt")]
//!
//!     fn upcasts() -> Upcasts {
//!         Upcasts::new()
//!             // What was called `Sold` is called `Booked` now,
//!             .rename("Sold", "Booked")
//!             // and a `Booked` of schema 1 had no guest.
//!             .step("Booked", 1, |mut content| {
//!                 content["guest"] = "somebody at the door".into();
//!                 Ok(content)
//!             })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = Store::memory().await?;
//! // What the first program has left behind.
//! let opened = Event::new("Opened", &json!({ "seats": 10 }))?;
//! let sold = Event::new("Sold", &json!({ "seats": 3 }))?;
//! store.events().append("show-hamlet", Expected::NoStream, [opened, sold]).await?;
//!
//! let hamlet = store.aggregate::<Show>("hamlet");
//! hamlet.execute(book("Ada", 2)).await?;
//! let show = hamlet.state().await?;
//! assert_eq!(show.free, 5);
//! assert_eq!(show.guests["somebody at the door"], 3);
//!
//! // In the store they are as they were.
//! let mut history = hamlet.history().from(2);
//! let (sold, booked) = (history.next().await.expect("two")?, history.next().await.expect("one more")?);
//! assert_eq!((sold.event_type(), sold.schema(), sold.json()), ("Sold", 1, Some(r#"{"seats":3}"#)));
//! assert_eq!((booked.event_type(), booked.schema()), ("Booked", 2));
//! assert_eq!(
//!     hamlet.decode(&sold)?,
//!     Happened::Booked { guest: "somebody at the door".into(), seats: 3 }
//! );
//! # Ok(store.close().await?)
//! # }
//! ```
//!
//! - Every event is recorded with the *schema* of its type, the number of its shape. It is 1 to begin with; each step leads
//!   from one to the next, so adding a step is what raises it. Steps are kept for as long as there are such events: for good.
//! - A field that is new and may be missing needs no step: `#[serde(default)]` does it. A field that is gone needs none either,
//!   unless serde was told to `deny_unknown_fields`.
//! - A type that the enum does not have any more cannot be read, and neither can the aggregate: the error is
//!   [`Error::Decode`](crate::Error::Decode) and names the event. So leave the variant in the enum, or rename the old type.
//! - An event of a newer schema than the program knows is that error too. While two versions of a program run side by side, the
//!   old one fails on what the new one has written, and harms nothing.
//! - Upcasts are the aggregate's. [`Entity::decode`](crate::Entity::decode) knows them;
//!   [`Recorded::decode`](crate::Recorded::decode) and [reading by type](crate::EventStream::event_types) go by what stands in the
//!   store: who wants all bookings asks for `["Sold", "Booked"]`.
//! - Whoever appends to the stream of an aggregate by hand says the schema: `event.schema(Show::upcasts().schema("Booked"))`.
//!   Without, it is 1, and the event is taken for an old one.
//!
//! What a test of it looks like stands in chapter 8.
//!
//! # 7. What must be forgotten
//!
//! Events are never changed. A guest may still have the right that his name is forgotten, and the theatre needs to know for ever
//! how many seats were taken. So what is personal is *sealed*, in the program that asks for it, before it becomes a part of a
//! command: encrypted with a key that belongs to the guest. When the key is destroyed, nobody can read it any more, wherever it
//! has been copied to, and everything else stays.
//!
//! ```
//! use millpond::{Aggregate, Decision, Sealed, Store};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Default)]
//! struct Show { taken: u32, guests: Vec<Sealed<String>> }
//!
//! #[derive(Serialize, Deserialize)]
//! enum Happened { Booked { guest: Sealed<String>, seats: u32 } }
//!
//! struct Book { guest: Sealed<String>, seats: u32 }
//! # #[derive(Debug, thiserror::Error)]
//! # #[error("never")]
//! # struct Never;
//!
//! impl Aggregate for Show {
//!     const KIND: &'static str = "show";
//!     type Command = Book;
//!     type Event = Happened;
//!     # type Rejection = Never;
//!     // ...
//!
//!     fn decide(&self, Book { guest, seats }: &Book) -> Result<Decision<Show>, Self::Rejection> {
//!         Ok([Happened::Booked { guest: guest.clone(), seats: *seats }].into())
//!     }
//!
//!     fn evolve(&mut self, Happened::Booked { guest, seats }: &Happened) {
//!         self.taken += seats;
//!         self.guests.push(guest.clone());
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = Store::memory().await?;
//! let key = store.subject("guest-17").key().await?;
//! let hamlet = store.aggregate::<Show>("hamlet");
//! hamlet.execute(Book { guest: key.seal(&"Ada".to_owned())?, seats: 2 }).await?;
//!
//! let show = hamlet.state().await?;
//! assert_eq!(store.unseal(&show.guests[0]).await?.as_deref(), Some("Ada"));
//!
//! // Guest 17 wants to be forgotten.
//! store.subject("guest-17").shred().await?;
//! assert_eq!(store.unseal(&show.guests[0]).await?, None);
//! assert_eq!(hamlet.state().await?.taken, 2);
//! # Ok(store.close().await?)
//! # }
//! ```
//!
//! - The aggregate never sees the name, and so neither do its snapshots, the jobs and messages that follow from its events, nor an
//!   export. What it has to decide on must not be sealed: check it before.
//! - The subject's name stays, and everybody can see it. So it is a number, and not the guest's address.
//! - The keys are in the store, so a copy of its file has them as long as it is kept. If copies live for longer than a guest may
//!   wait, keep the keys in a store of their own: `keys.subject("guest-17")`, `keys.unseal(&guest)`.
//! - A whole stream can be [deleted](crate::Events::delete) or [closed for ever](crate::Events::tombstone): its events are then
//!   written over, and only their places stay.
//!
//! # 8. Tests
//!
//! For tests there is the feature `testing`, and with it `millpond::testing`. `decide` and `evolve` only compute, so a test of
//! them needs no store. It says what has happened, what is wanted, and what should come of it:
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use millpond::testing::Scenario;
//! # use millpond::Upcasts;
#![doc = include_str!("show/types.txt")]
//! # impl Aggregate for Show {
#![doc = include_str!("show/aggregate.txt")]
//! # fn upcasts() -> Upcasts {
//! #     Upcasts::new().rename("Sold", "Booked").step("Booked", 1, |mut content| {
//! #         content["guest"] = "somebody at the door".into();
//! #         Ok(content)
//! #     })
//! # }
//! # }
//!
//! let open = || Scenario::<Show>::given([Happened::Opened { seats: 10 }]);
//!
//! // Who books gets seats and a ticket.
//! open()
//!     .when(&book("Ada", 2))
//!     .then([Happened::Booked { guest: "Ada".into(), seats: 2 }])
//!     .then_pushed("tickets", &Ticket { guest: "Ada".into(), seats: 2 })
//!     .then_state(|show| assert_eq!(show.free, 8));
//!
//! // Who comes too late does not.
//! open().when(&book("Bob", 11)).then_rejected(|why| assert_eq!(why, &SoldOut { left: 10 }));
//!
//! // Who has not booked can cancel that, and nothing happens.
//! open().when(&Do::Cancel { guest: "Bob".into() }).then_nothing().then_no_effects();
//!
//! // What was sold at the door in the first program's days takes seats away: type, schema and content as they were stored.
//! open()
//!     .and_recorded("Sold", 1, r#"{"seats":9}"#)
//!     .when(&book("Ada", 2))
//!     .then_rejected(|why| assert_eq!(why, &SoldOut { left: 1 }));
//!
//! // No old schema is left out.
//! Show::upcasts().check().unwrap();
//! ```
//!
//! Keep one `and_recorded` for each shape that was ever in use, copied out of a store. Then nobody breaks the past unseen. Each
//! event of a scenario goes through its stored form, so one that cannot be read back fails its test.
//!
//! For what goes on around an aggregate there is the [`Store::memory`](crate::Store::memory), which keeps the same promises and
//! is gone afterwards. Time is a `ManualClock`, which only the test moves. And what cannot be tried on a good disk is told to a
//! `RecordingStore`: the next call fails, or it is done and its answer is lost. It is an
//! [`EventStore`](crate::EventStore), and a [`Repository`](crate::Repository) runs the same aggregates on any of these.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use std::time::Duration;
//!
//! use millpond::testing::{RecordingStore, contract};
//! use millpond::{Clock, Error, Location, ManualClock, Repository, Store};
#![doc = include_str!("show/types.txt")]
//! # impl Aggregate for Show {
#![doc = include_str!("show/aggregate.txt")]
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!
//! // An hour that takes no time.
//! let clock = ManualClock::new();
//! let store = Store::builder().clock(clock.clone()).open(Location::Memory).await?;
//! let hamlet = store.aggregate::<Show>("hamlet");
//! hamlet.execute(Do::Open { seats: 10 }).await?;
//! let noon = clock.now().wall_ms;
//! clock.advance(Duration::from_secs(3_600));
//! hamlet.execute(book("Ada", 2)).await?;
//! assert_eq!(hamlet.at_time(noon).await?.free, 10);
//! assert_eq!(hamlet.at_time(noon + 3_600_000).await?.free, 8);
//!
//! // An append whose answer is lost: saved again, it is there once.
//! let shows = Repository::<Show, _>::new(RecordingStore::new(store.events()));
//! let mut macbeth = shows.load("macbeth").await?;
//! macbeth.execute(&Do::Open { seats: 7 })?;
//! shows.store().lose_next_answer(Error::CommitUnknown { detail: "the power failed".into() });
//! assert!(shows.save(&mut macbeth).await.is_err());
//! assert!(shows.save(&mut macbeth).await?.is_some_and(|saved| saved.repeated));
//! assert_eq!(store.events().version("show-macbeth").await?, 1);
//!
//! // An event store of your own, here one of ours: everything that it must do.
//! contract::all(async || Store::memory().await.unwrap().events()).await;
//! # Ok(store.close().await?)
//! # }
//! ```
//!
//! A repository writes events and nothing else: a command with effects is refused there, with
//! [`Error::Unsupported`](crate::Error::Unsupported). What one wants in a program is [`Store::aggregate`](crate::Store::aggregate).
//!
//! # 9. Several processes, what is promised, and when not to use it
//!
//! Any number of processes of one machine may open the same file and use the same aggregates, the command line among them.
//! None of them is the master. Each append rests on a version, and whoever was overtaken decides again.
//!
//! What is read more often than it is written, or over many aggregates, wants a table of its own, made from the events: that is a
//! projection, which has [a page of its own](super::projections). What is only kept in memory, for as long as the program runs, is
//! made by whoever [follows](crate::EventStream::follow) the events, whoever appends them.
//!
//! ```
//! use millpond::{Event, Expected, Store};
//! use serde_json::json;
//!
#![doc = include_str!("show/types.txt")]
//! # impl Aggregate for Show {
#![doc = include_str!("show/aggregate.txt")]
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = Store::memory().await?;
//! let hamlet = store.aggregate::<Show>("hamlet");
//! hamlet.execute(Do::Open { seats: 10 }).await?;
//! // Another process has an aggregate of its own, or appends by hand. It is the same stream.
//! let booked = Event::new("Booked", &json!({ "guest": "Eve", "seats": 4 }))?;
//! store.events().append("show-hamlet", Expected::Version(1), [booked]).await?;
//! // This one decides on what is there.
//! assert_eq!(hamlet.execute(book("Bob", 7)).await.unwrap_err().to_string(), "only 6 seats are left");
//!
//! // Seats booked over all shows.
//! let (mut seats, mut position) = (0, 0);
//! let mut shows = store.events().read_category("show").after(position).follow()?;
//! # hamlet.execute(book("Ada", 2)).await?;
//! while let Some(event) = shows.next().await {
//!     let event = event?; // an error when the store is closed
//!     if let Happened::Booked { seats: booked, .. } = hamlet.decode(&event)? {
//!         seats += booked;
//!     }
//!     position = event.position();
//!     # if seats == 6 { break; }
//! }
//! # assert_eq!((seats, position), (6, 3));
//! # Ok(store.close().await?)
//! # }
//! ```
//!
//! What is promised, in short:
//!
//! - An `Ok` is on disk, and survives a `kill -9` and the loss of power, if the disk keeps what it was told to. Who asks for
//!   less, by name, gets less: [`Durability`](crate::Durability).
//! - An error has left no trace, or it says that this is not known: [`Error::outcome`](crate::Error::outcome). What carries an
//!   id can be sent again either way.
//! - Versions and positions are dense. There is one order, that of the commits, over all processes. What was acknowledged is
//!   read by every read that begins after it.
//! - The events of one command, and what follows from them, are written together or not at all. A command with an id takes
//!   effect once.
//! - The state out of a snapshot is the state out of all events, as long as its [schema](crate::Snapshots::schema) is kept true.
//! - A damaged event is an error in its place, [`Error::Corrupt`](crate::Error::Corrupt), and never read as something else.
//!   `millpond events verify` reads all of them and says what is wrong.
//!
//! When not to use it:
//!
//! - Between machines. A store is one file on one machine; network file systems are refused.
//! - For what has to be removed piece by piece, or by age. Events are never changed, and never removed one by one: what may have
//!   to be forgotten is sealed, or stands in a stream of its own, as in chapter 7.
//! - For what nobody asks the past of. A table of settings is a table. Records that nothing is decided on are a
//!   [log](crate::Log), which may also forget its oldest.
//! - For large things. An event has at most 16 MiB; what is large is better kept in a file that the event names.
//! - For an aggregate that is everything. Its state is in memory, and it is decided by one at a time: make it as small as the
//!   rule that it keeps. A show is one; the theatre is not.
//!
//! # 10. What it is called elsewhere
//!
//! | elsewhere | here |
//! | --- | --- |
//! | event store | [`Events`](crate::Events); to put another one in its place, [`EventStore`](crate::EventStore) |
//! | stream id, category | a name, `category-id` |
//! | revision, sequence number, aggregate version | version |
//! | global position, offset, checkpoint | position |
//! | optimistic concurrency, expected version or revision | [`Expected`](crate::Expected), [`Error::Conflict`](crate::Error::Conflict) |
//! | decider; command handler and event handler or apply | [`Aggregate`](crate::Aggregate): `decide` and `evolve` |
//! | virtual actor, entity, grain | [`Entity`](crate::Entity), from [`Store::aggregate`](crate::Store::aggregate) |
//! | aggregate repository, unit of work | [`Repository`](crate::Repository) and [`Draft`](crate::Draft) |
//! | domain error, business rule violation | [`CommandError::Rejected`](crate::CommandError::Rejected) |
//! | idempotency key, command id | [`Execute::id`](crate::Execute::id); of an append, [`Event::id`](crate::Event::id) |
//! | correlation and causation id, metadata | [`Origin`](crate::Origin), [`Event::metadata`](crate::Event::metadata) |
//! | transactional outbox, inbox | effects: [`Decision::push`](crate::Decision::push), [`publish`](crate::Decision::publish); [`Job::done_in`](crate::Job::done_in) |
//! | saga, process manager | [`ProcessManager`](crate::ProcessManager), with commands that are jobs |
//! | projection, read model, catch-up subscription | [`Projection`](crate::Projection), on [a page of its own](super::projections) |
//! | policy, reaction | [`Reactor`](crate::Reactor); or a [`Worker`](crate::Worker) whose jobs were pushed by events |
//! | upcaster, schema evolution, weak schema | [`Upcasts`](crate::Upcasts) |
//! | temporal query, time travel | [`at_version`](crate::Entity::at_version), [`at_time`](crate::Entity::at_time) |
//! | event bus | [`EventBus`](crate::EventBus); with a memory, [`Channel`](crate::Channel) |
//! | crypto-shredding, forgettable payload | [`Sealed`](crate::Sealed), [`Subject::shred`](crate::Subject::shred) |
//! | soft delete; tombstone, hard delete | [`Events::delete`](crate::Events::delete), [`tombstone`](crate::Events::tombstone) |
//! | given, when, then | `millpond::testing::Scenario` |
