//! Schedules: a time is done for once, and what becomes of those that were missed.

use millpond_actors::limits;
use millpond_actors::storage::queue::{Key, NewJob, Place, Scope};
use millpond_actors::storage::schedule::{Fire, Fired, Missed, Placed, Plan, Remove, Schedule, Set};

use super::queues::{LONG, new_job};
use super::stage::*;

/// When the stage's wall clock begins.
const START: i64 = 1_700_000_000_000;

/// The text of the times is not looked at by a database.
pub(super) fn plan(cron: &str, number: u64) -> Plan {
    Plan { cron: cron.into(), zone: "UTC".into(), missed: Missed::Once, job: new_job(number) }
}

pub(super) fn set(schedule: &str, plan: Plan, due: i64) -> Set {
    Set { queue: target("q"), name: name(schedule), plan: Box::new(plan), due: Some(due) }
}

fn fire(schedule: &Schedule, next: Option<i64>) -> Fire {
    Fire { queue: target("q"), name: name(&schedule.name), revision: schedule.revision, next }
}

fn remove(schedule: &str) -> Remove {
    Remove { queue: target("q"), name: name(schedule) }
}

impl Stage<'_> {
    fn schedules(&self) -> Vec<Schedule> {
        self.view().schedules(&name("q")).unwrap().into_iter().map(Result::unwrap).collect()
    }

    /// The only schedule there is.
    fn schedule(&self) -> Schedule {
        let mut all = self.schedules();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    /// Whether one is due, and in how long the next one is.
    fn fires(&self) -> (bool, Option<u64>) {
        let outlook = self.view().queue_outlook(&name("q"), self.now()).unwrap().unwrap();
        (outlook.fires, outlook.next_due_ms)
    }
}

fn pushed(sequence: u64, existed: bool) -> Fired {
    Fired::Pushed { queue: 1, place: Place { sequence, existed } }
}

pub(super) fn q5_a_time_is_done_for_once(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    stage.set_wall(START);
    assert_eq!(a.run(set("s", plan("x", 7), START)), Placed::New);
    let seen = stage.schedule();
    assert_eq!((seen.due, seen.last), (Some(START), None));
    // Its next time is due at once, and is another one all the same.
    assert_eq!(a.run(fire(&seen, Some(START))), pushed(1, false));
    assert_eq!(b.run(fire(&seen, Some(START + 60))), Fired::Stale, "he is late");
    assert_eq!(a.run(fire(&seen, Some(START + 60))), Fired::Stale, "and so is a repetition");
    assert_eq!(b.run(fire(&stage.schedule(), Some(START + 60))), pushed(2, false));
    let moved = stage.schedule();
    assert_eq!((moved.due, moved.last), (Some(START + 60), Some(START)));
    assert!(moved.revision > seen.revision);
    stage.set_wall(START + 60);
    a.begin();
    assert_eq!(a.apply(fire(&moved, None)), pushed(3, false));
    assert_eq!(a.apply(fire(&moved, None)), Fired::Stale, "also within one group");
    a.commit();
    assert_eq!((stage.schedule().due, stage.fires()), (None, (false, None)), "it never comes again");
    assert_eq!(b.claim_numbers("q"), [7, 7, 7]);
}

pub(super) fn q5_a_time_never_comes_early(stage: &Stage<'_>) {
    let mut a = stage.join();
    stage.set_wall(START);
    a.run(set("s", plan("x", 7), START + 1));
    assert_eq!(stage.fires(), (false, Some(1)));
    let seen = stage.schedule();
    assert_eq!(a.run(fire(&seen, None)), Fired::Stale);
    assert_eq!(stage.schedule(), seen, "nothing was written");
    stage.set_wall(START + 1);
    assert_eq!(stage.fires(), (true, None));
    assert_eq!(a.run(fire(&seen, Some(START + 9))), pushed(1, false));
    assert_eq!(stage.fires(), (false, Some(8)));
}

pub(super) fn q5_what_was_missed_comes_once_or_not_at_all(stage: &Stage<'_>) {
    let mut a = stage.join();
    let late = limits::SCHEDULE_LATE.as_millis() as i64;
    stage.set_wall(START);
    a.run(set("once", plan("x", 1), START));
    a.run(set("skip", Plan { missed: Missed::Skip, ..plan("x", 2) }, START));
    let seen = stage.schedules();
    stage.set_wall(START + late + 1);
    assert_eq!(a.run(fire(&seen[0], Some(START + 2 * late))), pushed(1, false));
    assert_eq!(a.run(fire(&seen[1], Some(START + 2 * late))), Fired::Skipped);
    let seen = stage.schedules();
    let times: Vec<_> = seen.iter().map(|seen| (seen.due, seen.last)).collect();
    assert_eq!(times, [(Some(START + 2 * late), Some(START)); 2]);
    stage.set_wall(START + 3 * late);
    assert_eq!(a.run(fire(&seen[1], None)), pushed(2, false), "what is a little late is not missed");
    assert_eq!(a.claim_numbers("q"), [1, 2]);
}

pub(super) fn q5_a_schedule_that_is_said_again_stays(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    stage.set_wall(START);
    assert_eq!(a.run(set("s", plan("x", 7), START + 5)), Placed::New);
    let seen = stage.schedule();
    assert_eq!(b.run(set("s", plan("x", 7), START + 9)), Placed::Same);
    assert_eq!(stage.schedule(), seen);
    // Another job at the same times: what is due stays due.
    assert_eq!(b.run(set("s", plan("x", 8), START + 9)), Placed::Changed);
    let changed = stage.schedule();
    assert_eq!((changed.due, &changed.plan), (Some(START + 5), &plan("x", 8)));
    stage.set_wall(START + 5);
    assert_eq!(a.run(fire(&seen, None)), Fired::Stale, "what was read is not so any more");
    assert_eq!(a.run(fire(&changed, Some(START + 6))), pushed(1, false));
    assert_eq!(a.run(set("s", plan("y", 8), START + 20)), Placed::Changed);
    let changed = stage.schedule();
    assert_eq!((changed.due, changed.last), (Some(START + 20), Some(START + 5)), "other times");
    let zone = Plan { zone: "Europe/Amsterdam".into(), ..plan("y", 8) };
    assert_eq!(a.run(set("s", zone, START + 30)), Placed::Changed);
    assert_eq!(stage.schedule().due, Some(START + 30));
}

pub(super) fn q5_what_is_rolled_back_was_not_done_for(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    stage.set_wall(START);
    a.run(set("s", plan("x", 7), START));
    let seen = stage.schedule();
    a.begin();
    assert_eq!(a.apply(fire(&seen, None)), pushed(1, false));
    a.rollback();
    assert_eq!(stage.schedule(), seen);
    assert_eq!(b.claim_numbers("q"), [0; 0]);
    assert_eq!(b.run(fire(&seen, None)), pushed(1, false));
}

pub(super) fn q6_a_schedule_with_a_key_does_not_pile_up(stage: &Stage<'_>) {
    let mut a = stage.join();
    stage.set_wall(START);
    let key = Some(Key { text: "k".into(), scope: Scope::Live });
    let job = NewJob { key, ..new_job(7) };
    a.run(set("s", Plan { job, ..plan("x", 7) }, START));
    assert_eq!(a.run(fire(&stage.schedule(), Some(START))), pushed(1, false));
    assert_eq!(a.run(fire(&stage.schedule(), Some(START))), pushed(1, true), "the one before is not done");
    assert_eq!(a.claim("q", 9, LONG).len(), 1);
}

pub(super) fn a_schedule_that_is_removed_is_forgotten(stage: &Stage<'_>) {
    let mut a = stage.join();
    stage.set_wall(START);
    assert!(!a.run(remove("s")));
    assert_eq!(stage.view().queue(&name("q")).unwrap(), None, "nothing was written");
    a.run(set("s", plan("x", 7), START));
    let seen = stage.schedule();
    assert!(a.run(remove("s")));
    assert!(!a.run(remove("s")));
    assert_eq!((stage.schedules(), stage.fires()), (Vec::new(), (false, None)));
    assert_eq!(a.run(fire(&seen, None)), Fired::Stale);
    // One of the same name is another one.
    assert_eq!(a.run(set("s", plan("x", 7), START)), Placed::New);
    assert_eq!(a.run(fire(&seen, None)), Fired::Stale);
}

pub(super) fn everything_about_a_schedule_survives_the_round_trip(stage: &Stage<'_>) {
    let mut a = stage.join();
    let key = Some(Key { text: "k'\"😀".into(), scope: Scope::Kept });
    let job = NewJob { priority: i64::MIN, key, max_attempts: Some(3), schema: 9, ..new_job(7) };
    let odd = Plan { cron: "0 3 * * *".into(), zone: "Europe/Amsterdam".into(), missed: Missed::Skip, job };
    a.run(set("b'😀", odd.clone(), i64::MIN));
    a.run(set("a", plan("x", 1), i64::MAX));
    let seen = stage.schedules();
    let shown: Vec<_> = seen.iter().map(|seen| (seen.name.as_str(), &seen.plan, seen.due)).collect();
    assert_eq!(shown, [("a", &plan("x", 1), Some(i64::MAX)), ("b'😀", &odd, Some(i64::MIN))]);
    assert_eq!(stage.view().schedules(&name("other")).unwrap(), []);
    let fired = a.run(fire(&seen[1], None));
    assert_eq!(fired, Fired::Skipped, "it is very late");
}

pub(super) fn g9_a_queue_has_so_many_schedules_and_no_more(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.begin();
    for number in 0..limits::SCHEDULES {
        assert_eq!(a.apply(set(&format!("s{number}"), plan("x", 1), 0)), Placed::New);
    }
    assert_eq!(a.apply(set("more", plan("x", 1), 0)), Placed::Full);
    assert_eq!(a.apply(set("s7", plan("x", 2), 0)), Placed::Changed, "what is there can be changed");
    a.commit();
    assert_eq!(stage.schedules().len(), limits::SCHEDULES);
}
