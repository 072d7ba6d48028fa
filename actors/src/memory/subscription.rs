//! Durable subscriptions in memory: cursors by feed and name.

use super::store::{Caller, Store};
use crate::name::Name;
use crate::storage::Target;
use crate::storage::feed::Kind;
use crate::storage::subscription::{Move, Moved, Standing, Subscribe, Unsubscribe};

impl Store {
    /// Where a subscription stands; makes it if there is none.
    pub(super) fn subscription_begin(&mut self, operation: &Subscribe) -> u64 {
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
    pub(super) fn subscription_move(&mut self, me: &Caller, operation: &Move) -> Moved {
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
    pub(super) fn subscription_end(&mut self, operation: &Unsubscribe) -> bool {
        let Unsubscribe { kind, feed, subscription } = operation;
        let key = self.cursor_key(*kind, feed, subscription);
        let known = key.filter(|key| self.cursors.get(key).is_some());
        known.inspect(|key| self.cursors.remove(key)).is_some()
    }

    fn cursor_key(&self, kind: Kind, feed: &Target, subscription: &Name) -> Option<(u64, Name)> {
        self.feed_row(kind, feed).map(|(id, _)| (id, subscription.clone()))
    }

    /// The subscriptions of a feed.
    pub(super) fn subscription_list(&self, kind: Kind, name: &Name) -> Vec<Standing> {
        let Some((id, _)) = self.committed_feed(kind, name) else { return Vec::new() };
        let of_feed = self.cursors.committed().iter().filter(|((feed, _), _)| *feed == id);
        of_feed.map(|((_, name), cursor)| Standing { name: name.to_string(), cursor: *cursor }).collect()
    }
}
