//! The writers' turn: taking it, leaving it to the others, and whose it is. It is a lock in the [sidecar](super::sync).

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millpond_actors::error::{Occupant, Result};
use nix::fcntl::FcntlArg;
use nix::libc;

use super::error::busy_with;
use super::sync::{SLOTS, Sidecar, TURN, WANTING, region};

/// A turn's length is 1 + slot + number * this.
const STRIDE: i64 = SLOTS as i64 + 1;

/// The numbers of turns begin anew after so many, which nobody can take between two looks.
const NUMBERS: u32 = 1 << 20;

/// So many turns one may have in a row while others wait: it is spared the way from one to the other and reading anew, and of two
/// each still has two thirds of his share.
pub(super) const TURNS_IN_A_ROW: u32 = 2;

/// So often whoever has had them looks whether one who waits has taken the turn. It is taken after one or two looks, if nothing
/// keeps him.
const POLITE_LOOKS: u32 = 50;

/// How long he rests after each look, at least: the system's timers are coarser. Looking without a pause would keep the other one
/// from taking it.
const POLITE_PAUSE: Duration = Duration::from_micros(50);

/// If nobody has taken it by then, whoever waits was stopped: so many turns are taken before the next one is left to him.
const TURNS_IN_VAIN: u32 = 1_000;

/// How often opening asks for the turn before it gives up.
const TURN_ATTEMPTS: u32 = 10_000;

/// How long it waits in between.
const ATTEMPT: Duration = Duration::from_millis(1);

/// What is known of the turns that are taken through one description of the sidecar.
#[derive(Debug)]
pub(super) struct Turns {
    /// How many there were.
    taken: AtomicU32,
    /// So many more are taken without regard for those who wait.
    at_will: AtomicU32,
}

impl Turns {
    pub(super) fn new() -> Turns {
        // Newcomers have one slot together: so their turns differ all the same.
        Turns { taken: AtomicU32::new(std::process::id()), at_will: AtomicU32::new(TURNS_IN_A_ROW) }
    }
}

impl Sidecar {
    /// Takes the writers' turn for `slot`. `wait`: as soon as it is there.
    pub(super) fn take_turn(&self, slot: u32, wait: bool) -> Result<bool> {
        if self.seize_turn(slot)? {
            return Ok(true);
        }
        if !wait {
            return Ok(false);
        }
        let turn = region(libc::F_WRLCK, TURN, self.next_turn(slot));
        self.want_turn(true)?;
        let taken = self.ask(FcntlArg::F_OFD_SETLKW(&turn));
        self.want_turn(false)?;
        // The first of a row.
        let anew = |turns: u32| (turns < TURNS_IN_A_ROW).then_some(TURNS_IN_A_ROW - 1);
        let _ = self.turns.at_will.fetch_update(Ordering::Relaxed, Ordering::Relaxed, anew);
        taken.map(|()| true)
    }

    /// Lets those who wait have the turn first, if it was taken here some times in a row; whether they were waited for.
    ///
    /// The system gives a lock to whoever asks first when it is free, and that is whoever has just had it: those who wait have to
    /// wake up. Of two processes with a few callers each, one had nine turns of ten.
    pub(super) fn give_way(&self) -> Result<bool> {
        let one_less = |turns: u32| turns.checked_sub(1);
        if self.turns.at_will.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            return Ok(false);
        }
        let (wanted, mut turns) = (self.turn_is_wanted()?, TURNS_IN_A_ROW);
        if wanted && !self.is_taken_soon()? {
            turns = TURNS_IN_VAIN;
        }
        // That which is taken now is the first of them.
        self.turns.at_will.store(turns - 1, Ordering::Relaxed);
        Ok(wanted)
    }

    fn is_taken_soon(&self) -> Result<bool> {
        for _ in 0..POLITE_LOOKS {
            if self.refused(TURN, 1)?.is_some() {
                return Ok(true);
            }
            std::thread::park_timeout(POLITE_PAUSE);
        }
        Ok(false)
    }

    /// Says that somebody here waits for the turn, or that nobody does any more.
    pub(super) fn want_turn(&self, somebody: bool) -> Result<()> {
        self.share(WANTING, somebody)
    }

    /// Whether somebody waits for the turn through another description.
    pub(super) fn turn_is_wanted(&self) -> Result<bool> {
        self.refused(WANTING, 1).map(|by| by.is_some())
    }

    /// Takes the turn if nobody has it, whoever waits for it.
    pub(super) fn seize_turn(&self, slot: u32) -> Result<bool> {
        self.try_lock(libc::F_WRLCK, TURN, self.next_turn(slot))
    }

    /// The length of a turn.
    fn next_turn(&self, slot: u32) -> i64 {
        let number = self.turns.taken.fetch_add(1, Ordering::Relaxed) % NUMBERS;
        1 + i64::from(slot) + i64::from(number) * STRIDE
    }

    /// Takes the turn while a store is opened, when no thread can be left blocked: asks again and again, and
    /// gives up after ten seconds. Whoever holds it that long is stopped. `name` tells who has a slot.
    pub(super) fn wait_for_turn(&self, name: impl FnOnce(u32) -> Occupant) -> Result<()> {
        let mut same = (None, 0_u32);
        for _ in 0..TURN_ATTEMPTS {
            if self.seize_turn(SLOTS)? {
                return Ok(());
            }
            let found = self.turn_holder()?;
            same = if found == same.0 { (found, same.1 + 1) } else { (found, 0) };
            std::thread::park_timeout(ATTEMPT);
        }
        let process = same.0.map_or(Occupant::Unknown, |(slot, _)| name(slot));
        Err(busy_with(process, ATTEMPT * same.1))
    }

    /// Passes the turn on.
    pub(super) fn leave_turn(&self) {
        self.unlock(TURN, 0);
    }

    /// The slot of whoever else has the turn, and the number of his turn.
    pub(super) fn turn_holder(&self) -> Result<Option<(u32, u64)>> {
        let Some(lock) = self.refused(TURN, 1)? else { return Ok(None) };
        let (slot, number) = ((lock.l_len - 1) % STRIDE, (lock.l_len - 1) / STRIDE);
        Ok(u32::try_from(slot).ok().zip(u64::try_from(number).ok()))
    }
}
