//! News of projections: whoever projects one in this process, or waits for one to come somewhere, is told when its rows have
//! changed, by whatever process.
//!
//! What is told is that there is news, and no more; whoever is told reads how it stands. So news that comes while somebody
//! is busy is one flag, which he looks at when he has done what he was at.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};
use crate::name::Name;
use crate::reader::Readers;
use crate::storage::View;
use crate::storage::projection::Standing;
use crate::thread;
use crate::watcher::{Watcher, looking};

/// The projections that somebody in this process has an ear for. Cheap to clone.
#[derive(Clone)]
pub struct Projections(Arc<Board>);

struct Board {
    watcher: Watcher,
    readers: Readers,
    /// Ours at the watcher.
    key: usize,
    state: Arc<Mutex<State>>,
    /// How many ears there are. Held while it changes, so that the watcher knows of us exactly while there are any.
    ears: Mutex<usize>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<Name, Known>,
    last_number: u64,
    closed: bool,
}

/// A projection, as long as somebody has an ear for it.
#[derive(Default)]
struct Known {
    /// How it stood when it was looked at last, for another process.
    stood: Option<Vec<Standing>>,
    ears: BTreeMap<u64, Flag>,
}

/// Of somebody who has an ear for it.
#[derive(Default)]
struct Flag {
    /// What is news to him: what concerns this partition, or all.
    partition: Option<u32>,
    /// There was news since he was told last.
    news: bool,
    waker: Option<Waker>,
}

impl Known {
    /// There is news, for those whom it concerns. Who is to be woken.
    fn tell(&mut self, concerns: impl Fn(u64, Option<u32>) -> bool) -> Vec<Waker> {
        let concerned = self.ears.iter_mut().filter(|(number, ear)| concerns(**number, ear.partition));
        let woken = concerned.filter_map(|(_, ear)| {
            ear.news = true;
            ear.waker.take()
        });
        woken.collect()
    }
}

impl Projections {
    pub(crate) fn new(watcher: Watcher, readers: Readers) -> Projections {
        let (key, state, ears) = (Watcher::new_key(), Arc::default(), Mutex::default());
        Projections(Arc::new(Board { watcher, readers, key, state, ears }))
    }

    /// Somebody has an ear for this projection from now on, or for what concerns one of its partitions. How it stands he has to
    /// read after this.
    #[must_use]
    pub fn hear(&self, name: &Name, partition: Option<u32>) -> Ear {
        let board = &self.0;
        let mut ears = locked(&board.ears);
        let mut state = board.state();
        state.last_number += 1;
        let number = state.last_number;
        state
            .names
            .entry(name.clone())
            .or_default()
            .ears
            .insert(number, Flag { partition, ..Flag::default() });
        drop(state);
        if *ears == 0 {
            let state = Arc::clone(&board.state);
            board.watcher.watch(board.key, looking(&board.readers, move |view| look(&state, view)));
        }
        *ears += 1;
        Ear { board: Arc::clone(board), name: name.clone(), partition, number }
    }

    /// Something that concerns all of this projection was committed here.
    pub fn tell(&self, name: &Name) {
        self.0.tell(name, |_, _| true);
    }

    /// Nothing more comes: whoever waits is told so.
    pub(crate) fn close(&self) {
        let mut state = self.0.state();
        state.closed = true;
        let woken: Vec<Waker> = state.names.values_mut().flat_map(|known| known.tell(|_, _| true)).collect();
        drop(state);
        thread::wake(woken);
    }
}

impl fmt::Debug for Projections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projections").field("names", &self.0.state().names.len()).finish_non_exhaustive()
    }
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    fn tell(&self, name: &Name, concerns: impl Fn(u64, Option<u32>) -> bool) {
        let woken = match self.state().names.get_mut(name) {
            Some(known) => known.tell(concerns),
            None => return,
        };
        thread::wake(woken);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Another process may have written: looks how those projections stand that somebody has an ear for.
fn look(state: &Mutex<State>, view: &mut dyn View) {
    let names: Vec<Name> = locked(state).names.keys().cloned().collect();
    for name in names {
        // What cannot be read now is looked at again; and whoever reads finds out why by himself.
        let Ok(stands) = view.projection(&name) else { continue };
        let mut state = locked(state);
        let Some(known) = state.names.get_mut(&name) else { continue };
        if known.stood.as_ref() == Some(&stands) {
            continue;
        }
        // What is seen for the first time is news to all.
        let stood = known.stood.take();
        let woken = known.tell(|_, partition| {
            let is_same = |stood| of_partition(stood, partition).eq(of_partition(&stands, partition));
            !stood.as_deref().is_some_and(is_same)
        });
        known.stood = Some(stands);
        drop(state);
        thread::wake(woken);
    }
}

/// What of it concerns a partition, or all.
fn of_partition(all: &[Standing], partition: Option<u32>) -> impl Iterator<Item = &Standing> {
    all.iter().filter(move |it| partition.is_none_or(|partition| it.partition.index == partition))
}

/// Somebody's ear for a projection.
pub struct Ear {
    board: Arc<Board>,
    name: Name,
    partition: Option<u32>,
    number: u64,
}

impl Ear {
    /// Until there is news, since the last time that this came.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn poll_news(&self, context: &Context<'_>) -> Poll<Result<()>> {
        let mut state = self.board.state();
        if state.closed {
            return Poll::Ready(Err(Error::Closed));
        }
        let Some(ear) = state.names.get_mut(&self.name).and_then(|known| known.ears.get_mut(&self.number))
        else {
            return Poll::Pending;
        };
        if std::mem::take(&mut ear.news) {
            return Poll::Ready(Ok(()));
        }
        let before = ear.waker.replace(context.waker().clone());
        drop(state);
        // It is the user's.
        thread::discard(before);
        Poll::Pending
    }

    /// As [`poll_news`](Ear::poll_news), to be awaited.
    ///
    /// # Errors
    /// As there.
    pub async fn news(&self) -> Result<()> {
        std::future::poll_fn(|context| self.poll_news(context)).await
    }

    /// For whoever writes by himself: what tells all others whom it concerns that something was committed.
    pub fn voice(&self) -> impl FnOnce() + Send + 'static {
        let (board, name) = (Arc::clone(&self.board), self.name.clone());
        let (me, mine) = (self.number, self.partition);
        move || {
            board.tell(&name, |number, partition| {
                let concerns = mine.is_none() || partition.is_none() || partition == mine;
                number != me && concerns
            });
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let mut state = self.board.state();
        let known = state.names.get_mut(&self.name);
        let gone = known.and_then(|known| known.ears.remove(&self.number));
        if state.names.get(&self.name).is_some_and(|known| known.ears.is_empty()) {
            state.names.remove(&self.name);
        }
        drop(state);
        thread::discard(gone);
        let mut ears = locked(&self.board.ears);
        *ears -= 1;
        if *ears == 0 {
            self.board.watcher.leave(self.board.key);
        }
    }
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ear").field("name", &self.name).finish_non_exhaustive()
    }
}
