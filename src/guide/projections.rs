//! Reading events a second way: reports, reactions, and processes that take their time.
//!
//! A stream answers questions about one thing. Other questions are about many: how many seats were sold this week, who has to be
//! sent a letter, which bookings were never paid. What answers them is worked out from the same events, by something that reads
//! all of them in order, remembers how far it has come, and goes on with what is appended. Here that is a
//! [`Projection`](crate::Projection), and there are three ways to use one:
//!
//! | | what it does | how often |
//! | --- | --- | --- |
//! | [`Projector`](crate::Projector) | writes to this store: tables, jobs, messages | exactly once |
//! | [its `manage`](crate::Projector::manage) | the same, with a state for each process and timeouts | exactly once |
//! | [`Reactor`](crate::Reactor) | something in the world outside | at least once |
//!
//! 1. [Reading it a second way](#1-reading-it-a-second-way)
//! 2. [What goes wrong](#2-what-goes-wrong)
//! 3. [Making it anew](#3-making-it-anew)
//! 4. [The world outside](#4-the-world-outside)
//! 5. [Long-running processes](#5-long-running-processes)
//! 6. [What is promised, and when not to use it](#6-what-is-promised-and-when-not-to-use-it)
//!
//! # 1. Reading it a second way
//!
//! A projection of the theatre of the [other page](super::event_sourcing): how many seats each show has sold, in a table of one's
//! own in the same file.
//!
//! ```
//! use millpond::{Event, Expected, Failure, Project, Recorded, Rows, Sql, Store};
//! use serde_json::json;
//!
//! struct Sales;
//!
//! impl Project for Sales {
//!     // Once, before the first event: what it is kept in.
//!     fn begin(&mut self, rows: &mut Rows<'_>) -> Result<(), Failure> {
//!         rows.sql(Sql::new("CREATE TABLE IF NOT EXISTS sales (show TEXT PRIMARY KEY, seats INTEGER NOT NULL) STRICT"))?;
//!         rows.sql(Sql::new("DELETE FROM sales"))?;
//!         Ok(())
//!     }
//!
//!     fn apply(&mut self, event: &Recorded, rows: &mut Rows<'_>) -> Result<(), Failure> {
//!         let booked: serde_json::Value = event.decode()?;
//!         let seats = booked["seats"].as_i64().ok_or("it does not say how many seats")?;
//!         let add = "INSERT INTO sales VALUES (?1, ?2) ON CONFLICT (show) DO UPDATE SET seats = seats + ?2";
//!         rows.sql(Sql::new(add).bind(event.stream()).bind(seats))?;
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> millpond::Result<()> {
//!     # let folder = tempfile::tempdir().unwrap();
//!     # let path = folder.path().join("theatre.db");
//!     let store = Store::open(&path).await?; // "theatre.db"
//!     let events = store.events();
//!     let sales = store.projection("sales");
//!
//!     // It runs beside everything else, as long as the program does.
//!     let projector = sales.projector(events.read_category("show").event_type("Booked"));
//!     let stopper = projector.stopper();
//!     let running = tokio::spawn(projector.run(Sales));
//!
//!     let booked = |seats: u32| Event::new("Booked", &json!({ "guest": "Ada", "seats": seats }));
//!     events.append("show-hamlet", Expected::Any, [booked(2)?, booked(3)?]).await?;
//!     let last = events.append("show-macbeth", Expected::Any, [booked(1)?]).await?;
//!
//!     // Whoever has written something waits until it has been projected, and reads what came of it.
//!     sales.wait_for(last.position).await?;
//!     let five = Sql::new("SELECT * FROM sales WHERE show = 'show-hamlet' AND seats = 5").rows(1);
//!     store.sql(five).await?;
//!
//!     stopper.stop(std::time::Duration::from_secs(5));
//!     running.await.expect("it has not panicked")?;
//!     store.close().await
//! }
//! ```
//!
//! - The rows and the **checkpoint**, which says how far it has come, are one commit. If the process dies before it, neither is
//!   there, and whoever goes on begins in front of these events; if it dies behind it, behind them. So each event counts once.
//! - Which events it gets is said once, for what there is and for what comes: [all](crate::Events::read_all) or those of a
//!   [category](crate::Events::read_category), of some [types](crate::EventStream::event_types), of a
//!   [tenant](crate::EventStream::tenant). The database picks them out: a projection of a rare type does not read the others.
//! - Several processes may run the same projector: one projects, the others stand in line and take over when it dies.
//! - `&mut self` is for what makes it faster. It must not count, because [`apply`](crate::Project::apply) may be called again for
//!   an event whose commit did not come about.
//! - It may write whatever a [`Batch`](crate::Batch) can: a job for each event of a kind, a message, an event of a stream of its
//!   own. So a store in memory has projections too, only no SQL.
//!
//! # 2. What goes wrong
//!
//! An event that cannot be projected (`apply` fails or panics, a constraint forbids the row) is tried again, later and later,
//! five times unless [told otherwise](crate::Projector::attempts). Then the projection is **parked**: it stays in front of that
//! event, says why in [`progress`](crate::Projection::progress) and in `millpond projection list`, and waits for
//! [`resume`](crate::Projection::resume) or a new start of the program. Nobody else waits for it, and nothing is skipped, because a
//! report that has left something out looks like one that has not.
//!
//! Where one event more or less does not spoil the others, [`dead_letters`](crate::Projector::dead_letters) has it go on: what
//! could not be projected is in [a queue](crate::Projection::dead_letters), with the reason, and is projected when it is revived.
//!
//! A type that nobody knows is the failure of the one that wants it. The others do not see it.
//!
//! # 3. Making it anew
//!
//! The rows are worked out from the events, so they can be worked out again, by a program that has learnt something:
//!
//! - [`reset`](crate::Projection::reset) begins anew in place: `begin` empties the table, and readers see it fill again.
//! - [`rebuild`](crate::Projection::rebuild) makes a new **generation** beside the one that is read, and lets it take its place when
//!   it has come as far. For that the tables are named after the [generation](crate::Rows::generation), and a view says which one
//!   is read: the example of [`Project`](crate::Project) does so.
//!
//! Both may be said in any process, and on the command line:
//!
//! ```text
//! $ millpond projection list
//! $ millpond projection rebuild sales
//! ```
//!
//! # 4. The world outside
//!
//! A letter that was sent cannot be taken back, whatever is committed. So whoever does something outside is told of each event *at
//! least* once: a [`Reactor`](crate::Reactor) calls a handler, and saves its place behind what has been done.
//!
//! ```
//! use millpond::{Attempt, Event, Expected, Store};
//!
//! # async fn send(_key: uuid::Uuid, _to: &str) -> Result<(), String> { Ok(()) }
//! #[tokio::main]
//! async fn main() -> millpond::Result<()> {
//!     let store = Store::memory().await?;
//!     let booked = Event::new("Booked", &serde_json::json!({ "guest": "Ada" }))?;
//!     store.events().append("show-hamlet", Expected::Any, [booked]).await?;
//!
//!     let tickets = store.projection("tickets").reactor(store.events().read_category("show").event_type("Booked"));
//!     let reacted = tickets
//!         .streams(16) // so many shows at a time, the bookings of each in order
//!         .breaker(10, std::time::Duration::from_secs(30)) // when the post office is closed it is not asked all the time
//!         .drain() // without it, it goes on
//!         .run(async |event: Attempt| {
//!             let booked: serde_json::Value = event.decode().map_err(|error| error.to_string())?;
//!             // Whoever is asked twice under one key sends one ticket.
//!             send(event.key(), booked["guest"].as_str().unwrap_or("whom it may concern")).await
//!         })
//!         .await?;
//!     assert_eq!(reacted.done, 1);
//!     store.close().await
//! }
//! ```
//!
//! An event that comes twice has the same [key](crate::Attempt::key). A place outside that can remember a number refuses a smaller
//! [token](crate::Attempt::token) than it has seen, and thereby whoever was stopped for a while and goes on as if nothing had
//! happened.
//!
//! One reactor works at a time, and others stand by. Where that is too slow, they share the work: with
//! [`partitions(8)`](crate::Reactor::partitions) the shows are divided into eight, each process that runs the same reactor has as many
//! of them as the others, and whenever one comes, goes or dies they are shared anew. The bookings of a show stay in order.
//!
//! Where the world outside is to have the events themselves, a reactor [relays](crate::Reactor::relay) them to a
//! [`Sink`](crate::Sink): a broker, another database, a file. A sink is one method, which brings an event there and comes back when
//! it is kept. What arrives twice is told by the event's id, and of a stream nothing arrives before its predecessor is kept. With the
//! feature `nats` there is one for NATS JetStream, `NatsSink`, where the id of the event is the id by which JetStream itself leaves out
//! duplicates. A place that is away for a while has missed nothing when it is back; give such a relay as many
//! [attempts](crate::Reactor::attempts) as it is to wait. Events that are deleted here afterwards are not deleted there.
//!
//! # 5. Long-running processes
//!
//! A booking is reserved, then paid, then a ticket is sent; if it is not paid within a day the seats are given back. Somebody has
//! to know which booking is where. That is a *process manager*: a [`ProcessManager`](crate::ProcessManager) keeps a state for each
//! process, which it [correlates](crate::ProcessManager::correlate) events to, and answers an event with commands.
//!
//! ```
//! use std::time::Duration;
//!
//! use millpond::{Event, Expected, Failure, ProcessManager, Queue, Recorded, Steps, Store, Timeout};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Default, Serialize, Deserialize)]
//! struct Booking {
//!     paid: bool,
//! }
//!
//! struct Bookings {
//!     commands: Queue<String>,
//! }
//!
//! impl ProcessManager for Bookings {
//!     type State = Booking;
//!
//!     fn correlate(&self, event: &Recorded) -> Result<Option<String>, Failure> {
//!         Ok(event.stream().strip_prefix("booking-").map(str::to_owned))
//!     }
//!
//!     fn handle(&mut self, booking: &mut Booking, event: &Recorded, steps: &mut Steps<'_>) -> Result<(), Failure> {
//!         let number = steps.correlation();
//!         match event.event_type() {
//!             "Reserved" => steps.timeout("unpaid", Duration::from_millis(20))?, // a day
//!             "Paid" => {
//!                 booking.paid = true;
//!                 steps.push(&self.commands, &format!("send the ticket of {number}"))?;
//!             }
//!             _ => {}
//!         }
//!         Ok(())
//!     }
//!
//!     // It comes whatever has happened meanwhile, unless it is taken back; the state says whether it matters.
//!     fn timeout(&mut self, booking: &mut Booking, timeout: &Timeout, steps: &mut Steps<'_>) -> Result<(), Failure> {
//!         if !booking.paid {
//!             steps.push(&self.commands, &format!("give back the seats of {}", timeout.correlation))?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> millpond::Result<()> {
//!     let store = Store::memory().await?;
//!     let (events, commands) = (store.events(), store.queue::<String>("commands"));
//!     let projector = store.projection("bookings").projector(events.read_category("booking"));
//!     let stopper = projector.stopper();
//!     let running = tokio::spawn(projector.manage(Bookings { commands: commands.clone() }));
//!
//!     let happened = |what: &'static str| Event::new(what, &());
//!     events.append("booking-1", Expected::NoStream, [happened("Reserved")?, happened("Paid")?]).await?;
//!     events.append("booking-2", Expected::NoStream, [happened("Reserved")?]).await?;
//!     for expected in ["send the ticket of 1", "give back the seats of 2"] {
//!         let command = commands.pop().await?;
//!         assert_eq!(*command, expected);
//!         command.done().await?;
//!     }
//!
//!     stopper.stop(Duration::from_secs(5));
//!     running.await.expect("it has not panicked")?;
//!     store.close().await
//! }
//! ```
//!
//! - The state, what it leads to and the checkpoint are one commit, as with a projector. The state is the last event of a stream
//!   `bookings-1`; the others of that stream tell how it came to be, and which event led to each.
//! - A command is a job, and a job may be run twice. Whoever carries it out gives the aggregate an [id](crate::Execute::id) that
//!   goes with it ([`Steps::next_id`](crate::Steps::next_id)), and the command takes effect once. A command that was *rejected*
//!   has left no trace, and is decided anew when it comes again: so what was answered is written down, as an event with an id of
//!   its own, and looked up before the command is carried out a second time.
//! - What cannot be undone by a transaction is undone by another command: that is *compensation*, and a step like the others. The
//!   transfer between accounts that gives the money back, if the other account refuses it, is one of the tests of this crate.
//! - Timeouts are jobs of the queue `timeouts/bookings`: they come once, never early, and outlive the program. One that is set
//!   already under its name stays as it is; [`Steps::cancel`](crate::Steps::cancel) takes it back, and both together move it. So
//!   `"Paid"` could have taken `"unpaid"` back, and there would be nothing to ask the state. When a timeout is dealt with it is over:
//!   set again there, under the same name, it comes again, every hour if that is wanted.
//! - What waits for a time and is no step of a process is a [timer](crate::Timers), which a projection, a worker or a process manager
//!   sets in its own commit ([`Batch::set_timer`](crate::Batch::set_timer)).
//!
//! # 6. What is promised, and when not to use it
//!
//! What a projector or a process manager writes to the store takes effect exactly once, in the order of the events, whoever dies
//! and whenever. A reactor does each event at least once, and those of a stream in order. The checkpoint never passes an event
//! that was not dealt with, unless somebody says so. What is said of a projection, to pause, to begin again, holds from the moment
//! that the call has returned.
//!
//! What it costs: a commit for each batch of events, which shares its sync with everybody else's. A projection is behind what was
//! appended, by about as long as a commit takes; whoever cannot bear that writes the row in the [batch](crate::Batch) of the
//! event. One projector projects: what it cannot do in one process is not done faster by two.
//!
//! Not for what one wants to know of a single stream: that is an [`Aggregate`](crate::Aggregate), whose state is never behind.
