//! Updates of a dict's entry against another process that writes to it all the time.

use std::path::Path;

use millpond::Entry;
use millpond::blocking::Store;

use crate::peer::{Peer, file, turn_is_taken};

/// What an update puts there instead, where another process writes first whenever it can; and whether it could not, time by time.
fn overtaken<'a>(
    file: &'a Path,
    peer: &'a mut Peer,
    had_turn: &'a mut Vec<bool>,
) -> impl FnMut(Option<u64>) -> Option<u64> {
    move |found| {
        assert!(had_turn.len() < 100, "it is overtaken for ever: {had_turn:?}");
        had_turn.push(turn_is_taken(file));
        if had_turn.last() == Some(&false) {
            peer.ask("dict-set d k 1");
        }
        found.map(|found| found + 1).or(Some(0))
    }
}

/// Four times somebody else was faster, and once more while it insisted. A machine that is slow may have let the turn go again.
fn assert_insisted(had_turn: &[bool]) {
    let (last, before) = had_turn.split_last().unwrap();
    assert!(*last && before.len() >= 5, "{had_turn:?}");
    assert!(before.iter().take(5).all(|had| !had), "{had_turn:?}");
}

#[test]
fn a4_an_update_that_other_processes_overtake_keeps_the_turn_until_it_is_done() {
    let (_folder, file) = file();
    let (store, mut peer) = (Store::open(&file).unwrap(), Peer::start(&file));
    let (dict, mut had_turn) = (store.dict::<u64>("d"), Vec::new());
    dict.update("k", overtaken(&file, &mut peer, &mut had_turn)).unwrap();
    assert_insisted(&had_turn);
    assert_eq!(dict.get("k").unwrap().map(Entry::into_value), Some(2));
    peer.ask("dict-set d k 1");
    let mut had_turn = Vec::new();
    let dict = store.asynchronous().dict::<u64>("d");
    futures_executor::block_on(dict.update("k", overtaken(&file, &mut peer, &mut had_turn))).unwrap();
    assert_insisted(&had_turn);
    // Whoever has had it his way passes the turn on.
    peer.ask("dict-set d k 1");
    store.close().unwrap();
}
