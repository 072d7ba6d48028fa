//! `projection dead` and `revive`: events that a projection has gone past without having projected them.

use millpond::blocking::{Queue, Store};
use millpond::{DeadLetter, JobRecord, JobState};
use serde_json::json;

use super::known;
use crate::failure::{Done, Failure, code};
use crate::show::{Listing, Show, count};
use crate::time::rfc3339;

/// Letters that are asked for at once.
const PAGE: u32 = 500;

pub(super) fn dead(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    known(store, name)?;
    let letters = store.projection(name).dead_letters();
    let head = &["letter", "position", "stream", "version", "type", "dead since", "reason"];
    let (mut listing, mut from, mut any) = (Listing::new(head), Some(0), false);
    while let Some(start) = from {
        let page = letters.page(Some(JobState::Dead), start, PAGE)?;
        from = page.next;
        let mut rows = Vec::new();
        for job in page.jobs {
            let job = job?;
            let letter = letters.decode(&job)?;
            if show.is_json() {
                show.json(&as_json(name, &job, &letter))?;
            } else {
                rows.push(row(&job, &letter, show));
            }
            any = true;
        }
        if !rows.is_empty() {
            show.rows(&mut listing, rows)?;
        }
    }
    if !any && !show.is_json() {
        show.line(&format!("projection \"{name}\" has no dead letters"))?;
    }
    Ok(code::DONE)
}

fn row(job: &JobRecord, letter: &DeadLetter, show: &Show) -> Vec<String> {
    vec![
        job.sequence.to_string(),
        letter.position.to_string(),
        show.quarter(&letter.stream),
        letter.version.to_string(),
        show.quarter(&letter.event_type),
        show.moment(job.ended_at.map_or_else(String::new, rfc3339)),
        show.quarter(job.reason.as_deref().unwrap_or("")),
    ]
}

fn as_json(name: &str, job: &JobRecord, letter: &DeadLetter) -> serde_json::Value {
    json!({
        "projection": name,
        "letter": job.sequence,
        "position": letter.position,
        "stream": letter.stream,
        "version": letter.version,
        "type": letter.event_type,
        "id": letter.id.to_string(),
        "generation": letter.generation,
        "dead_since": job.ended_at.map(rfc3339),
        "reason": job.reason.as_deref(),
    })
}

pub(super) fn revive(store: &Store, name: &str, letter: Option<u64>, show: &mut Show) -> Done<u8> {
    let seen = known(store, name)?;
    let letters: Queue<DeadLetter> = store.projection(name).dead_letters();
    let revived = match letter {
        None => letters.revive_all()?.0,
        Some(number) if letters.revive(number)? => 1,
        Some(number) => {
            let words = format!("projection \"{name}\" has no dead letter {number}");
            return Err(Failure::Failed(words));
        }
    };
    if show.is_json() {
        show.json(&json!({"projection": name, "revived": revived}))?;
        return Ok(code::DONE);
    }
    let what = count(revived, "event is projected", "events are projected");
    super::tell(&seen, &[format!("{what} once more")], show)
}
