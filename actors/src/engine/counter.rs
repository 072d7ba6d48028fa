//! What only grows, for ever, and is the store's.

use super::store::Store;

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// The position of the last event.
    Position,
    /// When that was recorded: milliseconds since 1970, of 64 bits with a sign.
    RecordedAt,
    /// The last number given to a ticket, a token, a revision, a content.
    Number,
    /// The number of the last change that was written down.
    Change,
    /// The last row of a stream. Rows of names are never removed.
    Stream,
    /// Of a feed.
    Feed,
    /// Of a lock.
    Lock,
    /// Of a queue.
    Queue,
    /// Of a dict.
    Dict,
    /// Of a list.
    List,
    /// Of blobs.
    Blobs,
}

impl Counter {
    /// All of them, in their order.
    pub const ALL: [Counter; 11] = [
        Counter::Position,
        Counter::RecordedAt,
        Counter::Number,
        Counter::Change,
        Counter::Stream,
        Counter::Feed,
        Counter::Lock,
        Counter::Queue,
        Counter::Dict,
        Counter::List,
        Counter::Blobs,
    ];
}

impl Store {
    /// Where a counter stands.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters.get(&counter).copied().unwrap_or(0)
    }

    /// The next number of a counter.
    pub fn next(&mut self, counter: Counter) -> u64 {
        let next = self.counter(counter) + 1;
        self.counters.put(counter, next);
        next
    }

    /// The next number, for a ticket, a token, a revision or a content.
    pub fn next_number(&mut self) -> u64 {
        self.next(Counter::Number)
    }
}
