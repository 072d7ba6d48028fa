//! `queue push`: one job, or a job for each line of standard input.

use std::io::{self, BufRead, BufReader, Read as _};

use millpond::Push as How;
use millpond::blocking::{Queue, Store};
use serde_json::json;

use super::args::Push;
use crate::failure::{Done, Failure, code};
use crate::input::{Json, json_from, parse_json};
use crate::show::{Show, count};

/// Lines that are pushed in one commit at most.
const LINES: usize = 1_000;

/// Bytes after which a push is made whatever comes: far less than the most that one may hold.
const BYTES: usize = 8 << 20;

/// Longest line: no job is larger, whatever white space stands around it.
const LINE_BYTES: u64 = 5 << 20;

pub(crate) fn push(store: &Store, push: Push, show: &mut Show) -> Done<u8> {
    let mut how = How::new().priority(push.priority);
    if let Some(delay) = push.delay {
        how = how.delay(delay);
    }
    let queue = store.queue::<Json>(&push.name);
    if push.lines {
        if push.data.is_some_and(|data| data != "-") {
            return Err(Failure::Usage("with --lines the jobs are read from standard input".into()));
        }
        return push_lines(&queue, &push.name, &how, show);
    }
    if let Some(key) = push.key {
        how = how.key(key);
    }
    let pushed = queue.push_with(&json_from(push.data.unwrap_or_else(|| "null".into()))?, how)?;
    if show.is_json() {
        let line = json!({"queue": push.name, "sequence": pushed.sequence, "existed": pushed.existed});
        show.json(&line)?;
    } else {
        let known = if pushed.existed { " (it was there already)" } else { "" };
        show.line(&format!("job {}{known}", pushed.sequence))?;
    }
    Ok(code::DONE)
}

fn push_lines(queue: &Queue<Json>, name: &str, how: &How, show: &mut Show) -> Done<u8> {
    let mut lines = BufReader::with_capacity(1 << 16, io::stdin().lock());
    let (mut number, mut pushed) = (0, 0);
    let (mut jobs, mut bytes): (Vec<(Json, How)>, usize) = (Vec::new(), 0);
    loop {
        number += 1;
        let line = match next(&mut lines, number) {
            Ok(line) => line,
            Err(why) => return Err(stop(push_all(queue, jobs, &mut pushed), &why, pushed)),
        };
        let end = line.is_none();
        if let Some(Some(job)) = line {
            bytes += job.get().len();
            jobs.push((job, how.clone()));
        }
        // What has come so far is not kept waiting for what may come later.
        let waits = !lines.buffer().contains(&b'\n');
        if end || waits || jobs.len() == LINES || bytes > BYTES {
            let step = push_all(queue, std::mem::take(&mut jobs), &mut pushed);
            bytes = 0;
            if let Err(error) = step {
                let up_to = format!("the jobs up to line {number}");
                return Err(Failure::Failed(format!("{up_to}: {error}; {}", before(pushed))));
            }
        }
        if end {
            break;
        }
    }
    if show.is_json() {
        show.json(&json!({"queue": name, "pushed": pushed}))?;
    } else {
        show.line(&format!("{} pushed", count(pushed, "job", "jobs")))?;
    }
    Ok(code::DONE)
}

/// The next line: `None` at the end, `Some(None)` if it is empty.
fn next(lines: &mut impl BufRead, number: u64) -> Result<Option<Option<Json>>, String> {
    let mut line = Vec::new();
    let read = lines.take(LINE_BYTES).read_until(b'\n', &mut line);
    let bad = |why: &str| format!("line {number}: {why}");
    match read.map_err(|error| format!("cannot read standard input: {error}"))? {
        0 => return Ok(None),
        read if read as u64 == LINE_BYTES => return Err(bad("it is longer than any job may be")),
        _ => {}
    }
    let line = String::from_utf8(line).map_err(|_| bad("it is not UTF-8"))?;
    match line.trim() {
        "" => Ok(Some(None)),
        text => parse_json(text).map(|job| Some(Some(job))).map_err(|why| bad(&why)),
    }
}

fn push_all(queue: &Queue<Json>, jobs: Vec<(Json, How)>, pushed: &mut u64) -> millpond::Result<()> {
    *pushed += queue.push_all(jobs)?.len() as u64;
    Ok(())
}

/// Why it ends at a line: the lines above it were good and are pushed first, if they can be.
fn stop(above: millpond::Result<()>, why: &str, pushed: u64) -> Failure {
    let above = above.err().map_or_else(String::new, |error| format!("; the lines above it: {error}"));
    Failure::Failed(format!("{why}{above}; {}", before(pushed)))
}

fn before(pushed: u64) -> String {
    format!("{} before are pushed", count(pushed, "job", "jobs"))
}
