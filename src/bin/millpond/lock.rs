//! `lock list` and `show`; `run` is a file of its own.

mod run;
mod signals;

use millpond::blocking::Store;
use millpond::{Holder, LockLine};
use serde_json::json;

pub(crate) use self::run::run;
use crate::failure::{Done, code};
use crate::show::{Show, count, span};

/// Locks that are asked for at once.
const PAGE: u32 = 1_000;

/// All locks that are held or waited for, page by page.
fn lines(store: &Store) -> Done<Vec<LockLine>> {
    let mut lines: Vec<LockLine> = Vec::new();
    loop {
        let after = lines.last().map(|line| line.name.clone());
        let page = store.inspect().locks(after.as_deref(), PAGE)?;
        let whole = page.len() < PAGE as usize;
        lines.extend(page);
        if whole {
            return Ok(lines);
        }
    }
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
        let row = |line: &LockLine| {
            let holder = line.holder();
            let fact = |of: fn(&Holder) -> String| holder.map_or_else(String::new, of);
            vec![
                show.quarter(&line.name),
                fact(|holder| holder.grant.token.to_string()),
                fact(|holder| span(holder.held_ms)),
                fact(|holder| span(holder.ttl_ms)),
                fact(|holder| if holder.void { "ended".to_owned() } else { span(holder.remaining_ms) }),
                line.waiting.to_string(),
                name_holder(line),
            ]
        };
        let rows = lines.iter().map(row).collect();
        show.table(&["lock", "token", "held for", "ttl", "lease left", "waiting", "holder"], rows)?;
    }
    Ok(code::DONE)
}

pub(crate) fn show(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let found = store.inspect().lock(name)?.filter(|line| !line.holders.is_empty() || line.waiting > 0);
    match (&found, show.is_json()) {
        (Some(line), true) => show.json(&as_json(line))?,
        (None, true) => show.json(&json!({"name": name, "holder": null, "waiting": 0}))?,
        (None, false) => show.line(&format!("lock \"{name}\" is free"))?,
        (Some(line), false) => print(line, show)?,
    }
    Ok(code::DONE)
}

pub(crate) fn break_lock(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let broken = store.lock(name).break_lock()?;
    if show.is_json() {
        show.json(&json!({"name": name, "broken": broken}))?;
    } else if broken {
        show.line(&format!("lock \"{name}\" was taken away from its holder"))?;
    } else {
        show.line(&format!("nobody held lock \"{name}\""))?;
    }
    Ok(code::DONE)
}

fn print(line: &LockLine, show: &mut Show) -> Done<()> {
    let mut facts = vec![("lock", line.name.clone()), ("holder", name_holder(line))];
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
    for (name, fact) in facts {
        show.line(&format!("{name:<9}{fact}"))?;
    }
    Ok(())
}

/// The holder in a few words.
fn name_holder(line: &LockLine) -> String {
    let Some(holder) = line.holder() else { return "nobody".to_owned() };
    let process = holder.grant.process;
    match &holder.identity {
        Some(identity) => {
            format!("{} (pid {} on {}, process {process})", identity.program, identity.pid, identity.host)
        }
        None => format!("process {process}, which is gone"),
    }
}

fn as_json(line: &LockLine) -> serde_json::Value {
    let holder = line.holder().map(|holder| {
        let identity = holder.identity.as_ref();
        json!({
            "token": holder.grant.token,
            "process": holder.grant.process,
            "pid": identity.map(|identity| identity.pid),
            "program": identity.map(|identity| identity.program.as_str()),
            "host": identity.map(|identity| identity.host.as_str()),
            "held_ms": holder.held_ms,
            "ttl_ms": holder.ttl_ms,
            "remaining_ms": holder.remaining_ms,
            "void": holder.void,
        })
    });
    json!({"name": line.name, "holder": holder, "waiting": line.waiting})
}
