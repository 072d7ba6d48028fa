//! What nobody knew about is settled when the next write has been acknowledged: this is when it is looked at.

use millpond::Store;

use super::told::{Fact, Told, Word};
use crate::Result;
use crate::look::Seen;

/// Says of every unknown fact before the last acknowledged one whether it is there.
pub(super) fn settle(store: &Store, told: &Told) -> Result<()> {
    let words = told.so_far();
    let acked = words.iter().rposition(Word::is_acked).unwrap_or(0);
    let settled =
        |fact: &Fact| words.iter().any(|word| matches!(word, Word::Settled(known, _) if known == fact));
    let open: Vec<&Fact> = words
        .iter()
        .take(acked)
        .filter_map(|word| if let Word::Unknown(fact, _) = word { Some(fact) } else { None })
        .filter(|fact| !settled(fact))
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let seen = Seen::read(&store.blocking())?;
    told.say(open.into_iter().map(|fact| Word::Settled(fact.clone(), seen.has(fact))).collect::<Vec<_>>());
    Ok(())
}
