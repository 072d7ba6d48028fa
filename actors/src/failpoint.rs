//! Points at which a test has the process end, the thread panic or a step fail. Without the feature `testing` there is
//! nothing to be reached.

macro_rules! points {
    ($($(#[$doc:meta])+ $point:ident,)+) => {
        /// A moment in the life of a store. Whatever happens in it, promises are kept.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point {
            $($(#[$doc])+ $point,)+
        }

        impl Point {
            /// All of them: whoever adds one has it tested.
            pub const ALL: &[Point] = &[$(Point::$point),+];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Point::$point => stringify!($point),)+
                }
            }
        }
    };
}

points! {
    /// A group is about to be begun; the turn has not been taken.
    BeforeBegin,
    /// The turn has been taken, and no transaction is open.
    AfterTurn,
    /// The group's transaction is open.
    AfterBegin,
    /// An operation is about to be applied in it.
    BeforeApply,
    /// It has been applied.
    AfterApply,
    /// All operations of a group have been applied.
    BeforeCommit,
    /// The process's row has been written, and the transaction is open.
    WithinCommit,
    /// A commit has failed, and it is known what came last; nothing stands behind it yet.
    WithinSettle,
    /// The group is on disk.
    AfterCommit,
    /// The turn was passed on, and nobody has been told.
    BeforeRing,
    /// Other processes have been told, and no caller has been answered.
    BeforeReply,
    /// All callers of a group have been answered.
    AfterReply,
    /// The thread that commits has been woken.
    ThreadAwake,
    /// The arbiter is about to commit a write that is alone.
    Inline,
    /// The log is about to be moved.
    BeforeCheckpoint,
    /// The log was moved.
    AfterCheckpoint,
    /// The sidecar is about to be opened.
    OpenSidecar,
    /// A connection that writes is about to be opened.
    OpenWriter,
    /// A connection that reads is about to be opened.
    OpenReader,
    /// It is about to be found out whether the log has to be brought to disk.
    BeforeAnchor,
    /// The log is on disk.
    AfterAnchor,
    /// A new file is about to become a store.
    BeforeMigrate,
    /// Its tables are there, in an open transaction.
    WithinMigrate,
    /// It is a store, of which only the log knows.
    AfterMigrate,
    /// This process is about to be registered.
    BeforeJoin,
    /// Its row is there, in an open transaction.
    WithinJoin,
    /// It is registered.
    AfterJoin,
    /// This process is about to leave the store.
    BeforeLeave,
    /// Its row is gone, in an open transaction.
    WithinLeave,
    /// It has left, and the log has been moved for the last time.
    AfterLeave,
    /// A reader is about to read.
    BeforeRead,
    /// It has read, and has told nobody.
    AfterRead,
    /// The lookout is about to look what other processes do.
    BeforeLook,
    /// A message is about to be passed on to its actor.
    Supervisor,
    /// A reader is about to begin with the store.
    OpenView,
    /// The actor of a lock has got somebody who wants it.
    LockActor,
    /// It has somebody more who waits.
    LockQueued,
    /// It hears who has been given the lock.
    LockPassedOn,
    /// The actor of an aggregate has got a command.
    AggregateActor,
    /// It is about to read the stream.
    BeforeLoad,
}

/// The point was reached.
///
/// # Errors
/// What a test wants to happen here.
#[cfg(not(feature = "testing"))]
#[inline(always)]
pub fn reach(_: Point) -> crate::error::Result<()> {
    Ok(())
}

/// The same, where there is no step that could fail: what has been done stays done.
#[inline(always)]
pub fn pass(point: Point) {
    reach(point).unwrap_or(());
}

#[cfg(feature = "testing")]
pub use self::testing::{arm, fired, reach};

#[cfg(feature = "testing")]
mod testing {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::Point;
    use crate::error::{Error, Result};

    /// Longer than anybody here waits for anything, and shorter than a call may take.
    const DELAY: Duration = Duration::from_millis(300);

    static FIRED: AtomicU64 = AtomicU64::new(0);

    /// The point was reached.
    ///
    /// # Errors
    /// What a test wants to happen here.
    pub fn reach(point: Point) -> Result<()> {
        let strike = |how: Option<String>| {
            FIRED.fetch_add(1, Ordering::SeqCst);
            match how.as_deref() {
                Some("abort") => std::process::abort(),
                Some("panic") => panic!("failpoint {}", point.name()),
                Some("delay") => {
                    std::thread::park_timeout(DELAY);
                    Ok(())
                }
                _ => Err(Error::Storage { detail: format!("failpoint {}", point.name()) }),
            }
        };
        fail::eval(point.name(), strike).unwrap_or(Ok(()))
    }

    /// From now on the process ends (`abort`), the thread panics (`panic`), the step fails (`error`) or the thread waits for
    /// a moment (`delay`) at this point, so many times, after it was passed `passed` times. Whether that could be arranged.
    pub fn arm(point: Point, how: &str, passed: u64, times: u64) -> bool {
        let actions = match passed {
            0 => format!("{times}*return({how})"),
            _ => format!("{passed}*off->{times}*return({how})"),
        };
        fail::cfg(point.name(), &actions).is_ok()
    }

    /// How often something has happened at any point.
    #[must_use]
    pub fn fired() -> u64 {
        FIRED.load(Ordering::SeqCst)
    }
}
