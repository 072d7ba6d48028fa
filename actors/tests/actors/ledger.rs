//! The aggregate of these tests: a list of entries, and commands that do what a test needs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use millpond_actors::aggregate::{
    About, AggregateActor, Execute, Inspect, Look, Model, Plan, Policy, Verdict,
};
use millpond_actors::error::{Error, Result};
use millpond_actors::reply::Reply;
use millpond_actors::storage::Data;
use millpond_actors::storage::stream::Recorded;
use millpond_actors::thread::Theirs;
use uuid::Uuid;

use crate::world::{World, name};

/// Keeps a snapshot every `EVERY` versions; never if that is 0. It lets itself be copied if it `FORKS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger<const EVERY: u64, const FORKS: bool = true> {
    pub(crate) entries: Vec<String>,
    /// How many of them came out of a snapshot.
    pub(crate) thawed: usize,
}

/// The schema of the snapshots.
pub(crate) const SCHEMA: u32 = 3;

/// Events decoded so far, by stream: whoever counts them has a stream whose name no other test uses.
static DECODED: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// How many events of this stream were decoded, by whatever actor.
pub(crate) fn decoded(stream: &str) -> u64 {
    DECODED.lock().unwrap_or_else(PoisonError::into_inner).get(stream).copied().unwrap_or_default()
}

#[derive(Clone)]
pub(crate) enum Command {
    /// Add an entry with this text.
    Add(&'static str),
    /// Add an entry with the number of those before it.
    Count,
    /// The same, and two more entries.
    CountAndTwo,
    /// Add so many entries.
    Fill(usize),
    /// Add "enough", or refuse if there are fewer entries than this.
    Require(usize),
    /// Decide on no events.
    Nothing,
    /// Panic in decide.
    PanicInDecide,
    /// Decide on an event at which `evolve` panics.
    PanicInEvolve,
    /// Decide on an event at which the encoding panics.
    PanicInEncode,
    /// Run this while deciding, then count.
    Run(Arc<dyn Fn() + Send + Sync>),
}

impl<const EVERY: u64, const FORKS: bool> Model for Ledger<EVERY, FORKS> {
    type Command = Command;
    type Event = String;
    type Rejection = &'static str;

    fn fresh() -> Self {
        Ledger { entries: Vec::new(), thawed: 0 }
    }

    fn decide(&self, command: &Command) -> std::result::Result<Plan<Self>, &'static str> {
        let count = self.entries.len();
        let events = match command {
            Command::Add(text) => vec![(*text).to_owned()],
            Command::Count => vec![count.to_string()],
            Command::CountAndTwo => vec![count.to_string(), "second".to_owned(), "third".to_owned()],
            Command::Fill(entries) => (0..*entries).map(|entry| entry.to_string()).collect(),
            Command::Require(least) if count < *least => return Err("too few"),
            Command::Require(_) => vec!["enough".to_owned()],
            Command::Nothing => Vec::new(),
            Command::PanicInDecide => panic!("decide was told to"),
            Command::PanicInEvolve => vec!["before".to_owned(), "panic in evolve".to_owned()],
            Command::PanicInEncode => vec!["panic in encode".to_owned()],
            Command::Run(run) => {
                run();
                vec![count.to_string()]
            }
        };
        Ok(Plan { events, effects: Ok(Vec::new()) })
    }

    fn evolve(&mut self, event: &String) {
        assert_ne!(event, "panic in evolve", "evolve was told to");
        self.entries.push(event.clone());
    }

    fn fork(&self) -> Option<Self> {
        FORKS.then(|| self.clone())
    }

    fn encode(event: &String) -> Result<(Cow<'static, str>, Data, u32)> {
        assert_ne!(event, "panic in encode", "encode was told to");
        Ok(("Added".into(), Data::Json(event.clone()), 1))
    }

    type Reader = ();

    fn reader() {}

    fn decode((): (), recorded: &Recorded) -> Result<String> {
        let mut decoded = DECODED.lock().unwrap_or_else(PoisonError::into_inner);
        *decoded.entry(recorded.stream.to_string()).or_default() += 1;
        drop(decoded);
        text(&recorded.data)
    }

    fn snapshots() -> Option<Policy> {
        (EVERY > 0).then_some(Policy { every: EVERY, schema: SCHEMA })
    }

    fn freeze(&self) -> Result<Data> {
        Ok(Data::Json(self.entries.join("\n")))
    }

    fn thaw(data: &Data) -> Result<Self> {
        let text = text(data)?;
        assert_ne!(text, "panic", "thaw was told to");
        if text == "rubbish" {
            return Err(Error::Decode { what: "a ledger".into(), reason: "it is rubbish".into() });
        }
        let entries: Vec<String> = text.split('\n').map(str::to_owned).collect();
        Ok(Ledger { thawed: entries.len(), entries })
    }
}

fn text(data: &Data) -> Result<String> {
    Ok(String::from_utf8(data.bytes().to_vec()).expect("text"))
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Committed { version: u64, position: Option<u64>, events: Vec<String> },
    Repeated { version: u64, position: Option<u64>, events: Vec<String> },
    Rejected(&'static str),
}

impl Told {
    fn of<M: Model<Event = String, Rejection = &'static str>>(verdict: Verdict<M>) -> Told {
        match verdict {
            Verdict::Committed { version, position, events, repeated: false } => {
                Told::Committed { version, position, events }
            }
            Verdict::Committed { version, position, events, .. } => {
                Told::Repeated { version, position, events }
            }
            Verdict::Rejected(why) => Told::Rejected(why),
        }
    }

    /// The version of what was committed.
    #[track_caller]
    pub(crate) fn version(&self) -> u64 {
        match self {
            Told::Committed { version, .. } | Told::Repeated { version, .. } => *version,
            Told::Rejected(why) => panic!("rejected: {why}"),
        }
    }

    /// What whoever sends the same command again is to be told.
    #[track_caller]
    pub(crate) fn again(self) -> Told {
        match self {
            Told::Committed { version, position, events } => Told::Repeated { version, position, events },
            other => panic!("{other:?}"),
        }
    }
}

/// A look that remembers what it saw.
struct Peek<M> {
    seen: Option<(M, u64)>,
    reply: Reply<(M, u64)>,
}

impl<M: Model + Clone> Inspect<M> for Peek<M> {
    fn look(&mut self, state: &M, version: u64) {
        self.seen = Some((state.clone(), version));
    }

    fn answer(self: Box<Self>, answer: Result<()>) {
        let Peek { seen, reply } = *self;
        reply.answer(answer.map(|()| seen.expect("it looked")));
    }
}

impl World {
    /// A command for an aggregate without snapshots.
    pub(crate) fn execute(
        &self,
        ledger: &str,
        command: Command,
    ) -> impl Future<Output = Result<Told>> + Send + use<> {
        self.execute_on::<0>(ledger, command)
    }

    pub(crate) fn execute_on<const EVERY: u64>(
        &self,
        ledger: &str,
        command: Command,
    ) -> impl Future<Output = Result<Told>> + Send + use<EVERY> {
        self.execute_as::<Ledger<EVERY>>(ledger, command, None)
    }

    /// A command with an id, for an aggregate without snapshots.
    pub(crate) fn execute_known(
        &self,
        ledger: &str,
        command: Command,
        id: u128,
    ) -> impl Future<Output = Result<Told>> + Send + use<> {
        self.execute_as::<Ledger<0>>(ledger, command, Some(id))
    }

    pub(crate) fn execute_as<M>(
        &self,
        ledger: &str,
        command: Command,
        id: Option<u128>,
    ) -> impl Future<Output = Result<Told>> + Send + use<M>
    where
        M: Model<Command = Command, Event = String, Rejection = &'static str>,
    {
        let (runtime, name) = (Arc::clone(&self.runtime), name(ledger));
        async move {
            let (command, post) = (Theirs::new(command), runtime.post().clone());
            let about = About { id: id.map(Uuid::from_u128), origin: None };
            let build = |reply, passage| Execute::<M> { command, about, post, reply, passage };
            runtime.ask::<AggregateActor<M>, _, _>(&name, build).await.map(Told::of)
        }
    }

    /// The state of an aggregate without snapshots, and its version.
    pub(crate) fn state(
        &self,
        ledger: &str,
    ) -> impl Future<Output = Result<(Ledger<0>, u64)>> + Send + use<> {
        self.state_of::<0>(ledger)
    }

    pub(crate) fn state_of<const EVERY: u64>(
        &self,
        ledger: &str,
    ) -> impl Future<Output = Result<(Ledger<EVERY>, u64)>> + Send + use<EVERY> {
        self.look::<Ledger<EVERY>>(ledger, false)
    }

    /// The state; `as_known` here, if that will do.
    pub(crate) fn look<M: Model + Clone>(
        &self,
        ledger: &str,
        as_known: bool,
    ) -> impl Future<Output = Result<(M, u64)>> + Send + use<M> {
        let (runtime, name) = (Arc::clone(&self.runtime), name(ledger));
        async move {
            let peek = |reply| Box::new(Peek { seen: None, reply });
            let build = |reply, passage| Look::<M> { inspect: peek(reply), as_known, passage };
            runtime.ask::<AggregateActor<M>, _, _>(&name, build).await
        }
    }
}
