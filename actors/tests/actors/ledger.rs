//! The aggregate of these tests: a list of entries, and commands that do what a test needs.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use millpond_actors::aggregate::{
    About, AggregateActor, Execute, Inspect, Look, Model, Plan, Policy, Verdict,
};
use millpond_actors::error::{Error, Result};
use millpond_actors::reply::Reply;
use millpond_actors::storage::Data;
use millpond_actors::storage::stream::Recorded;
use millpond_actors::thread::Theirs;

use crate::world::{World, name};

/// Keeps a snapshot every `EVERY` versions; never if that is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger<const EVERY: u64> {
    pub(crate) entries: Vec<String>,
    /// How many of them came out of a snapshot.
    pub(crate) thawed: usize,
}

/// The schema of the snapshots.
pub(crate) const SCHEMA: u32 = 3;

#[derive(Clone)]
pub(crate) enum Command {
    /// Add an entry with this text.
    Add(&'static str),
    /// Add an entry with the number of those before it.
    Count,
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

impl<const EVERY: u64> Model for Ledger<EVERY> {
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
        Some(self.clone())
    }

    fn encode(event: &String) -> Result<(Cow<'static, str>, Data, u32)> {
        assert_ne!(event, "panic in encode", "encode was told to");
        Ok(("Added".into(), Data::Json(event.clone()), 1))
    }

    fn decode(recorded: &Recorded) -> Result<String> {
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
    Rejected(&'static str),
}

impl Told {
    /// The version of what was committed.
    #[track_caller]
    pub(crate) fn version(&self) -> u64 {
        match self {
            Told::Committed { version, .. } => *version,
            Told::Rejected(why) => panic!("rejected: {why}"),
        }
    }
}

/// A look that remembers what it saw.
struct Peek<const EVERY: u64> {
    seen: Option<(Ledger<EVERY>, u64)>,
    reply: Reply<(Ledger<EVERY>, u64)>,
}

impl<const EVERY: u64> Inspect<Ledger<EVERY>> for Peek<EVERY> {
    fn look(&mut self, state: &Ledger<EVERY>, version: u64) {
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
        let (runtime, name) = (Arc::clone(&self.runtime), name(ledger));
        async move {
            let command = Theirs::new(command);
            let post = runtime.post().clone();
            let about = About::default();
            let build = |reply, passage| Execute::<Ledger<EVERY>> { command, about, post, reply, passage };
            Ok(match runtime.ask::<AggregateActor<Ledger<EVERY>>, _, _>(&name, build).await? {
                Verdict::Committed { version, position, events, .. } => {
                    Told::Committed { version, position, events }
                }
                Verdict::Rejected(why) => Told::Rejected(why),
            })
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
        let (runtime, name) = (Arc::clone(&self.runtime), name(ledger));
        async move {
            let build = |reply, passage| Look::<Ledger<EVERY>> {
                inspect: Box::new(Peek { seen: None, reply }),
                as_known: false,
                passage,
            };
            runtime.ask::<AggregateActor<Ledger<EVERY>>, _, _>(&name, build).await
        }
    }
}
