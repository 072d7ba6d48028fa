//! `status`: what is in the store, and who uses it.

use millpond::blocking::Store;
use millpond::{Location, Process, Summary};
use serde_json::json;

use crate::failure::{Done, code};
use crate::show::{Show, bytes, count, grouped, span};

/// Categories that are shown: the largest.
const CATEGORIES: usize = 10;

pub(crate) fn status(store: &Store, show: &mut Show) -> Done<u8> {
    let inspect = store.inspect();
    let summary = inspect.summary()?;
    let mut processes = inspect.processes()?;
    // Whoever asks is in the store too, for as long as it takes to ask. That is no news.
    processes.retain(|process| process.id != inspect.process());
    let file = match store.location() {
        Location::File(path) => path.display().to_string(),
        _ => "memory".to_owned(),
    };
    if show.is_json() {
        show.json(&as_json(&file, &summary, &processes))?;
    } else {
        print(&file, &summary, &processes, show)?;
    }
    Ok(code::DONE)
}

fn largest(summary: &Summary) -> Vec<&(String, u64)> {
    let mut categories: Vec<_> = summary.categories.iter().collect();
    categories.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    categories.truncate(CATEGORIES);
    categories
}

fn as_json(file: &str, summary: &Summary, processes: &[Process]) -> serde_json::Value {
    let categories: Vec<_> = largest(summary)
        .into_iter()
        .map(|(category, streams)| json!({"category": category, "streams": streams}))
        .collect();
    let processes: Vec<_> = processes
        .iter()
        .map(|process| {
            json!({
                "id": process.id,
                "pid": process.identity.pid,
                "program": process.identity.program,
                "host": process.identity.host,
                "alive": process.alive,
                "silent_ms": process.silent_ms,
            })
        })
        .collect();
    json!({
        "file": file,
        "file_bytes": summary.file_bytes,
        "log_bytes": summary.log_bytes,
        "schema": summary.schema,
        "streams": summary.streams,
        "events": summary.events,
        "head": summary.head,
        "snapshots": summary.snapshots,
        "locks_held": summary.locks_held,
        "tickets_waiting": summary.tickets_waiting,
        "categories": categories,
        "processes": processes,
    })
}

fn print(file: &str, summary: &Summary, processes: &[Process], show: &mut Show) -> Done<()> {
    let log = bytes(summary.log_bytes);
    let facts = [
        ("store", file.to_owned()),
        ("size", format!("{}, and {log} in the log beside it", bytes(summary.file_bytes))),
        ("schema", summary.schema.to_string()),
        ("events", format!("{} in {}", grouped(summary.events), count(summary.streams, "stream", "streams"))),
        ("head", format!("position {}", summary.head)),
        ("snapshots", grouped(summary.snapshots)),
        ("locks", format!("{} held, {} waiting", summary.locks_held, summary.tickets_waiting)),
        (
            "processes",
            if processes.is_empty() { "none but this".into() } else { grouped(processes.len() as u64) },
        ),
    ];
    for (name, fact) in facts {
        show.line(&format!("{name:<11}{fact}"))?;
    }
    print_categories(summary, show)?;
    if !processes.is_empty() {
        show.line("")?;
        let rows = processes.iter().map(process_row).collect();
        show.table(&["process", "program", "pid", "host", "state", "last heard of"], rows)?;
    }
    Ok(())
}

fn print_categories(summary: &Summary, show: &mut Show) -> Done<()> {
    if summary.categories.is_empty() {
        return Ok(());
    }
    let row = |(category, streams): &(String, u64)| vec![category.clone(), grouped(*streams)];
    show.line("")?;
    show.table(&["category", "streams"], largest(summary).into_iter().map(row).collect())?;
    let more = summary.categories.len().saturating_sub(CATEGORIES);
    if more > 0 {
        show.line(&format!("and {}", count(more as u64, "more category", "more categories")))?;
    }
    Ok(())
}

fn process_row(process: &Process) -> Vec<String> {
    let identity = &process.identity;
    vec![
        process.id.to_string(),
        identity.program.clone(),
        identity.pid.to_string(),
        identity.host.clone(),
        if process.alive { "alive" } else { "dead" }.to_owned(),
        format!("{} ago", span(process.silent_ms)),
    ]
}
