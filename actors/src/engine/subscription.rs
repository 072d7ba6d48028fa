//! Durable subscriptions in tables: cursors by feed and name, and each message that was acknowledged beyond them.

use super::store::{Caller, Store};
use crate::name::Name;
use crate::storage::Target;
use crate::storage::feed::Kind;
use crate::storage::record::{Put, Refusal};
use crate::storage::subscription::{
    Acknowledge, Acknowledged, Move, Moved, PassOver, Span, Standing, Subscribe, Unsubscribe,
};

impl Store {
    /// Where a subscription stands; makes it if there is none.
    pub fn subscription_begin(&mut self, operation: &Subscribe) -> u64 {
        let Subscribe { kind, feed, subscription, cursor } = operation;
        let (id, row) = self.feed_or_new(*kind, feed);
        self.feeds.put(id, row);
        let key = (id, subscription.clone());
        if let Some(cursor) = self.cursors.get(&key) {
            return *cursor;
        }
        self.cursors.put(key, *cursor);
        *cursor
    }

    /// Moves a cursor.
    pub fn subscription_move(&mut self, me: &Caller, operation: &Move) -> Moved {
        let Move { kind, feed, subscription, cursor, back, fence } = operation;
        let key = self.cursor_key(*kind, feed, subscription);
        let stands = key.as_ref().and_then(|key| self.cursors.get(key)).copied();
        match (key, stands) {
            (Some(key), Some(before)) if self.fence_stands(me, fence) => {
                let cursor = if *back { *cursor } else { before.max(*cursor) };
                self.cursors.put(key, cursor);
                Moved::Done { cursor }
            }
            _ => Moved::Fenced,
        }
    }

    /// Forgets a subscription.
    pub fn subscription_end(&mut self, operation: &Unsubscribe) -> bool {
        let Unsubscribe { kind, feed, subscription } = operation;
        let key = self.cursor_key(*kind, feed, subscription);
        let Some(key) = key.filter(|key| self.cursors.get(key).is_some()) else { return false };
        self.cursors.remove(&key);
        self.forget_acknowledged(&key, u64::MAX);
        true
    }

    /// Says that one message has been dealt with.
    pub fn subscription_acknowledge(&mut self, me: &Caller, operation: &Acknowledge) -> Moved {
        let Acknowledge { kind, feed, subscription, sequence, fence } = operation;
        let key = self.cursor_key(*kind, feed, subscription);
        let stands = key.as_ref().and_then(|key| self.cursors.get(key)).copied();
        let (Some(key), Some(cursor), true) = (key, stands, self.fence_stands(me, fence)) else {
            return Moved::Fenced;
        };
        if *sequence > cursor {
            self.acknowledged.put((key.0, key.1.clone(), *sequence), ());
        }
        Moved::Done { cursor: self.move_over_acknowledged(key, cursor) }
    }

    /// Has the cursor pass over what was removed.
    pub fn subscription_pass_over(&mut self, operation: &PassOver) -> u64 {
        let PassOver { kind, feed, subscription } = operation;
        let Some((id, row)) = self.feed_row(*kind, feed) else { return 0 };
        let (key, removed) = ((id, subscription.clone()), row.first - 1);
        let Some(cursor) = self.cursors.get(&key).copied().filter(|cursor| *cursor < removed) else {
            return 0;
        };
        let missed = (removed - cursor).saturating_sub(self.forget_acknowledged(&key, removed));
        self.move_over_acknowledged(key, removed);
        missed
    }

    /// Moves a cursor over what follows it and was acknowledged.
    fn move_over_acknowledged(&mut self, key: (u64, Name), mut cursor: u64) -> u64 {
        let beyond =
            self.acknowledged.range((key.0, key.1.clone(), cursor + 1)..=(key.0, key.1.clone(), u64::MAX));
        for ((.., sequence), ()) in beyond {
            if *sequence != cursor + 1 {
                break;
            }
            cursor += 1;
        }
        self.forget_acknowledged(&key, cursor);
        self.cursors.put(key, cursor);
        cursor
    }

    /// Forgets what was acknowledged up to a message. How much that was.
    fn forget_acknowledged(&mut self, (feed, name): &(u64, Name), to: u64) -> u64 {
        let range = (*feed, name.clone(), 0)..=(*feed, name.clone(), to);
        let old: Vec<_> = self.acknowledged.range(range).map(|(key, ())| key.clone()).collect();
        old.iter().for_each(|key| self.acknowledged.remove(key));
        old.len() as u64
    }

    /// Puts a subscription back, unless there is one.
    pub fn subscription_load(
        &mut self,
        (kind, feed): (Kind, &Name),
        name: &Name,
        cursor: u64,
        beyond: &[Span],
    ) -> Put {
        let target = Target { name: feed.clone(), id: None };
        let Some(key) = self.cursor_key(kind, &target, name) else { return Put::Refused(Refusal::Orphan) };
        if self.cursors.get(&key).is_some() {
            return Put::Known;
        }
        for sequence in beyond.iter().flat_map(|span| span.first..=span.last) {
            self.acknowledged.put((key.0, key.1.clone(), sequence), ());
        }
        self.cursors.put(key, cursor);
        Put::Written(None)
    }

    fn cursor_key(&self, kind: Kind, feed: &Target, subscription: &Name) -> Option<(u64, Name)> {
        self.feed_row(kind, feed).map(|(id, _)| (id, subscription.clone()))
    }

    /// What was acknowledged of the messages between two.
    pub fn acknowledged(
        &self,
        kind: Kind,
        feed: &Name,
        subscription: &Name,
        within: Span,
    ) -> Option<Acknowledged> {
        let key = (self.feed_of(kind, feed)?.0, subscription.clone());
        let cursor = *self.cursors.get(&key)?;
        let (feed, name) = key;
        // Backwards there is nothing, and a map would not bear it.
        let last = within.last.max(within.first.saturating_sub(1));
        let range = (feed, name.clone(), within.first)..(feed, name, last.saturating_add(1));
        let mut beyond: Vec<Span> = Vec::new();
        for ((.., sequence), ()) in self.acknowledged.range(range) {
            match beyond.last_mut() {
                Some(span) if span.last + 1 == *sequence => span.last = *sequence,
                _ => beyond.push(Span { first: *sequence, last: *sequence }),
            }
        }
        Some(Acknowledged { cursor, beyond })
    }

    /// The subscriptions of a feed.
    pub fn subscription_list(&self, kind: Kind, name: &Name) -> Vec<Standing> {
        let Some((id, _)) = self.feed_of(kind, name) else { return Vec::new() };
        let of_feed = self.cursors.range((id, Name::least())..(id + 1, Name::least()));
        of_feed.map(|((_, name), cursor)| Standing { name: name.to_string(), cursor: *cursor }).collect()
    }
}
