//! The moment at which a proxy loses a connection: when the client has sent a certain sequence of bytes.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// On which side of the server's work a connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server never gets the sequence whole.
    Unheard,
    /// The server gets the sequence and works on it, and the client does not learn what came of that. When the client sees
    /// that the connection is lost, the server is done.
    Unanswered,
}

/// What is waited for in all connections of a proxy, and how often it has come.
#[derive(Default)]
pub(crate) struct Snare(Mutex<Set>);

#[derive(Default)]
struct Set {
    next: Option<(Vec<u8>, Cut)>,
    sprung: usize,
}

impl Snare {
    /// Waits for this sequence, and no longer for what was waited for before.
    pub(crate) fn set(&self, sequence: &[u8], cut: Cut) {
        assert!(!sequence.is_empty(), "every connection has sent nothing");
        self.lock().next = Some((sequence.to_owned(), cut));
    }

    /// How often a sequence has come.
    pub(crate) fn sprung(&self) -> usize {
        self.lock().sprung
    }

    /// Whether the sequence ends in this piece, and where; then it is not waited for any longer. `before` is what the connection
    /// has sent before that may be its beginning.
    pub(crate) fn look(&self, before: &mut Vec<u8>, piece: &[u8]) -> Option<(usize, Cut)> {
        let mut set = self.lock();
        let Some((sequence, cut)) = set.next.as_ref() else {
            before.clear();
            return None;
        };
        let beginning = sequence.len() - 1;
        keep_last(before, beginning);
        let length = before.len();
        before.extend_from_slice(piece);
        let Some(at) = before.windows(sequence.len()).position(|window| window == sequence) else {
            keep_last(before, beginning);
            return None;
        };
        let found = (at + sequence.len() - length, *cut);
        set.next = None;
        set.sprung += 1;
        Some(found)
    }

    fn lock(&self) -> MutexGuard<'_, Set> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes away all but the last bytes.
fn keep_last(bytes: &mut Vec<u8>, count: usize) {
    bytes.drain(..bytes.len().saturating_sub(count));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_found_wherever_its_pieces_end_and_once() {
        let whole = b"BEGIN\0COMMIT\0ROLLBACK\0";
        for first in 0..whole.len() {
            let snare = Snare::default();
            snare.set(b"COMMIT\0", Cut::Unheard);
            let mut before = Vec::new();
            let ends: Vec<usize> = [(0, &whole[..first]), (first, &whole[first..])]
                .into_iter()
                .filter_map(|(start, piece)| snare.look(&mut before, piece).map(|(end, _)| start + end))
                .collect();
            assert_eq!((ends, snare.sprung()), (vec![13], 1), "{first}");
        }
    }

    #[test]
    fn what_was_sent_before_it_was_waited_for_is_no_part_of_it() {
        let (snare, mut before) = (Snare::default(), Vec::new());
        assert_eq!(snare.look(&mut before, b"COM"), None);
        snare.set(b"COMMIT", Cut::Unanswered);
        assert_eq!(snare.look(&mut before, b"MIT"), None);
        assert_eq!(snare.look(&mut before, b" COMMIT;"), Some((7, Cut::Unanswered)));
    }
}
