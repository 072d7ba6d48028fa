//! Jobs: what is kept of them, when they become visible, what keys keep out, and what is done with many of them.

use millpond_actors::error::Error;
use millpond_actors::limits;
use millpond_actors::storage::Data;
use millpond_actors::storage::queue::{
    Configure, Finished, How, Job, Key, NewJob, Options, Page, Place, Purge, Purged, Query, Revive, Revived,
    Scope, Start, State, What, Which,
};

use super::queues::*;
use super::stage::*;

pub(super) fn starting(number: u64, start: Start) -> NewJob {
    NewJob { start, ..new_job(number) }
}

pub(super) fn keyed(number: u64, key: &str, scope: Scope) -> NewJob {
    NewJob { key: Some(Key { text: key.into(), scope }), ..new_job(number) }
}

pub(super) fn change(queue: &str) -> Configure {
    Configure { queue: target(queue), paused: None, max_attempts: None, keep_done_ms: None }
}

/// The row of the first queue of a store.
pub(super) const FIRST: Option<u64> = Some(1);

pub(super) fn revive(queue: &str, which: Which) -> Revive {
    Revive { queue: target(queue), which }
}

pub(super) fn purge(queue: &str, what: What) -> Purge {
    Purge { queue: target(queue), what }
}

pub(super) fn everything_about_a_job_survives_the_round_trip(stage: &Stage<'_>) {
    let mut a = stage.join();
    let data =
        [Data::Json("{\"n\": \"ä\\u0000\"}".into()), Data::Bincode(vec![0, 255, 7]), Data::Bincode(vec![])];
    let jobs: Vec<NewJob> = (0..)
        .zip(data)
        .map(|(at, data)| NewJob {
            data,
            schema: at,
            priority: i64::from(at) - 1,
            start: Start::Now,
            key: Some(Key { text: format!("k'\"😀{at}").into(), scope: Scope::Live }),
            max_attempts: Some(at + 1),
            origin: odd_origin([0, 210, 6][at as usize]).kept(),
            dead: None,
        })
        .collect();
    let pushed_at = stage.now().wall_ms;
    a.push("q", jobs.clone());
    stage.pass(5);
    let shown = |(sequence, job): (u64, &NewJob)| Job {
        sequence,
        state: State::Ready,
        priority: job.priority,
        attempts: 0,
        max_attempts: job.max_attempts.unwrap(),
        key: job.key.as_ref().map(|key| key.text.clone()),
        pushed_at,
        due: None,
        process: None,
        ended_at: None,
        reason: None,
        schema: job.schema,
        data: job.data.clone(),
        origin: job.origin.clone(),
    };
    let expected: Vec<Job> = (1..).zip(&jobs).map(shown).collect();
    assert_eq!(stage.jobs("q", None), expected);
    let process = Some(a.session.process());
    let claimed: Vec<Job> = a.claim("q", 9, LONG).into_iter().map(|(_, job)| job).collect();
    let expected: Vec<Job> =
        expected.into_iter().map(|job| Job { state: State::Claimed, attempts: 1, process, ..job }).collect();
    assert_eq!(claimed, expected);
    assert_eq!(stage.jobs("q", Some(State::Claimed)), expected);
}

pub(super) fn g2_a_push_is_whole(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.begin();
    a.apply(push("q", vec![new_job(1), new_job(2)]));
    a.rollback();
    assert_eq!(stage.view().queue(&name("q")), Ok(None), "no trace, not even of the queue");
    assert_eq!(a.push_numbers("q", &[3, 4]), [1, 2], "numbers are dense");
    a.begin();
    let empty = a.session.queue_push(&push("q", Vec::new()));
    assert!(matches!(empty, Err(Error::InvalidArgument { .. })), "{empty:?}");
    a.rollback();
}

pub(super) fn q5_a_delayed_job_is_never_early(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push("q", vec![starting(1, Start::After(100)), new_job(2)]);
    assert_eq!(stage.counts("q"), [1, 1, 0, 0, 0]);
    assert_eq!(stage.jobs("q", Some(State::Delayed))[0].due, Some(stage.now().wall_ms + 100));
    assert_eq!(a.claim_numbers("q"), [2]);
    stage.pass(99);
    assert_eq!(stage.outlook("q"), (false, Some(1)));
    assert_eq!(a.claim_numbers("q"), [0; 0]);
    stage.pass(1);
    assert_eq!(stage.outlook("q"), (true, None));
    assert_eq!(a.claim_numbers("q"), [1]);
}

pub(super) fn q5_a_delay_does_not_hang_on_the_wall_clock(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push("q", vec![starting(1, Start::After(100))]);
    for wall in [i64::MAX / 2, 0, -9_000_000_000_000] {
        stage.set_wall(wall);
        assert_eq!(a.claim_numbers("q"), [0; 0], "not early though it is {wall}");
    }
    stage.pass(100);
    assert_eq!(a.claim_numbers("q"), [1], "not late either");
}

pub(super) fn q5_a_time_goes_by_the_wall_clock(stage: &Stage<'_>) {
    let mut a = stage.join();
    let now = stage.now().wall_ms;
    let at = |number, ms| starting(number, Start::At(ms));
    a.push("q", vec![at(1, now + 100), at(2, now), at(3, i64::MIN), at(4, now + 3_600_000)]);
    assert_eq!(a.claim_numbers("q"), [2, 3]);
    stage.set_wall(now - 1_000);
    stage.pass(500);
    assert_eq!(a.claim_numbers("q"), [0; 0], "the clock was set back");
    assert_eq!(stage.outlook("q"), (false, Some(600)));
    stage.set_wall(now + 86_400_000);
    assert_eq!(a.claim_numbers("q"), [1, 4], "a jump past them runs each");
    stage.set_wall(now);
    stage.set_wall(now + 86_400_000);
    assert_eq!(a.claim_numbers("q"), [0; 0], "and once");
}

pub(super) fn q5_after_another_boot_a_delay_goes_by_the_wall_clock(stage: &Stage<'_>) {
    let mut a = stage.join_as(&identity("one", "first boot"));
    a.push("q", vec![starting(1, Start::After(5_000)), starting(2, Start::After(50_000))]);
    drop(a);
    // The boot clock begins anew; the wall clock goes on.
    let mut b = stage.join_as(&identity("two", "second boot"));
    stage.pass(4_999);
    assert_eq!(b.claim_numbers("q"), [0; 0]);
    assert_eq!(stage.outlook("q"), (false, Some(1)));
    stage.set_wall(stage.now().wall_ms + 1);
    assert_eq!(b.claim_numbers("q"), [1]);
    b.push("q", vec![starting(3, Start::After(1_000))]);
    stage.set_wall(stage.now().wall_ms - 1_000_000);
    stage.pass(1_000);
    assert_eq!(b.claim_numbers("q"), [3], "what is pushed now goes by this boot");
}

pub(super) fn q5_what_is_due_comes_by_its_priority(stage: &Stage<'_>) {
    let mut a = stage.join();
    let job = |number, priority, ms| NewJob { priority, ..starting(number, Start::After(ms)) };
    a.push("q", vec![job(1, 3, 10), job(2, 2, 20), job(3, 1, 30), job(4, 9, 0)]);
    stage.pass(25);
    assert_eq!(a.claim_numbers("q"), [2, 1, 4]);
}

pub(super) fn q5_a_retry_waits_as_long_as_it_is_told_to(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push_numbers("q", &[1]);
    let (receipt, _) = a.claim_one("q", LONG);
    assert_eq!(a.finish(receipt, retry(100)), Finished::Again);
    assert_eq!(stage.jobs("q", None)[0].reason.as_deref(), Some("no luck"));
    stage.pass(99);
    assert_eq!(a.claim_numbers("q"), [0; 0]);
    stage.pass(1);
    let (_, job) = a.claim_one("q", LONG);
    assert_eq!((job.attempts, job.due), (2, None));
}

pub(super) fn q4_dead_letters_are_revived(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push_numbers("q", &[1, 2, 3]);
    for (receipt, _) in a.claim("q", 3, LONG) {
        a.finish(receipt, bury("no use"));
    }
    let none = Revived { queue: FIRST, ..Revived::default() };
    let one = Revived { revived: 1, ..none };
    assert_eq!(a.run(revive("q", Which::One(2))), one);
    assert_eq!(a.run(revive("q", Which::One(2))), none, "it is not dead any more");
    assert_eq!(a.run(revive("q", Which::One(99))), none);
    let job = &stage.jobs("q", Some(State::Ready))[0];
    assert_eq!((job.attempts, job.reason.as_deref(), job.ended_at), (0, None, None));
    assert_eq!(a.run(revive("q", Which::From(2))), one);
    assert_eq!(a.run(revive("never", Which::From(0))), Revived::default());
    assert_eq!(a.claim_numbers("q"), [2, 3], "in their old places");
}

pub(super) fn q4_a_job_may_be_a_dead_letter_from_the_beginning(stage: &Stage<'_>) {
    let mut a = stage.join();
    let key = Some(Key { text: "k".into(), scope: Scope::Kept });
    let dead = NewJob { key, dead: Some("no use".into()), ..new_job(1) };
    a.push("q", vec![dead.clone(), new_job(2)]);
    let again = a.run(push("q", vec![dead]));
    assert_eq!(again.places, [Place { sequence: 1, existed: true }]);
    let job = stage.jobs("q", Some(State::Dead)).remove(0);
    let ended_at = Some(stage.now().wall_ms);
    assert_eq!((job.attempts, job.reason.as_deref(), job.ended_at), (0, Some("no use"), ended_at));
    assert_eq!(a.claim_numbers("q"), [2], "nobody has ever been given it");
    a.run(revive("q", Which::One(1)));
    assert_eq!(a.claim_numbers("q"), [1]);
}

pub(super) fn g9_many_are_revived_and_removed_in_steps(stage: &Stage<'_>) {
    let mut a = stage.join();
    let (most, over) = (u64::from(limits::JOBS_AT_ONCE), 5);
    let numbers: Vec<u64> = (1..=most + over).collect();
    a.push_numbers("q", &numbers);
    a.begin();
    for (receipt, _) in a.apply(claim("q", u32::MAX, LONG)).jobs {
        a.apply(finish(receipt, bury("no use")));
    }
    a.commit();
    let first = a.run(revive("q", Which::From(0)));
    assert_eq!(first, Revived { queue: FIRST, revived: most, kept_out: 0, next: Some(most + 1) });
    let rest = a.run(revive("q", Which::From(most + 1)));
    assert_eq!(rest, Revived { queue: FIRST, revived: over, kept_out: 0, next: None });
    let all = purge("q", What::All(State::Ready));
    assert_eq!(a.run(all.clone()), Purged { queue: FIRST, removed: most, one: None, more: true });
    assert_eq!(a.run(all), Purged { queue: FIRST, removed: over, one: None, more: false });
}

pub(super) fn jobs_are_removed_on_request(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push("q", vec![new_job(1), new_job(2), starting(3, Start::After(9)), starting(4, Start::At(i64::MAX))]);
    let (receipt, _) = a.claim_one("q", LONG);
    let removed = |removed| Purged { queue: FIRST, removed, ..Purged::default() };
    assert_eq!(a.run(purge("q", What::All(State::Delayed))), removed(2));
    assert_eq!(a.run(purge("q", What::All(State::Dead))), removed(0));
    assert_eq!(
        a.run(purge("q", What::One(1))),
        Purged { one: Some(1), ..removed(1) },
        "even what is worked on"
    );
    assert_eq!(a.run(purge("q", What::One(1))), removed(0));
    assert_eq!(a.run(purge("never", What::One(1))), Purged::default());
    assert_eq!(a.finish(receipt, How::Done), Finished::Stale);
    assert_eq!(a.claim_numbers("q"), [2]);
    assert_eq!(a.push_numbers("q", &[5]), [5], "numbers are never given twice");
}

pub(super) fn d16_options_live_in_the_row(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let before = a.run(change("q")).options;
    assert_eq!(before, Options { paused: false, max_attempts: limits::MAX_ATTEMPTS, keep_done_ms: 0 });
    let options = Options { paused: true, max_attempts: 2, keep_done_ms: 7 };
    let some = Configure { paused: Some(true), max_attempts: Some(2), keep_done_ms: Some(7), ..change("q") };
    assert_eq!(a.run(some).options, options);
    assert_eq!(b.run(change("q")).options, options);
    assert_eq!(stage.numbers_of("q").options, options);
    b.push("q", vec![new_job(1), NewJob { max_attempts: Some(9), ..new_job(2) }]);
    let most: Vec<u32> = stage.jobs("q", None).iter().map(|job| job.max_attempts).collect();
    assert_eq!(most, [2, 9]);
}

pub(super) fn a_paused_queue_gives_nothing_and_takes_everything(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.push_numbers("q", &[1, 2]);
    let (receipt, _) = a.claim_one("q", LONG);
    b.run(Configure { paused: Some(true), ..change("q") });
    assert_eq!(a.claim("q", 9, LONG), []);
    assert_eq!(stage.outlook("q"), (false, None));
    assert_eq!(a.push_numbers("q", &[3]), [3]);
    assert_eq!(a.finish(receipt, How::Done), Finished::Done);
    b.run(Configure { paused: Some(false), ..change("q") });
    assert_eq!(stage.outlook("q"), (true, None));
    assert_eq!(a.claim_numbers("q"), [2, 3]);
}

pub(super) fn what_is_done_is_kept_as_long_as_it_should(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(Configure { keep_done_ms: Some(100), ..change("q") });
    a.push_numbers("q", &[1, 2, 3, 4, 5, 6, 7]);
    let mut end = |most| {
        for (receipt, _) in a.claim("q", most, LONG) {
            assert_eq!(a.finish(receipt, How::Done), Finished::Done);
        }
    };
    end(5);
    let done = &stage.jobs("q", Some(State::Done))[0];
    assert_eq!((number(done), done.ended_at), (1, Some(stage.now().wall_ms)));
    stage.pass(99);
    end(1);
    assert_eq!(stage.counts("q")[4], 6);
    stage.pass(1);
    end(1);
    let left: Vec<u64> = stage.jobs("q", Some(State::Done)).iter().map(number).collect();
    assert_eq!(left, [5, 6, 7], "a few go with each that comes, the oldest first");
}

pub(super) fn pages_of_jobs_join_without_gap_or_repetition(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push_numbers("q", &[1, 2, 3, 4, 5, 6, 7]);
    for (receipt, job) in a.claim("q", 7, LONG) {
        a.finish(receipt, if number(&job).is_multiple_of(2) { bury("even") } else { retry(0) });
    }
    let mut view = stage.view();
    let mut paged = |state, limit| {
        let mut query = Query { queue: name("q"), state, from: 0, limit };
        let mut numbers: Vec<u64> = Vec::new();
        loop {
            let Page { jobs, next } = view.jobs(&query).unwrap();
            assert!(jobs.len() <= limit as usize);
            numbers.extend(jobs.iter().map(|job| number(job.as_ref().unwrap())));
            let Some(from) = next else { return numbers };
            query.from = from;
        }
    };
    for limit in [1, 2, 3, 7, 100] {
        assert_eq!(paged(None, limit), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(paged(Some(State::Dead), limit), [2, 4, 6]);
        assert_eq!(paged(Some(State::Done), limit), [0; 0]);
    }
    let never = Query { queue: name("never"), state: None, from: 0, limit: 9 };
    assert_eq!(stage.view().jobs(&never), Ok(Page::default()));
}

pub(super) fn a_page_of_jobs_ends_early_for_its_size(stage: &Stage<'_>) {
    let mut a = stage.join();
    let large = |_| NewJob { data: Data::Json("7".repeat(limits::JOB_BYTES)), ..new_job(0) };
    a.push("q", (0..4).map(large).collect());
    let query = Query { queue: name("q"), state: None, from: 0, limit: 100 };
    let Page { jobs, next } = stage.view().jobs(&query).unwrap();
    assert_eq!((jobs.len() * limits::JOB_BYTES, next), (limits::PAGE_BYTES, Some(3)));
}

pub(super) fn queues_are_listed_by_name(stage: &Stage<'_>) {
    let mut a = stage.join();
    for queue in ["b", "a", "c"] {
        a.push_numbers(queue, &[1]);
    }
    let mut view = stage.view();
    let mut names = |after: Option<&str>, limit| -> Vec<String> {
        view.queues(after, limit).unwrap().into_iter().map(|queue| queue.name).collect()
    };
    assert_eq!(names(None, 2), ["a", "b"]);
    assert_eq!(names(Some("b"), 2), ["c"]);
    assert_eq!(stage.view().queue(&name("never")), Ok(None));
    let summary = stage.view().summary(stage.now()).unwrap();
    assert_eq!((summary.queues, summary.jobs, summary.jobs_dead), (3, 3, 0));
}
