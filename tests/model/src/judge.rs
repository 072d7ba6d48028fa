//! The judge: looks at what a transaction did to the file, from outside, and says which promise it broke.
//!
//! It keeps its own account of the leases and of the highest token, and asks the operating system who lives, so a
//! rule that is wrong does not also judge itself.

use crate::state::{Bounds, Event, File, Holder, Id, Life, Number, Presence};

/// Promises that are broken in a step, one bit each.
pub mod breach {
    /// A token did not grow.
    pub const L2: u16 = 1 << 0;
    /// A write under an old token was applied.
    pub const L3: u16 = 1 << 1;
    /// A lease was taken away before its end.
    pub const L4_EARLY: u16 = 1 << 2;
    /// A lease that had ended was alive again.
    pub const L4_REVIVED: u16 = 1 << 3;
    /// A living ticket was passed by a later one.
    pub const L5_ORDER: u16 = 1 << 4;
    /// A dead process was left in possession, or given it.
    pub const L6: u16 = 1 << 5;
    /// Somebody whose lease had ended was left in possession.
    pub const L5_TAKE_UP: u16 = 1 << 6;
}

/// What the transaction was for, as far as it matters to the judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A process started.
    Start,
    /// Somebody asked for the lock.
    Acquire,
    /// Somebody left the line, or the lock.
    Leave,
    /// Somebody who waits asked for what is his.
    Settle,
    /// A write under this token was applied.
    Landed(Number),
    /// Nothing of the above.
    Other,
}

/// One transaction before the judge.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// How long leases last.
    pub bounds: Bounds,
    /// The file before it.
    pub before: &'a File,
    /// Who lived when it began.
    pub presence: Presence<'a>,
    /// Whose transaction it is.
    pub own: Id,
    /// What for.
    pub cause: Cause,
}

impl Case<'_> {
    /// Enters the grant, the beat and the release into the judge's account in `after`, and tells what was broken.
    #[must_use]
    pub fn judged(&self, after: &mut File) -> (u16, Event) {
        let mut broken = 0;
        let mut convict = |guilty: bool, of: u16| broken |= if guilty { of } else { 0 };
        let granted = after.holder.filter(|holder| self.is_new(holder));

        if let Cause::Landed(token) = self.cause {
            convict(token < after.highest, breach::L3);
        }
        convict(self.revived(after), breach::L4_REVIVED);
        self.enter_own(after);
        convict(self.taken_early(after), breach::L4_EARLY);
        convict(self.leaves_it_to_the_dead(after), breach::L6);
        convict(self.leaves_it_to_the_idle(after), breach::L5_TAKE_UP);
        if let Some(holder) = granted {
            convict(holder.token <= after.highest, breach::L2);
            convict(self.passes_a_living(&holder), breach::L5_ORDER);
            convict(!self.lives(holder.process), breach::L6);
            after.highest = after.highest.max(holder.token);
            after.leases.retain(|(id, _)| *id != holder.process);
            // What another has passed on lasts no longer than until it must have been taken up.
            let own = holder.process == self.own;
            let age = if own { 0 } else { self.bounds.ttl.saturating_sub(self.bounds.take_up) };
            after.leases.push((holder.process, age));
            after.leases.sort_unstable();
        }
        (broken, self.event(after.holder.as_ref(), granted.as_ref()))
    }

    fn lives(&self, process: Id) -> bool {
        process == self.own || self.presence.lives(process)
    }

    fn is_new(&self, holder: &Holder) -> bool {
        self.before.holder.is_none_or(|old| (old.ticket, old.token) != (holder.ticket, holder.token))
    }

    /// Every commit of a process is a beat; a release ends the lease.
    fn enter_own(&self, after: &mut File) {
        let released = self.cause == Cause::Leave && after.holder.is_none_or(|holder| self.is_new(&holder));
        if released {
            after.leases.retain(|(id, _)| *id != self.own);
        }
        if after.holder.is_some_and(|holder| self.takes_up(&holder)) && !after.has_lease(self.own) {
            after.leases.push((self.own, 0));
            after.leases.sort_unstable();
        }
        for (_, age) in after.leases.iter_mut().filter(|(id, _)| *id == self.own) {
            *age = 0;
        }
    }

    /// The process whose transaction this is still holds what had ended by its silence, and was more than a grant that
    /// nobody there knew of.
    fn revived(&self, after: &File) -> bool {
        let kept = after.holder.filter(|holder| holder.process == self.own && !self.is_new(holder));
        kept.is_some_and(|holder| !self.takes_up(&holder)) && !self.before.has_lease(self.own)
    }

    /// The process whose transaction this is takes up what another has passed on to it.
    fn takes_up(&self, holder: &Holder) -> bool {
        let untouched = self.before.holder.is_some_and(|before| !before.taken_up);
        holder.process == self.own && !self.is_new(holder) && untouched
    }

    /// Somebody who lives had a lease, has not given it back, and is not the holder any more.
    fn taken_early(&self, after: &File) -> bool {
        let kept = |id: Id| after.holder.is_some_and(|holder| holder.process == id);
        after.leases.iter().any(|(id, _)| self.lives(*id) && !kept(*id))
    }

    /// Whoever settles passes a dead holder over. Whoever asks does so too, unless somebody waits who will.
    fn leaves_it_to_the_dead(&self, after: &File) -> bool {
        let mut living = self.before.line.iter().filter(|ticket| self.lives(ticket.process));
        let responsible = match self.cause {
            Cause::Settle => true,
            Cause::Acquire => living.next().is_none(),
            Cause::Start => living.next().is_some(),
            _ => false,
        };
        responsible && after.holder.is_some_and(|holder| !self.lives(holder.process))
    }

    /// Whoever settles passes the lock on from a holder whose lease has ended, taken up or not.
    fn leaves_it_to_the_idle(&self, after: &File) -> bool {
        let kept = after.holder.filter(|holder| !self.is_new(holder) && holder.process != self.own);
        self.cause == Cause::Settle && kept.is_some_and(|holder| !self.before.has_lease(holder.process))
    }

    fn passes_a_living(&self, holder: &Holder) -> bool {
        let mut earlier = self.before.line.iter().filter(|ticket| ticket.number < holder.ticket);
        earlier.any(|ticket| self.lives(ticket.process))
    }

    fn event(&self, holder: Option<&Holder>, granted: Option<&Holder>) -> Event {
        let (Some(old), Some(new)) = (self.before.holder, granted) else {
            return self.skipped(granted);
        };
        let left = self.cause == Cause::Leave && old.process == self.own;
        if left || holder.is_some_and(|holder| holder.process == old.process) {
            return self.skipped(Some(new));
        }
        match self.presence.life(old.process) {
            Life::Dead => Event::TakenAfterCrash,
            Life::Stopped => Event::TakenAfterStop,
            Life::Running => Event::TakenAfterSilence,
        }
    }

    fn skipped(&self, granted: Option<&Holder>) -> Event {
        let Some(new) = granted else { return Event::None };
        let mut earlier = self.before.line.iter().filter(|ticket| ticket.number < new.ticket);
        if earlier.any(|ticket| !self.lives(ticket.process)) { Event::DeadWaiterSkipped } else { Event::None }
    }
}
