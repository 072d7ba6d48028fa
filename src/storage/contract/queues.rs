//! Queues: in which order jobs are claimed, who may finish them, and what becomes of those whose process dies or stops.

use millpond_actors::limits;
use millpond_actors::storage::Data;
use millpond_actors::storage::queue::{
    Claim, Claimed, DIED, EXPIRED, Finish, Finished, How, Job, LEFT, NewJob, Numbers, Outlook, Page, Push,
    Pushed, Query, Recall, Receipt, Start, State,
};

use super::stage::*;

/// A job with nothing special about it, recognisable by its number.
pub(super) fn new_job(number: u64) -> NewJob {
    NewJob {
        data: Data::Json(number.to_string()),
        schema: 1,
        priority: 0,
        start: Start::Now,
        key: None,
        max_attempts: None,
        origin: None,
        dead: None,
    }
}

pub(super) fn push(queue: &str, jobs: Vec<NewJob>) -> Push {
    Push { queue: target(queue), jobs }
}

pub(super) fn claim(queue: &str, most: u32, ttl_ms: u64) -> Claim {
    Claim { queue: target(queue), most, ttl_ms }
}

pub(super) fn finish(receipt: Receipt, how: How) -> Finish {
    Finish { receipt, how }
}

pub(super) fn retry(delay_ms: u64) -> How {
    How::Retry { delay_ms, reason: "no luck".into() }
}

pub(super) fn bury(reason: &str) -> How {
    How::Bury { reason: reason.into() }
}

/// The number that was given to [`new_job`].
pub(super) fn number(job: &Job) -> u64 {
    std::str::from_utf8(job.data.bytes()).unwrap().parse().unwrap()
}

impl Player<'_, '_> {
    /// Pushes; the numbers of the jobs in the queue.
    pub(super) fn push(&mut self, queue: &str, jobs: Vec<NewJob>) -> Vec<u64> {
        let Pushed { places, .. } = self.run(push(queue, jobs));
        places.into_iter().map(|place| place.sequence).collect()
    }

    /// Pushes ordinary jobs.
    pub(super) fn push_numbers(&mut self, queue: &str, numbers: &[u64]) -> Vec<u64> {
        self.push(queue, numbers.iter().copied().map(new_job).collect())
    }

    /// Claims what can be claimed.
    pub(super) fn claim(&mut self, queue: &str, most: u32, ttl_ms: u64) -> Vec<(Receipt, Job)> {
        self.run(claim(queue, most, ttl_ms)).jobs
    }

    /// Claims one job that must be there.
    pub(super) fn claim_one(&mut self, queue: &str, ttl_ms: u64) -> (Receipt, Job) {
        self.claim(queue, 1, ttl_ms).pop().expect("there is a job")
    }

    /// The numbers of all jobs that can be claimed, in their order.
    pub(super) fn claim_numbers(&mut self, queue: &str) -> Vec<u64> {
        self.claim(queue, 100, LONG).iter().map(|(_, job)| number(job)).collect()
    }

    pub(super) fn finish(&mut self, receipt: Receipt, how: How) -> Finished {
        self.run(finish(receipt, how))
    }
}

impl Stage<'_> {
    /// All jobs of a queue.
    pub(super) fn jobs(&self, queue: &str, state: Option<State>) -> Vec<Job> {
        let query = Query { queue: name(queue), state, from: 0, limit: 1_000 };
        let Page { jobs, next } = self.view().jobs(&query).unwrap();
        assert_eq!(next, None);
        jobs.into_iter().map(Result::unwrap).collect()
    }

    pub(super) fn numbers_of(&self, queue: &str) -> Numbers {
        self.view().queue(&name(queue)).unwrap().unwrap()
    }

    /// Ready, delayed, claimed, dead, done.
    pub(super) fn counts(&self, queue: &str) -> [u64; 5] {
        let Numbers { ready, delayed, claimed, dead, done, .. } = self.numbers_of(queue);
        [ready, delayed, claimed, dead, done]
    }

    /// Whether a claim would do something, and else when it is worth to look again.
    pub(super) fn outlook(&self, queue: &str) -> (bool, Option<u64>) {
        let outlook = self.view().queue_outlook(&name(queue), self.now()).unwrap();
        outlook.map_or((false, None), |Outlook { claimable, next_ms, .. }| (claimable, next_ms))
    }
}

/// Nobody would wait for this time to live.
pub(super) const LONG: u64 = 600_000;

pub(super) fn q3_jobs_come_in_the_order_of_pushing(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    assert_eq!(a.push_numbers("q", &[1, 2]), [1, 2]);
    // The order of names in a clock's eyes: the reference orders by this, and reverses it.
    stage.set_wall(1_000);
    assert_eq!(b.push_numbers("q", &[3]), [3]);
    assert_eq!(a.push_numbers("other", &[9]), [1], "each queue counts for itself");
    assert_eq!(b.claim_numbers("q"), [1, 2, 3]);
    assert_eq!(b.claim_numbers("q"), [0; 0]);
    assert_eq!(b.claim("never", 1, LONG), []);
}

pub(super) fn q3_the_lower_priority_comes_first(stage: &Stage<'_>) {
    let mut a = stage.join();
    let with = |number, priority| NewJob { priority, ..new_job(number) };
    let all = [(1, 0), (2, i64::MAX), (3, -1), (4, i64::MIN), (5, 0), (6, -1), (7, 1)];
    a.push("q", all.iter().map(|(number, priority)| with(*number, *priority)).collect());
    assert_eq!(a.claim_numbers("q"), [4, 3, 6, 1, 5, 7, 2]);
}

pub(super) fn q3_a_claim_of_many_is_as_many_claims(stage: &Stage<'_>) {
    let mut a = stage.join();
    let with = |number, priority| NewJob { priority, ..new_job(number) };
    a.push("q", vec![with(1, 5), with(2, 0), with(3, -5)]);
    a.begin();
    let first: Vec<u64> = a.apply(claim("q", 2, LONG)).jobs.iter().map(|(_, job)| number(job)).collect();
    a.apply(push("q", vec![with(4, -9)]));
    let then: Vec<u64> = a.apply(claim("q", 2, LONG)).jobs.iter().map(|(_, job)| number(job)).collect();
    a.commit();
    assert_eq!((first, then), (vec![3, 2], vec![4, 1]));
    assert_eq!(a.claim("q", 0, LONG), []);
}

pub(super) fn q3_a_job_that_is_tried_again_keeps_its_place(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push_numbers("q", &[1, 2, 3]);
    let (receipt, _) = a.claim_one("q", LONG);
    assert_eq!(a.finish(receipt, retry(0)), Finished::Again);
    assert_eq!(a.claim_numbers("q"), [1, 2, 3]);
}

pub(super) fn q1_what_is_not_committed_takes_nothing_out(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push_numbers("q", &[1]);
    a.begin();
    assert_eq!(a.apply(claim("q", 1, LONG)).jobs.len(), 1);
    a.rollback();
    let (receipt, job) = a.claim_one("q", LONG);
    assert_eq!(job.attempts, 1, "the other attempt never was");
    a.begin();
    assert_eq!(a.apply(finish(receipt, How::Done)), Finished::Done);
    a.rollback();
    assert_eq!(stage.counts("q"), [0, 0, 1, 0, 0]);
    assert_eq!(a.finish(receipt, How::Done), Finished::Done);
    assert_eq!(stage.counts("q"), [0; 5]);
}

pub(super) fn q2_a_job_is_claimed_by_one(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.push_numbers("q", &[1, 2]);
    a.begin();
    let first = a.apply(claim("q", 1, LONG));
    let second = a.apply(claim("q", 1, LONG));
    assert_eq!((number(&first.jobs[0].1), number(&second.jobs[0].1)), (1, 2), "within one group too");
    a.commit();
    assert_eq!(b.run(claim("q", 9, LONG)), Claimed { queue: first.queue, jobs: Vec::new() });
}

pub(super) fn q2_a_job_is_finished_once(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push_numbers("q", &[1, 2, 3, 4]);
    for how in [How::Done, retry(0), bury("no use"), How::GiveBack] {
        let (receipt, _) = a.claim_one("q", LONG);
        assert_ne!(a.finish(receipt, how), Finished::Stale);
        let before = stage.jobs("q", None);
        for again in [How::Done, retry(5), bury("again"), How::GiveBack] {
            assert_eq!(a.finish(receipt, again), Finished::Stale);
        }
        assert_eq!(stage.jobs("q", None), before, "nothing was changed");
    }
}

pub(super) fn q2_a_claim_is_its_own_and_no_others(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.push_numbers("q", &[1, 2]);
    let (first, _) = a.claim_one("q", LONG);
    let (second, _) = b.claim_one("q", LONG);
    assert!(second.token > first.token, "tokens grow");
    let Receipt { queue, sequence, token } = first;
    for wrong in [
        Receipt { token: token + 1, ..first },
        Receipt { token: 0, ..first },
        Receipt { sequence: second.sequence, ..first },
        Receipt { queue: queue + 1, ..first },
    ] {
        assert_eq!(a.finish(wrong, How::Done), Finished::Stale);
    }
    assert_eq!(b.finish(first, How::Done), Finished::Stale, "of another process");
    assert_eq!(a.finish(Receipt { queue, sequence, token }, How::Done), Finished::Done);
    assert_eq!(b.finish(second, How::Done), Finished::Done);
}

pub(super) fn l2_tokens_of_claims_and_locks_are_of_one_counter(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push_numbers("q", &[1, 2]);
    let tokens = [
        a.claim_one("q", LONG).0.token,
        a.hold("l", LONG).token,
        a.claim_one("q", LONG).0.token,
        a.hold("m", LONG).token,
    ];
    assert!(tokens.is_sorted_by(|before, after| before < after), "{tokens:?}");
}

pub(super) fn q4_an_attempt_counts_from_the_claim(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push("q", vec![NewJob { max_attempts: Some(3), ..new_job(1) }]);
    for attempt in 1..=3 {
        let (receipt, job) = a.claim_one("q", LONG);
        assert_eq!((job.attempts, job.max_attempts, job.state), (attempt, 3, State::Claimed));
        let end = if attempt < 3 { Finished::Again } else { Finished::Dead };
        assert_eq!(a.finish(receipt, retry(0)), end);
    }
    assert_eq!(a.claim_numbers("q"), [0; 0]);
    let dead = &stage.jobs("q", Some(State::Dead))[0];
    assert_eq!((number(dead), dead.attempts), (1, 3), "payload and count are kept");
    assert_eq!((dead.reason.as_deref(), dead.ended_at), (Some("no luck"), Some(stage.now().wall_ms)));
}

pub(super) fn q4_what_nobody_took_does_not_count(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push("q", vec![NewJob { max_attempts: Some(1), ..new_job(1) }]);
    for _ in 0..3 {
        let (receipt, job) = a.claim_one("q", LONG);
        assert_eq!(job.attempts, 1);
        assert_eq!(a.finish(receipt, How::GiveBack), Finished::Again);
    }
    assert_eq!(stage.jobs("q", None)[0].attempts, 0);
}

pub(super) fn q4_what_the_dead_had_claimed_is_visible_at_once(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    b.push_numbers("q", &[1, 2]);
    b.beat();
    let (receipt, _) = a.claim_one("q", LONG);
    assert_eq!(stage.outlook("other"), (false, None));
    drop(a);
    assert_eq!(stage.outlook("q"), (true, None));
    let (again, job) = b.claim_one("q", LONG);
    assert_eq!((again.sequence, job.attempts), (receipt.sequence, 2));
    assert_eq!(job.reason.as_deref(), Some(DIED));
    assert_eq!(b.finish(receipt, How::Done), Finished::Stale);
}

pub(super) fn q4_a_newcomer_gives_up_what_the_dead_had_claimed(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push("q", vec![new_job(1), NewJob { max_attempts: Some(1), ..new_job(2) }, new_job(3)]);
    assert_eq!(a.claim("q", 2, LONG).len(), 2);
    drop(a);
    let mut b = stage.join();
    b.beat();
    assert_eq!(stage.counts("q"), [2, 0, 0, 1, 0]);
    let dead = &stage.jobs("q", Some(State::Dead))[0];
    assert_eq!((number(dead), dead.reason.as_deref()), (2, Some(DIED)));
}

pub(super) fn q4_a_job_that_kills_its_process_comes_to_an_end(stage: &Stage<'_>) {
    let mut b = stage.join();
    b.push("q", vec![NewJob { max_attempts: Some(4), ..new_job(1) }]);
    for attempt in 1..=4 {
        let mut poisoned = stage.join();
        assert_eq!(poisoned.claim_one("q", LONG).1.attempts, attempt);
        drop(poisoned);
    }
    assert_eq!(stage.outlook("q"), (true, None), "there is something to be buried");
    assert_eq!(b.claim("q", 1, LONG), []);
    assert_eq!(stage.counts("q"), [0, 0, 0, 1, 0]);
}

pub(super) fn q4_a_claim_ends_exactly_at_its_end(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.push_numbers("q", &[1]);
    let (receipt, _) = a.claim_one("q", 100);
    stage.pass(99);
    assert_eq!(stage.outlook("q"), (false, Some(1)));
    assert_eq!(b.claim("q", 1, 100), []);
    stage.pass(1);
    assert_eq!(stage.outlook("q"), (true, None));
    let (_, job) = b.claim_one("q", 100);
    assert_eq!((job.attempts, job.reason.as_deref()), (2, Some(EXPIRED)));
    for how in [How::Done, retry(0), bury("late"), How::GiveBack] {
        assert_eq!(a.finish(receipt, how), Finished::Stale, "a zombie is refused");
    }
    assert_eq!(stage.counts("q"), [0, 0, 1, 0, 0]);
}

pub(super) fn q4_a_beat_prolongs_a_claim(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.push_numbers("q", &[1]);
    let (receipt, _) = a.claim_one("q", 100);
    for _ in 0..5 {
        stage.pass(60);
        a.beat();
        assert_eq!(b.claim("q", 1, 100), []);
    }
    assert_eq!(a.finish(receipt, How::Done), Finished::Done);
}

pub(super) fn q4_each_claim_ends_alone(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.push_numbers("q", &[1, 2]);
    let (short, _) = a.claim_one("q", 100);
    let (long, _) = a.claim_one("q", 1_000);
    stage.pass(500);
    assert_eq!(b.claim_numbers("q"), [1]);
    assert_eq!(a.finish(short, How::Done), Finished::Stale);
    assert_eq!(a.finish(long, How::Done), Finished::Done);
}

pub(super) fn q4_silence_gives_up_what_expired(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.push_numbers("q", &[1]);
    let (receipt, _) = a.claim_one("q", 100);
    stage.pass(100);
    assert_eq!(a.finish(receipt, How::Done), Finished::Stale, "though nobody has taken it");
    let (_, job) = a.claim_one("q", 100);
    assert_eq!((job.attempts, job.reason.as_deref()), (2, Some(EXPIRED)));
}

pub(super) fn q4_a_leaving_process_gives_up_its_jobs(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.push_numbers("q", &[1]);
    a.claim_one("q", LONG);
    assert!(a.session.take_turn(false).unwrap());
    a.session.leave(stage.now()).unwrap();
    a.session.leave_turn();
    assert_eq!(stage.counts("q"), [1, 0, 0, 0, 0]);
    let (_, job) = b.claim_one("q", LONG);
    assert_eq!((job.attempts, job.reason.as_deref()), (2, Some(LEFT)));
}

pub(super) fn q4_claims_of_another_boot_are_void(stage: &Stage<'_>) {
    let mut a = stage.join_as(&identity("one", "first boot"));
    a.push_numbers("q", &[1]);
    let (receipt, _) = a.claim_one("q", LONG);
    let mut b = stage.join_as(&identity("two", "second boot"));
    let (again, _) = b.claim_one("q", LONG);
    assert_eq!(again.sequence, receipt.sequence);
}

pub(super) fn a_process_recalls_its_own_claims(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let recall = |queue: &str| Recall { queue: target(queue) };
    assert_eq!(a.run(recall("q")).claims, []);
    a.push_numbers("q", &[1, 2, 3]);
    a.push_numbers("r", &[4]);
    let first = a.claim_one("q", LONG).0;
    b.claim_one("q", LONG);
    let third = a.claim_one("q", LONG).0;
    a.claim_one("r", LONG);
    assert_eq!(a.run(recall("q")).claims, [first, third]);
    a.finish(first, retry(0));
    assert_eq!(a.run(recall("q")).claims, [third]);
}

pub(super) fn processes_show_how_many_jobs_they_have(stage: &Stage<'_>) {
    let (mut a, b) = (stage.join(), stage.join());
    a.push_numbers("q", &[1, 2]);
    a.claim("q", 2, LONG);
    let jobs = || -> Vec<u64> {
        stage.view().processes(stage.now()).unwrap().iter().map(|process| process.jobs).collect()
    };
    assert_eq!(jobs(), [2, 0]);
    drop(a);
    assert_eq!(jobs(), [0, 0], "the dead have none");
    drop(b);
}

pub(super) fn g9_a_claim_of_all_is_bounded_by_what_is_wanted(stage: &Stage<'_>) {
    let mut a = stage.join();
    let numbers: Vec<u64> = (0..u64::from(limits::JOBS_PER_CLAIM) + 9).collect();
    a.push_numbers("q", &numbers);
    assert_eq!(a.claim("q", limits::JOBS_PER_CLAIM, LONG).len(), limits::JOBS_PER_CLAIM as usize);
    assert_eq!(stage.counts("q")[0], 9);
}
