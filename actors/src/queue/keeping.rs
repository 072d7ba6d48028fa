//! Who keeps the time of a queue's schedules: finds what is due, and pushes it.
//!
//! Whoever waits for a job here keeps it, and so does whoever says so and claims nothing ([`Keep`]). What is due is found
//! when the actor looks, on the thread that looks; its next time is worked out there too. Which process does it in the
//! end, the transaction decides.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::desk::Desk;
use super::{Changed, QueueActor};
use crate::calendar;
use crate::clock::Moment;
use crate::gate::Passage;
use crate::limits;
use crate::name::Name;
use crate::observe::target;
use crate::reply::Reply;
use crate::storage::View;
use crate::storage::queue::Outlook;
use crate::storage::schedule::{Fire, Fired};
use crate::supervisor::{Stay, Visit};

/// Keep the time of this queue's schedules, for as long as the reply is waited for.
#[derive(Debug)]
pub struct Keep {
    /// Answered only by an error.
    pub reply: Reply<()>,
    /// Given back at once.
    pub passage: Passage,
}

/// Somebody for whom the time is kept.
pub(super) struct Keeper {
    pub(super) reply: Reply<()>,
    /// As long as there is one, the actor stays.
    _stay: Stay,
}

/// What was seen of a queue.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sight {
    pub(super) outlook: Outlook,
    /// What is to be done for the schedules that are due.
    pub(super) fires: Vec<Fire>,
}

impl Sight {
    pub(super) fn of(view: &mut dyn View, name: &Name, now: Moment, outlook: Outlook) -> Sight {
        let fires = if outlook.fires { due(view, name, now, outlook.queue) } else { Vec::new() };
        Sight { outlook, fires }
    }

    /// In how long it is worth to look again for the schedules' sake, though nobody writes anything until then.
    pub(super) fn next(&self) -> Option<Duration> {
        let next = self.outlook.next_due_ms.map(Duration::from_millis);
        let again = match (self.outlook.fires, self.fires.is_empty()) {
            (false, _) => None,
            // Should it not be possible to write it.
            (true, false) => Some(limits::TRY_AGAIN),
            // It is damaged, or this machine does not know its time zone.
            (true, true) => Some(limits::CLOCKS_DRIFT),
        };
        next.into_iter().chain(again).min()
    }
}

/// What is to be done for the schedules that are due.
fn due(view: &mut dyn View, name: &Name, now: Moment, queue: u64) -> Vec<Fire> {
    let mut fires = Vec::new();
    for schedule in view.schedules(name).unwrap_or_default().into_iter().flatten() {
        if schedule.due.is_none_or(|due| due > now.wall_ms) {
            continue;
        }
        let Ok(named) = Name::new(&schedule.name) else { continue };
        // Behind this moment, and not behind the time that is done for: what was missed is done once.
        match calendar::next(&schedule.plan.cron, &schedule.plan.zone, now.wall_ms) {
            Ok(next) => {
                let queue = crate::storage::Target { name: name.clone(), id: Some(queue) };
                fires.push(Fire { queue, name: named, revision: schedule.revision, next });
            }
            Err(error) => {
                tracing::warn!(target: target::WORKER, queue = %name, schedule = %named, %error, "a schedule waits")
            }
        }
    }
    fires
}

impl Handler<Visit<Keep>> for QueueActor {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<Keep>, context: &mut Self::Context) {
        let Keep { reply, passage } = message;
        drop(passage);
        if !reply.is_abandoned() {
            self.keepers.push(Keeper { reply, _stay: stay });
            self.tell_watcher(context);
            self.look(context);
        }
    }
}

impl Desk {
    /// Pushes what is due. Whoever waits here is told.
    pub(super) fn fire(self: &Arc<Self>, fires: Vec<Fire>) {
        for fire in fires {
            let desk = Arc::clone(self);
            self.writer.apply(fire, None, move |fired| match fired {
                Ok(fired) => {
                    if matches!(fired, Fired::Pushed { .. }) {
                        desk.changed(true);
                    }
                    // When the next one is due.
                    desk.tell(Changed { ready: false });
                }
                // It is looked at again before long.
                Err(error) => tracing::warn!(target: target::WORKER, queue = %desk.name, %error, "a schedule that is due waits"),
            });
        }
    }
}
