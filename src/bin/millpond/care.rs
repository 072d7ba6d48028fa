//! `check` and `compact`: looking after a store.

use millpond::blocking::Store;
use millpond::{Compacted, Report};
use serde_json::json;

use crate::failure::{Done, code, complain};
use crate::show::{Show, bytes, count};
use crate::time::Stopwatch;

pub(crate) fn check(store: &Store, show: &mut Show) -> Done<u8> {
    let watch = Stopwatch::start();
    let report = store.check()?;
    let (Report { findings, more, records, .. }, seconds) = (&report, watch.elapsed().as_secs_f64());
    let sound = report.is_sound();
    for finding in findings {
        if show.is_json() {
            let (kind, name, sequence) = (&finding.kind, &finding.name, finding.sequence);
            show.json(&json!({"finding": finding.detail, "kind": kind, "name": name, "sequence": sequence}))?;
        } else {
            complain("check", &finding.to_string());
        }
    }
    if show.is_json() {
        let all = findings.len();
        show.json(
            &json!({"sound": sound, "findings": all, "more": more, "records": records, "seconds": seconds}),
        )?;
    } else {
        let verdict = match (sound, more) {
            (true, _) => "sound".to_owned(),
            (false, false) => count(findings.len() as u64, "finding", "findings"),
            (false, true) => format!("more than {}", count(findings.len() as u64, "finding", "findings")),
        };
        show.line(&format!("{}, in {seconds:.2} s: {verdict}", count(*records, "record", "records")))?;
    }
    Ok(if sound { code::DONE } else { code::FAILED })
}

pub(crate) fn compact(store: &Store, show: &mut Show) -> Done<u8> {
    let Compacted { before, after, .. } = store.compact()?;
    if show.is_json() {
        show.json(&json!({"before": before, "after": after}))?;
    } else {
        show.line(&format!("{} before, {} after", bytes(before), bytes(after)))?;
    }
    Ok(code::DONE)
}
