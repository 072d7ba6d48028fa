//! `queue every`, `queue schedules` and `queue unschedule`: what is pushed again and again.

use millpond::blocking::Store;
use millpond::{Missed, Push, Schedule};
use serde_json::json;

use super::args::Every;
use crate::failure::{Done, Failure, Unshown, code};
use crate::input::{Json, json_from};
use crate::show::{Listing, Show, compact_json};
use crate::time::rfc3339;

pub(crate) fn every(store: &Store, every: Every, show: &mut Show) -> Done<u8> {
    let queue = store.queue::<Json>(&every.name);
    let missed = if every.skip_missed { Missed::Skip } else { Missed::Once };
    let times = millpond::Every::cron(every.cron).zone(every.zone).missed(missed);
    let mut push = Push::new().priority(every.priority);
    if let Some(key) = every.key {
        push = push.key(key);
    }
    let data = json_from(every.data.unwrap_or_else(|| "null".into()))?;
    let changed = queue.recurring(&every.schedule, times, &data, push)?;
    let found = queue.schedules()?.into_iter().flatten().find(|found| found.name == every.schedule);
    let next = found.and_then(|found| found.due).map_or_else(|| "never".to_owned(), rfc3339);
    if show.is_json() {
        let line = json!({"queue": every.name, "schedule": every.schedule, "changed": changed, "next": next});
        show.json(&line)?;
    } else {
        let known = if changed { "" } else { " (it was there already)" };
        show.line(&format!("schedule {}{known}, next {}", every.schedule, show.moment(next)))?;
    }
    Ok(code::DONE)
}

pub(crate) fn schedules(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let mut unshown = Unshown::new("queue schedules");
    let mut listing = Listing::new(&["schedule", "times", "zone", "next", "last", "missed", "data"]);
    let mut rows = Vec::new();
    for found in store.queue::<Json>(name).schedules()? {
        let Some(Schedule { name: schedule, plan, due, last, .. }) = unshown.sound(found)? else { continue };
        let missed = match plan.missed {
            Missed::Once => "once",
            Missed::Skip => "skip",
        };
        let data = String::from_utf8_lossy(plan.job.data.bytes()).into_owned();
        if show.is_json() {
            show.json(&json!({
                "queue": name, "schedule": schedule, "cron": plan.cron, "zone": plan.zone, "missed": missed,
                "next": due.map(rfc3339), "last": last.map(rfc3339), "data": parsed(&data),
            }))?;
            continue;
        }
        let shown = |time: Option<i64>| show.moment(time.map_or_else(String::new, rfc3339));
        rows.push(vec![
            show.quarter(&schedule),
            show.quarter(&plan.cron),
            show.quarter(&plan.zone),
            shown(due),
            shown(last),
            missed.to_owned(),
            compact_json(&data),
        ]);
    }
    if !rows.is_empty() {
        show.rows(&mut listing, rows)?;
    } else if !unshown.any() && !show.is_json() {
        show.line(&format!("queue \"{name}\" has no schedules"))?;
    }
    Ok(unshown.code())
}

/// What was given, or its text if some other program has written what is no JSON.
fn parsed(data: &str) -> serde_json::Value {
    serde_json::from_str(data).unwrap_or_else(|_| data.into())
}

pub(crate) fn unschedule(store: &Store, name: &str, schedule: &str, show: &mut Show) -> Done<u8> {
    if !store.queue::<Json>(name).unschedule(schedule)? {
        let why = format!("queue \"{name}\" has no schedule \"{schedule}\"");
        return Err(Failure::Failed(why));
    }
    if show.is_json() {
        show.json(&json!({"queue": name, "schedule": schedule, "removed": true}))?;
    } else {
        show.line(&format!("schedule {schedule} removed; what it has pushed stays"))?;
    }
    Ok(code::DONE)
}
