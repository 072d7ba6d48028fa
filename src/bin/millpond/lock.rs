//! `lock list` and `show`; `run` is a file of its own.

mod run;

use millpond::blocking::Store;
use millpond::{Holder, LockLine};
use serde_json::json;

pub(crate) use self::run::{not_run, run};
use crate::failure::{Done, code};
use crate::pages;
use crate::show::{Show, count, span};

/// Locks that are asked for at once.
const PAGE: u32 = 1_000;

/// All locks that are held or waited for.
pub(crate) fn lines(store: &Store) -> Done<Vec<LockLine>> {
    pages::all(PAGE, |line: &LockLine| &line.name, |after| store.inspect().locks(after, PAGE))
}

pub(crate) fn list(store: &Store, show: &mut Show) -> Done<u8> {
    let lines = lines(store)?;
    if show.is_json() {
        for line in &lines {
            show.json(&as_json(line))?;
        }
    } else if lines.is_empty() {
        show.line("no lock is held")?;
    } else {
        table(&lines, show)?;
    }
    Ok(code::DONE)
}

/// Locks for people, a row each.
pub(crate) fn table(lines: &[LockLine], show: &mut Show) -> Done<()> {
    let row = |line: &LockLine| {
        // Of several holders each has facts of its own, and `lock show` tells them.
        let alone = if line.holders.len() == 1 { line.holders.first() } else { None };
        let fact = |of: fn(&Holder) -> String| alone.map_or_else(String::new, of);
        let holder = match (alone, line.holders.len()) {
            (Some(holder), _) => name_holder(holder),
            (None, 0) => "nobody".to_owned(),
            (None, holders) => format!("{holders} holders"),
        };
        vec![
            show.quarter(&line.name),
            used(line),
            fact(|holder| holder.grant.token.to_string()),
            fact(|holder| span(holder.held_ms)),
            fact(|holder| span(holder.ttl_ms)),
            fact(lease_left),
            line.waiting.to_string(),
            holder,
        ]
    };
    let rows = lines.iter().map(row).collect();
    show.table(&["lock", "in use", "token", "held for", "ttl", "lease left", "waiting", "holder"], rows)?;
    Ok(())
}

pub(crate) fn show(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let found = store.inspect().lock(name)?.filter(|line| !line.holders.is_empty() || line.waiting > 0);
    match (&found, show.is_json()) {
        (Some(line), true) => show.json(&as_json(line))?,
        (None, true) => {
            show.json(&json!({"name": name, "holder": null, "holders": [], "waiting": 0}))?;
        }
        (None, false) => show.line(&format!("lock \"{name}\" is free"))?,
        (Some(line), false) if line.capacity > 1 => print_shared(line, show)?,
        (Some(line), false) => print(line, show)?,
    }
    Ok(code::DONE)
}

pub(crate) fn break_lock(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let broken = store.lock(name).break_lock()?;
    if show.is_json() {
        show.json(&json!({"name": name, "broken": broken}))?;
    } else if broken {
        show.line(&format!("lock \"{name}\" was taken away from whoever held it"))?;
    } else {
        show.line(&format!("nobody held lock \"{name}\""))?;
    }
    Ok(code::DONE)
}

fn print(line: &LockLine, show: &mut Show) -> Done<()> {
    let holder = line.holder().map_or_else(|| "nobody".to_owned(), name_holder);
    let mut facts = vec![("lock", line.name.clone()), ("holder", holder)];
    if let Some(holder) = line.holder() {
        let lease = match holder.void {
            true => "has ended".to_owned(),
            false => format!("ends in {} unless its process is heard of", span(holder.remaining_ms)),
        };
        facts.push(("token", holder.grant.token.to_string()));
        facts.push(("held", format!("for {}", span(holder.held_ms))));
        facts.push(("ttl", span(holder.ttl_ms)));
        facts.push(("lease", lease));
    }
    facts.push(("waiting", count(line.waiting, "ticket", "tickets")));
    print_facts(facts, show)
}

/// One that several may hold: each with a lease of its own.
fn print_shared(line: &LockLine, show: &mut Show) -> Done<()> {
    let facts = vec![
        ("lock", line.name.clone()),
        ("kind", line.kind()),
        ("in use", used(line)),
        ("waiting", count(line.waiting, "ticket", "tickets")),
    ];
    print_facts(facts, show)?;
    if line.holders.is_empty() {
        return Ok(());
    }
    let row = |holder: &Holder| {
        vec![
            part(line, holder),
            holder.grant.token.to_string(),
            span(holder.held_ms),
            span(holder.ttl_ms),
            lease_left(holder),
            name_holder(holder),
        ]
    };
    show.line("")?;
    let rows = line.holders.iter().map(row).collect();
    show.table(&["part", "token", "held for", "ttl", "lease left", "holder"], rows)?;
    Ok(())
}

fn print_facts(facts: Vec<(&str, String)>, show: &mut Show) -> Done<()> {
    for (name, fact) in facts {
        show.line(&format!("{name:<9}{fact}"))?;
    }
    Ok(())
}

/// How much of a lock is held by those whose leases last.
fn used(line: &LockLine) -> String {
    match (line.used(), line.capacity) {
        (0, _) => "free".to_owned(),
        (_, 1) => "all".to_owned(),
        (used, capacity) if line.has_readers_and_writers() => match used == u64::from(capacity) {
            true => "written".to_owned(),
            false => count(used, "reader", "readers"),
        },
        (used, capacity) => format!("{used} of {capacity}"),
    }
}

/// What one of several holders has.
fn part(line: &LockLine, holder: &Holder) -> String {
    match line.has_readers_and_writers() {
        true if holder.weight == line.capacity => "writes".to_owned(),
        true => "reads".to_owned(),
        false => format!("{} of {}", holder.weight, line.capacity),
    }
}

fn lease_left(holder: &Holder) -> String {
    if holder.void { "ended".to_owned() } else { span(holder.remaining_ms) }
}

/// The holder in a few words.
pub(crate) fn name_holder(holder: &Holder) -> String {
    let process = holder.grant.process;
    match &holder.identity {
        Some(identity) => {
            format!("{} (pid {} on {}, process {process})", identity.program, identity.pid, identity.host)
        }
        None => format!("process {process}, which is gone"),
    }
}

/// `holder` is that of a lock that excludes; `holders` are all, of whatever sort.
pub(crate) fn as_json(line: &LockLine) -> serde_json::Value {
    let holders: Vec<_> = line.holders.iter().map(holder_as_json).collect();
    json!({
        "name": line.name,
        "capacity": line.capacity,
        "holder": line.holder().map(holder_as_json),
        "holders": holders,
        "waiting": line.waiting,
    })
}

fn holder_as_json(holder: &Holder) -> serde_json::Value {
    let identity = holder.identity.as_ref();
    json!({
        "token": holder.grant.token,
        "weight": holder.weight,
        "process": holder.grant.process,
        "pid": identity.map(|identity| identity.pid),
        "program": identity.map(|identity| identity.program.as_str()),
        "host": identity.map(|identity| identity.host.as_str()),
        "held_ms": holder.held_ms,
        "ttl_ms": holder.ttl_ms,
        "remaining_ms": holder.remaining_ms,
        "void": holder.void,
    })
}
