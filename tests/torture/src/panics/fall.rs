//! Places in a user's code that fall over when they are told to, once.

use std::collections::BTreeSet;
use std::panic::panic_any;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use crate::random::Random;

/// Where a user's code can fall over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A command is decided.
    Decide,
    /// The state is changed by an event.
    Evolve,
    /// An event is encoded.
    Encode,
    /// An event is decoded.
    Decode,
    /// A state is made.
    Fresh,
    /// A snapshot is made.
    Freeze,
    /// A snapshot is read.
    Thaw,
    /// A state is copied for somebody who looks at it.
    Copy,
    /// A command is dropped.
    DropCommand,
    /// An event is dropped.
    DropEvent,
    /// A state is dropped.
    DropState,
    /// A rejection is dropped.
    DropRejection,
    /// A caller's executor is woken.
    Wake,
}

impl Place {
    /// All of them.
    pub const ALL: [Place; 13] = [
        Place::Decide,
        Place::Evolve,
        Place::Encode,
        Place::Decode,
        Place::Fresh,
        Place::Freeze,
        Place::Thaw,
        Place::Copy,
        Place::DropCommand,
        Place::DropEvent,
        Place::DropState,
        Place::DropRejection,
        Place::Wake,
    ];
}

/// What a panic carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// A text.
    Text,
    /// A text that was put together.
    Made,
    /// No text at all.
    Mute,
    /// Something that panics when it is dropped.
    Bomb,
}

/// What a panic without words carries.
struct Mute;

/// What panics once more when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic_any(Mute);
        }
    }
}

/// What every panic of these says that says anything.
const WORDS: &str = "it fell over";

#[derive(Debug, Default)]
struct State {
    armed: Option<(Place, u64, Load)>,
    fallen: Option<(Place, u64)>,
    reached: BTreeSet<Place>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on the place falls over, in one of the next times that it is reached.
pub(super) fn arm(place: Place, random: &mut Random) {
    quiet();
    let load = match random.below(4) {
        0 => Load::Text,
        1 => Load::Made,
        2 => Load::Mute,
        _ => Load::Bomb,
    };
    let often = matches!(
        place,
        Place::Decide | Place::Evolve | Place::Encode | Place::DropCommand | Place::DropEvent | Place::Wake
    );
    let left = random.below(if often { 12 } else { 2 });
    state().get_or_insert_default().armed = Some((place, left, load));
}

/// Nothing falls any more; what fell, and the number that it had to do with.
pub(super) fn disarm() -> Option<(Place, u64)> {
    let mut state = state();
    let state = state.get_or_insert_default();
    state.armed = None;
    state.fallen.take()
}

/// The places that have ever fallen over.
pub(super) fn fallen() -> BTreeSet<Place> {
    state().get_or_insert_default().reached.clone()
}

/// The code is here, and has to do with this number.
pub(super) fn reach(place: Place, number: u64) {
    // A panic while another is on its way ends the process, whoever is to blame.
    if std::thread::panicking() {
        return;
    }
    let load = {
        let mut state = state();
        let Some(state) = state.as_mut() else { return };
        let Some((_, left, load)) = state.armed.as_mut().filter(|(armed, ..)| *armed == place) else {
            return;
        };
        if *left > 0 {
            *left -= 1;
            return;
        }
        let load = *load;
        state.armed = None;
        state.fallen = Some((place, number));
        state.reached.insert(place);
        load
    };
    match load {
        Load::Text => panic_any(WORDS),
        Load::Made => panic_any(format!("{WORDS} at {number}")),
        Load::Mute => panic_any(Mute),
        Load::Bomb => panic_any(Bomb),
    }
}

/// These panics are not worth a word each.
fn quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let load = info.payload();
            let ours = load.is::<Mute>()
                || load.is::<Bomb>()
                || load.downcast_ref::<&str>().is_some_and(|words| *words == WORDS)
                || load.downcast_ref::<String>().is_some_and(|words| words.starts_with(WORDS));
            if !ours {
                before(info);
            }
        }));
    });
}
