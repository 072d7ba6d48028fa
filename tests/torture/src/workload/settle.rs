//! What nobody knew about is settled when the next write has been acknowledged: this is when it is looked at.

use millpond::Store;

use super::told::{Told, Word};
use crate::Result;
use crate::kill::oracle::collect;
use crate::kill::{Acked, Found};

/// Says of every unknown event before the last acknowledged one whether it is there.
pub(super) fn settle(store: &Store, told: &Told) -> Result<()> {
    let words = told.so_far();
    let acked = words.iter().rposition(|word| matches!(word, Word::Acked(_))).unwrap_or(0);
    let settled = |event: &Acked| {
        words.iter().any(|word| matches!(word, Word::Settled(known, _) if same(known, event)))
    };
    let open: Vec<&Acked> = words
        .iter()
        .take(acked)
        .filter_map(|word| if let Word::Unknown(event, _) = word { Some(event) } else { None })
        .filter(|event| !settled(event))
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let (found, _) = collect(&store.blocking())?;
    let is_there = |event: &Acked| {
        let is_it = |found: &Found| match event.id.is_nil() {
            true => (&found.stream, &found.content) == (&event.stream, &event.content),
            false => found.id == event.id,
        };
        found.iter().any(is_it)
    };
    let words: Vec<Word> =
        open.into_iter().map(|event| Word::Settled(event.clone(), is_there(event))).collect();
    told.say(words);
    Ok(())
}

fn same(one: &Acked, other: &Acked) -> bool {
    (one.id, &one.stream, &one.content) == (other.id, &other.stream, &other.content)
}
