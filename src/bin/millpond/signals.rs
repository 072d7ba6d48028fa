//! A thread that hears signals.

use std::fs;
use std::thread::JoinHandle;

use millpond::blocking::Store;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::siginfo::Origin;

use crate::failure::{Done, Failure};

/// What is passed on to a command.
const PASSED_ON: [i32; 6] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];

pub(crate) struct Ear {
    handle: Handle,
    thread: JoinHandle<()>,
}

impl Ear {
    /// Tells `hear` of every signal that is passed on, and of children that end, as long as it says `true`.
    pub(crate) fn open(hear: impl Fn(Origin) -> bool + Send + 'static) -> std::io::Result<Ear> {
        let ignored = ignored();
        let heard = PASSED_ON.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let mut signals = SignalsInfo::<WithOrigin>::new(heard.chain([SIGCHLD]))?;
        let handle = signals.handle();
        let hear = move || {
            let _ = signals.forever().all(hear);
        };
        let thread = std::thread::Builder::new().name("signals".into()).spawn(hear)?;
        Ok(Ear { handle, thread })
    }

    pub(crate) fn close(self) {
        self.handle.close();
        // It cannot have panicked; and if it had, the command's end counts.
        let _ = self.thread.join();
    }
}

/// A signal closes the store, and that ends whatever is waited for.
pub(crate) fn close_on_signal(store: &Store) -> Done<Ear> {
    let store = store.clone();
    let hear = move |signal: i32| {
        let ends = [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains(&signal);
        if ends {
            let _ = store.close();
        }
        !ends
    };
    Ear::open(move |origin| hear(origin.signal))
        .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))
}

/// The signals that this process was started to ignore, a bit each (`nohup` ignores SIGHUP). They stay so: a command
/// inherits what is ignored, but not what is heard, and would die of a signal that was to be kept from it.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
