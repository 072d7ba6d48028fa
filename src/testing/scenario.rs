//! Given, when, then: tests of an aggregate without a store.

use std::fmt::Debug;

use serde::Serialize;

use millpond_actors::aggregate::{Effect, What};
use millpond_actors::storage::Data;
use millpond_actors::storage::feed::Kind;

use crate::aggregate::{Aggregate, Decision, decode};
use crate::codec;
use crate::events::Event;

/// An aggregate with a past, to be given a command.
///
/// Each event goes through its stored form on the way, so one that cannot be read back fails the test that gives it. Events
/// and jobs are compared in their stored form too: they need not be comparable themselves, and the test says what would be
/// in the store.
///
/// # Examples
/// ```
/// use millpond::testing::Scenario;
/// # use millpond::{Aggregate, Decision};
/// # #[derive(Debug, Default)]
/// # struct Account { cents: u64 }
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # enum Happened { Deposited { cents: u64 }, Withdrawn { cents: u64 } }
/// # enum Do { Withdraw(u64) }
/// # #[derive(Debug, PartialEq, thiserror::Error)]
/// # #[error("only {0} cents are left")]
/// # struct TooLittle(u64);
/// # impl Aggregate for Account {
/// #     const KIND: &'static str = "account";
/// #     type Command = Do;
/// #     type Event = Happened;
/// #     type Rejection = TooLittle;
/// #     fn decide(&self, Do::Withdraw(cents): &Do) -> Result<Decision<Account>, TooLittle> {
/// #         if *cents > self.cents { return Err(TooLittle(self.cents)); }
/// #         Ok(Decision::from([Happened::Withdrawn { cents: *cents }]).push("mail", &"Dear Ada"))
/// #     }
/// #     fn evolve(&mut self, event: &Happened) {
/// #         match event {
/// #             Happened::Deposited { cents } => self.cents += cents,
/// #             Happened::Withdrawn { cents } => self.cents -= cents,
/// #         }
/// #     }
/// # }
/// let rich = || Scenario::<Account>::given([Happened::Deposited { cents: 500 }]);
///
/// rich()
///     .when(&Do::Withdraw(200))
///     .then([Happened::Withdrawn { cents: 200 }])
///     .then_pushed("mail", &"Dear Ada")
///     .then_state(|account| assert_eq!(account.cents, 300));
///
/// rich().when(&Do::Withdraw(501)).then_rejected(|why| assert_eq!(why, &TooLittle(500)));
/// ```
#[derive(Debug)]
#[must_use = "nothing is tested without a command"]
pub struct Scenario<A> {
    state: A,
}

impl<A: Aggregate> Scenario<A> {
    /// One to which nothing has happened.
    pub fn new() -> Scenario<A> {
        Scenario { state: A::default() }
    }

    /// One to which this has happened.
    ///
    /// # Panics
    /// If an event cannot be written or read back.
    #[track_caller]
    pub fn given(events: impl IntoIterator<Item = A::Event>) -> Scenario<A> {
        Scenario::new().and(events)
    }

    /// And then this.
    ///
    /// # Panics
    /// If an event cannot be written or read back.
    #[track_caller]
    pub fn and(self, events: impl IntoIterator<Item = A::Event>) -> Scenario<A> {
        events.into_iter().fold(self, |scenario, event| {
            let (event_type, content) = stored(&event);
            let schema = A::upcasts().schema(&event_type);
            scenario.and_recorded(&event_type, schema, &content)
        })
    }

    /// And then this, as it stands in a store: an event of this type, with a content of this schema as JSON text. For what was
    /// recorded in an older shape.
    ///
    /// # Panics
    /// If it is not understood.
    #[track_caller]
    pub fn and_recorded(mut self, event_type: &str, schema: u32, json: &str) -> Scenario<A> {
        let event = Event::from_json(event_type.to_owned(), json).and_then(|event| {
            decode::<A>(&event.schema(schema).recorded(&format!("{}-given", A::KIND), 1, 1, 0)?)
        });
        match event {
            Ok(event) => self.state.evolve(&event),
            Err(error) => panic!("{error}"),
        }
        self
    }

    /// Gives it a command.
    pub fn when(self, command: &A::Command) -> Decided<A> {
        let decided = self.state.decide(command);
        Decided { state: self.state, evolved: false, decided }
    }
}

impl<A: Aggregate> Default for Scenario<A> {
    fn default() -> Scenario<A> {
        Scenario::new()
    }
}

/// What a command has led to.
pub struct Decided<A: Aggregate> {
    state: A,
    /// Whether that is with the events.
    evolved: bool,
    decided: std::result::Result<Decision<A>, A::Rejection>,
}

impl<A: Aggregate + Debug> Debug for Decided<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decided").field("state", &self.state).field("decided", &self.decided).finish()
    }
}

impl<A: Aggregate> Decided<A> {
    /// It led to these events and no others, in this order.
    ///
    /// # Panics
    /// If not, with both.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = A::Event>) -> Decided<A> {
        let expected: Vec<_> = events.into_iter().map(|event| stored(&event)).collect();
        let events: Vec<_> = self.accepted().events.iter().map(stored).collect();
        assert_eq!(events, expected, "the left events are those that were decided on");
        self
    }

    /// It was accepted, and led to no event.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn then_nothing(self) -> Decided<A> {
        self.then([])
    }

    /// It was rejected, and this is so of the rejection.
    ///
    /// # Panics
    /// If it was accepted; if `check` does.
    #[track_caller]
    pub fn then_rejected(self, check: impl FnOnce(&A::Rejection)) {
        match &self.decided {
            Ok(decision) => {
                let events: Vec<_> = decision.events.iter().map(stored).collect();
                panic!("it was accepted, and led to {events:?}")
            }
            Err(rejection) => check(rejection),
        }
    }

    /// The state with its events is like this.
    ///
    /// # Panics
    /// If the command was rejected; if `check` does.
    #[track_caller]
    pub fn then_state(mut self, check: impl FnOnce(&A)) -> Decided<A> {
        if !std::mem::replace(&mut self.evolved, true) {
            let mut state = std::mem::take(&mut self.state);
            self.accepted().events.iter().for_each(|event| state.evolve(event));
            self.state = state;
        }
        check(&self.state);
        self
    }

    /// It also pushes a job like this to a queue, whatever else it does.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn then_pushed(self, queue: &str, job: &impl Serialize) -> Decided<A> {
        self.has_effect("a job for queue", queue, job, |what| matches!(what, What::Job(_)))
    }

    /// It also publishes a message like this on a channel, whatever else it does.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn then_published(self, channel: &str, value: &impl Serialize) -> Decided<A> {
        self.has_effect("a message for channel", channel, value, |what| {
            matches!(what, What::Message(Kind::Channel, _))
        })
    }

    /// It also appends a record like this to a log, whatever else it does.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn then_logged(self, log: &str, value: &impl Serialize) -> Decided<A> {
        self.has_effect("a record for log", log, value, |what| matches!(what, What::Message(Kind::Log, _)))
    }

    /// It has no effects beside its events.
    ///
    /// # Panics
    /// If it has.
    #[track_caller]
    pub fn then_no_effects(self) -> Decided<A> {
        let effects = self.effects();
        assert!(effects.is_empty(), "it has effects: {}", shown(effects));
        self
    }

    #[track_caller]
    fn has_effect(
        self,
        what: &str,
        name: &str,
        value: &impl Serialize,
        is_such: impl Fn(&What) -> bool,
    ) -> Decided<A> {
        let json = codec::to_json(what, value).unwrap_or_else(|error| panic!("{error}"));
        let is_it = |effect: &Effect| {
            is_such(&effect.what) && effect.name.as_str() == name && content(&effect.what) == json
        };
        let effects = self.effects();
        if !effects.iter().any(is_it) {
            panic!("there is not {what} \"{name}\" with {json} among its effects: {}", shown(effects));
        }
        self
    }

    #[track_caller]
    fn accepted(&self) -> &Decision<A> {
        match &self.decided {
            Ok(decision) => decision,
            Err(rejection) => panic!("it was rejected: {rejection}"),
        }
    }

    #[track_caller]
    fn effects(&self) -> &[Effect] {
        match &self.accepted().effects {
            Ok(effects) => effects,
            Err(error) => panic!("its effects cannot be: {error}"),
        }
    }
}

/// Type and content as they stand in a store.
#[track_caller]
fn stored(event: &impl Serialize) -> (String, String) {
    match codec::split_event(event) {
        Ok((event_type, content)) => (event_type.into_owned(), content),
        Err(error) => panic!("{error}"),
    }
}

fn text(data: &Data) -> String {
    String::from_utf8_lossy(data.bytes()).into_owned()
}

fn content(what: &What) -> String {
    match what {
        What::Job(job) => text(&job.data),
        What::Message(_, message) => text(&message.data),
    }
}

fn shown(effects: &[Effect]) -> String {
    let shown = effects.iter().map(|effect| {
        let kind = match &effect.what {
            What::Job(_) => "queue",
            What::Message(kind, _) => kind.word(),
        };
        format!("{kind} \"{}\": {}", effect.name, content(&effect.what))
    });
    shown.collect::<Vec<_>>().join(", ")
}
