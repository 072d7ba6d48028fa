//! Commands from several processes at once, at random: whatever happens between them, there is one order that explains all
//! that anybody was told.

use std::collections::BTreeMap;

use millpond_actors::error::{Error, Result};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::ledger::{Command, Ledger, Told};
use crate::world::{World, all, begun, foreign_append, soon};

/// One that lets itself be copied, and one that does not; both keep snapshots.
type Here = Ledger<3, true>;
type There = Ledger<3, false>;

const STREAM: &str = "ledger";

/// What is done in a burst.
#[derive(Clone, Debug)]
enum Deed {
    /// A command from this process or the other one, perhaps with an id.
    Send { here: bool, what: What, id: Option<u128> },
    /// Another program appends.
    Append,
    /// What is under way goes on a little.
    Pause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Count,
    CountAndTwo,
    Require(usize),
    Nothing,
    PanicInDecide,
    PanicInEvolve,
    PanicInEncode,
}

impl What {
    fn command(self) -> Command {
        match self {
            What::Count => Command::Count,
            What::CountAndTwo => Command::CountAndTwo,
            What::Require(least) => Command::Require(least),
            What::Nothing => Command::Nothing,
            What::PanicInDecide => Command::PanicInDecide,
            What::PanicInEvolve => Command::PanicInEvolve,
            What::PanicInEncode => Command::PanicInEncode,
        }
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    let what = prop_oneof![
        6 => Just(What::Count),
        3 => Just(What::CountAndTwo),
        3 => (0_usize..40).prop_map(What::Require),
        2 => Just(What::Nothing),
        1 => Just(What::PanicInDecide),
        1 => Just(What::PanicInEvolve),
        1 => Just(What::PanicInEncode),
    ];
    // Few ids, so that many are repeated, also with another command.
    let id = prop_oneof![2 => Just(None), 3 => (0_u128..6).prop_map(Some)];
    prop_oneof![
        8 => (any::<bool>(), what, id).prop_map(|(here, what, id)| Deed::Send { here, what, id }),
        1 => Just(Deed::Append),
        1 => Just(Deed::Pause),
    ]
}

/// What somebody was told, and what is known of when: the version before anything of the burst was sent.
struct Answer {
    before: u64,
    what: What,
    id: Option<u128>,
    told: Result<Told>,
}

/// A history: what was answered, and what was appended past the aggregate.
#[derive(Default)]
struct History {
    answers: Vec<Answer>,
    foreign: u64,
}

impl History {
    /// Sends a burst and hears what becomes of it.
    async fn burst(&mut self, here: &World, there: &World, deeds: &[Deed]) {
        let (before, mut sent, mut asked) = (here.version(STREAM), Vec::new(), Vec::new());
        for deed in deeds {
            match *deed {
                Deed::Send { here: true, what, id } => {
                    sent.push(begun(boxed(here.execute_as::<Here>(STREAM, what.command(), id))));
                    asked.push((what, id));
                }
                Deed::Send { here: false, what, id } => {
                    sent.push(begun(boxed(there.execute_as::<There>(STREAM, what.command(), id))));
                    asked.push((what, id));
                }
                Deed::Append => {
                    here.foreigner().write(foreign_append(STREAM, "foreign"));
                    self.foreign += 1;
                }
                Deed::Pause => here.arrived().await,
            }
        }
        for ((what, id), told) in asked.into_iter().zip(all(sent).await) {
            self.answers.push(Answer { before, what, id, told });
        }
    }

    /// Whether one order explains everything.
    fn check(&self, contents: &[String]) {
        let mut explained = vec![0_u32; contents.len()];
        let mut effects: BTreeMap<u128, &Told> = BTreeMap::new();
        for answer in &self.answers {
            match &answer.told {
                Ok(
                    told @ (Told::Committed { version, position, events }
                    | Told::Repeated { version, position, events }),
                ) => {
                    let end = usize::try_from(*version).unwrap();
                    let place = end - events.len()..end;
                    assert_eq!(contents[place.clone()], **events, "what was told stands where it was told");
                    assert_eq!(
                        *position,
                        (!events.is_empty()).then_some(*version),
                        "there is no other stream"
                    );
                    if matches!(told, Told::Committed { .. }) {
                        explained[place].iter_mut().for_each(|times| *times += 1);
                        answer.fits();
                    }
                    if !events.is_empty()
                        && let Some(id) = answer.id
                    {
                        self.same_as_others(id, told, &mut effects);
                    }
                }
                Ok(Told::Rejected(_)) => answer.fits(),
                Err(Error::Panicked { .. }) => assert!(
                    matches!(answer.what, What::PanicInDecide | What::PanicInEvolve | What::PanicInEncode),
                    "that was another's panic"
                ),
                Err(error) => assert!(matches!(error, Error::Conflict { .. }), "{error}"),
            }
        }
        for id in effects.keys() {
            let first = self.answers.iter().filter(|answer| answer.id == Some(*id) && answer.has_effect());
            assert_eq!(first.count(), 1, "command {id} took effect once");
            self.nobody_was_told_else(*id, effects[id].version());
        }
        // Every event is somebody's: once a command's, or foreign.
        let foreign =
            contents.iter().zip(&explained).filter(|(text, times)| *text == "foreign" && **times == 0);
        assert_eq!(foreign.count() as u64, self.foreign);
        let odd = contents.iter().zip(&explained).find(|(text, times)| *text != "foreign" && **times != 1);
        assert_eq!(odd, None, "each event belongs to one command");
    }

    /// All who sent one id were told of the same effect.
    fn same_as_others<'a>(&self, id: u128, told: &'a Told, effects: &mut BTreeMap<u128, &'a Told>) {
        let numbers = |told: &Told| match told {
            Told::Committed { version, position, events } | Told::Repeated { version, position, events } => {
                (*version, *position, events.clone())
            }
            Told::Rejected(why) => panic!("{why}"),
        };
        let first = effects.entry(id).or_insert(told);
        assert_eq!(numbers(first), numbers(told), "command {id}");
    }

    /// Whoever sent an id when it had taken effect was told of that, and not decided again.
    fn nobody_was_told_else(&self, id: u128, version: u64) {
        for answer in self.answers.iter().filter(|answer| answer.id == Some(id) && answer.before >= version) {
            assert!(matches!(answer.told, Ok(Told::Repeated { .. })), "command {id}: {:?}", answer.told);
        }
    }
}

impl Answer {
    fn has_effect(&self) -> bool {
        matches!(&self.told, Ok(Told::Committed { events, .. }) if !events.is_empty())
    }

    /// Whether what was decided fits the state that it was decided on: as many entries as stand in front of it.
    fn fits(&self) {
        match (self.what, &self.told) {
            (What::Count | What::CountAndTwo, Ok(Told::Committed { version, events, .. })) => {
                let before = *version - events.len() as u64;
                assert_eq!(events[0], before.to_string(), "{:?} saw all that stands before it", self.what);
            }
            (What::Require(least), Ok(Told::Committed { version, .. })) => {
                assert!(*version > least as u64, "{least} were required before {version}");
            }
            (What::Require(least), Ok(Told::Rejected(_))) => {
                assert!(self.before < least as u64, "{least} were required, {} there", self.before);
            }
            (What::Nothing, Ok(Told::Committed { version, events, .. })) => {
                assert!(events.is_empty() && *version >= self.before);
            }
            (what, told) => panic!("{what:?} was answered {told:?}"),
        }
    }
}

type Sent = std::pin::Pin<Box<dyn Future<Output = Result<Told>> + Send>>;

fn boxed(future: impl Future<Output = Result<Told>> + Send + 'static) -> Sent {
    Box::pin(future)
}

async fn run(bursts: Vec<Vec<Deed>>) {
    let here = World::new();
    let there = here.another();
    let mut history = History::default();
    for burst in &bursts {
        history.burst(&here, &there, burst).await;
        let contents = here.contents(STREAM);
        assert_eq!(contents.len() as u64, here.version(STREAM), "versions are dense");
        let (ours, version) = soon(here.look::<Here>(STREAM, false)).await.unwrap();
        let (theirs, _) = soon(there.look::<There>(STREAM, false)).await.unwrap();
        assert_eq!((&ours.entries, ours.entries.len() as u64), (&contents, version));
        assert_eq!(theirs.entries, contents);
    }
    // A process that knows nothing of it all answers the same.
    let late = here.another();
    let again: Vec<Deed> =
        (0..6).map(|id| Deed::Send { here: true, what: What::Count, id: Some(id) }).collect();
    history.burst(&late, &there, &again).await;
    history.check(&here.contents(STREAM));
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a3_a4_merged_commands_have_one_order(
        bursts in prop::collection::vec(prop::collection::vec(deed(), 1..24), 1..6)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(bursts));
    }
}
