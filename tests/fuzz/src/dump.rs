//! Lines of a dump: they are refused, with the line, and leave nothing; or they are loaded, and what is dumped then is the same
//! however often it is loaded and dumped again.
//!
//! The first and the last line are made here, so that what is between them is what is fed, and not its checksum.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex, PoisonError};

use millpond::blocking::Store;
use millpond::{Dump, Error, Load};
use millpond_actors::storage::checksum;
use serde_json::{Value, json};

/// A place that a dump is written to.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn feed(bytes: &[u8]) {
    let whole = framed(bytes);
    let how = |number: u8| match number % 3 {
        0 => Load::new(),
        1 => Load::new().append(),
        _ => Load::new().replace(),
    };
    let number = bytes.first().copied().unwrap_or(0);
    let Some(once) = loaded(&whole, &[how(number)]) else { return };
    let again = loaded(&once, &[Load::new()]).unwrap_or_default();
    assert_eq!(records(&again), records(&once), "what was dumped is not loaded, or is something else then");
    // Onto itself, whatever comes of it: no panic, and a store that can be dumped.
    let _ = loaded(&once, &[Load::new(), how(number.wrapping_add(1))]);
}

/// Lines with a first one before them and a last one behind them that fit.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let nil = "00000000-0000-0000-0000-000000000000";
    let first = json!({"kind": "millpond", "format": 1, "schema": 0, "store": nil, "dumped_at": 0,
        "position": 1_000_000, "token": 0, "keys": true});
    let mut whole = format!("{first}\n").into_bytes();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let kind = serde_json::from_slice::<Value>(line)
            .ok()
            .and_then(|line| Some(line.get("kind")?.as_str()?.to_owned()));
        *counts.entry(kind.unwrap_or_default()).or_default() += 1;
        whole.extend_from_slice(line);
        whole.push(b'\n');
    }
    let crc = format!("{:08x}", checksum::append(0, &whole));
    let last = json!({"kind": "end", "counts": counts, "crc": crc});
    whole.extend_from_slice(format!("{last}\n").as_bytes());
    whole
}

/// What a new store holds in which this was loaded, again and again; `None` if it was refused the first time.
#[allow(clippy::expect_used, reason = "there is nothing to be fed without it")]
fn loaded(whole: &[u8], how: &[Load]) -> Option<Vec<u8>> {
    let store = Store::memory().expect("a store in memory");
    let mut first = true;
    let mut taken = true;
    for how in how {
        match store.load(Cursor::new(whole.to_vec()), how.clone()) {
            Ok(_) => {}
            Err(Error::LoadRefused { line, reason }) => {
                assert!(line > 0 && !reason.is_empty(), "it does not say where, or why: {line}: {reason}");
                taken = !first;
            }
            Err(Error::Exists { .. }) if !first => {}
            Err(other) => panic!("neither taken nor refused: {other}"),
        }
        first = false;
    }
    let paper = Paper::default();
    store.dump(paper.clone(), Dump::new().with_keys()).expect("a store can be dumped");
    let text = paper.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(taken || records(&text).is_empty(), "what is refused leaves something");
    // Nothing that is in it has to last.
    let _ = store.close();
    taken.then_some(text)
}

/// The lines between the first and the last.
fn records(text: &[u8]) -> Vec<&[u8]> {
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    lines.get(1..lines.len().saturating_sub(1)).unwrap_or_default().to_vec()
}
