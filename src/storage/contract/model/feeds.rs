//! What may happen to feeds and to their durable subscriptions.

use std::sync::Arc;

use millpond_actors::storage::Operation;
use millpond_actors::storage::feed::{Kind, Page, Query, Retain, Retention, Trim};
use millpond_actors::storage::filter::Filter as Content;
use millpond_actors::storage::subscription::{Acknowledge, Move, PassOver, Span, Subscribe, Unsubscribe};
use proptest::prelude::*;

use super::super::stage::*;
use super::Pair;
use crate::Where;

pub(super) const FEEDS: [&str; 2] = ["f", "g"];

/// One operation on a feed.
#[derive(Clone, Debug)]
pub(super) enum FeedStep {
    Publish { feed: usize, kind: Kind, messages: u64, guarded: Option<usize> },
    Retain { feed: usize, kind: Kind, retention: Retention },
    Trim { feed: usize, kind: Kind, before: u64 },
    Subscription { feed: usize, kind: Kind, step: SubscriptionStep },
}

/// One operation on the subscription of a feed. Whoever moves it shows a token from among the last.
#[derive(Clone, Debug)]
pub(super) enum SubscriptionStep {
    Begin { cursor: u64 },
    Move { cursor: u64, back: bool, guarded: usize },
    Acknowledge { sequence: u64, guarded: usize },
    PassOver,
    End,
}

const SUBSCRIPTION: &str = "s";

fn subscription_steps() -> impl Strategy<Value = SubscriptionStep> {
    let guarded = || 0..3_usize;
    prop_oneof![
        2 => (0..5_u64).prop_map(|cursor| SubscriptionStep::Begin { cursor }),
        1 => (0..30_u64, any::<bool>(), guarded())
            .prop_map(|(cursor, back, guarded)| SubscriptionStep::Move { cursor, back, guarded }),
        8 => (0..30_u64, guarded())
            .prop_map(|(sequence, guarded)| SubscriptionStep::Acknowledge { sequence, guarded }),
        2 => Just(SubscriptionStep::PassOver),
        1 => Just(SubscriptionStep::End),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Log), Just(Kind::Channel)]
}

pub(super) fn feed_steps() -> impl Strategy<Value = FeedStep> {
    let bound = |most: u64| prop::option::weighted(0.4, 1..most);
    let retention = (bound(6), bound(12), bound(200)).prop_map(|(count, bytes, age_ms)| Retention {
        count,
        bytes,
        age_ms,
    });
    let guarded = prop_oneof![5 => Just(None), 1 => (0..6_usize).prop_map(Some)];
    let feed = || 0..FEEDS.len();
    prop_oneof![
        4 => (feed(), kind(), 1..5_u64, guarded)
            .prop_map(|(feed, kind, messages, guarded)| FeedStep::Publish { feed, kind, messages, guarded }),
        1 => (feed(), kind(), retention)
            .prop_map(|(feed, kind, retention)| FeedStep::Retain { feed, kind, retention }),
        1 => (feed(), kind(), 0..40_u64).prop_map(|(feed, kind, before)| FeedStep::Trim { feed, kind, before }),
        6 => (feed(), kind(), subscription_steps())
            .prop_map(|(feed, kind, step)| FeedStep::Subscription { feed, kind, step }),
    ]
}

pub(super) fn feed_queries() -> impl Strategy<Value = Query> {
    let to = prop_oneof![Just(u64::MAX), 0..40_u64];
    // The clock begins at this time, and seldom jumps.
    let time = || prop::option::weighted(0.3, (-2_000..40_000_i64).prop_map(|ms| 1_700_000_000_000 + ms));
    (kind(), 0..FEEDS.len(), any::<bool>(), 0..20_u64, to, time(), time(), 1..9_u32).prop_map(
        |(kind, feed, backward, from, to, since, until, limit)| Query {
            kind,
            name: name(FEEDS[feed]),
            backward,
            from,
            to,
            since,
            until,
            content: filters()[usize::try_from(from).unwrap() % 4].clone(),
            limit,
        },
    )
}

/// Most of what is read is not filtered.
fn filters() -> [Option<Arc<Content>>; 4] {
    let filter = |text: &str| Some(text.parse::<Where>().unwrap().filter().unwrap());
    [None, None, filter(". >= 7"), filter("not . in (1, 2, 3)")]
}

/// A step as an operation; `None` if there is nothing yet that it could be about.
pub(super) fn operation(pair: &Pair, step: &FeedStep) -> Option<Operation> {
    Some(match step {
        FeedStep::Publish { feed, kind, messages, guarded } => {
            let numbers: Vec<u64> = (pair.groups..pair.groups + messages).collect();
            let mut append = append_to(*kind, FEEDS[*feed], &numbers);
            if let Some(back) = guarded {
                let grant = *pair.known.grants.iter().rev().nth(*back)?;
                append.fence = Some(fence("guard", grant));
            }
            Operation::FeedAppend(append)
        }
        FeedStep::Retain { feed, kind, retention } => {
            Operation::FeedRetain(Retain { kind: *kind, feed: target(FEEDS[*feed]), retention: *retention })
        }
        FeedStep::Trim { feed, kind, before } => {
            Operation::FeedTrim(Trim { kind: *kind, feed: target(FEEDS[*feed]), before: *before })
        }
        FeedStep::Subscription { feed, kind, step } => {
            return subscription_operation(pair, FEEDS[*feed], *kind, step);
        }
    })
}

fn subscription_operation(pair: &Pair, feed: &str, kind: Kind, step: &SubscriptionStep) -> Option<Operation> {
    let (feed, subscription) = (target(feed), name(SUBSCRIPTION));
    let guard = |back: usize| Some(fence("guard", *pair.known.grants.iter().rev().nth(back)?));
    Some(match *step {
        SubscriptionStep::Begin { cursor } => {
            Operation::SubscriptionBegin(Subscribe { kind, feed, subscription, cursor })
        }
        SubscriptionStep::Move { cursor, back, guarded } => {
            let fence = guard(guarded)?;
            Operation::SubscriptionMove(Move { kind, feed, subscription, cursor, back, fence })
        }
        SubscriptionStep::Acknowledge { sequence, guarded } => {
            let fence = guard(guarded)?;
            Operation::SubscriptionAcknowledge(Acknowledge { kind, feed, subscription, sequence, fence })
        }
        SubscriptionStep::PassOver => Operation::SubscriptionPassOver(PassOver { kind, feed, subscription }),
        SubscriptionStep::End => Operation::SubscriptionEnd(Unsubscribe { kind, feed, subscription }),
    })
}

/// Page after page on both sides.
pub(super) fn read(pair: &mut Pair, mut query: Query) {
    loop {
        let right = pair.right.view.feed_page(&query).unwrap();
        let tried = pair.tried.view.feed_page(&query).unwrap();
        // A page that is exactly full need not know whether it was the last.
        let full = right.messages.len() == query.limit as usize;
        assert!(tried.more == right.more || (full && tried.more), "more: {}", tried.more);
        assert_eq!(Page { more: right.more, ..tried }, right);
        let Some(last) = right.last.filter(|_| right.more) else { return };
        if query.backward {
            query.to = last - 1;
        } else {
            query.from = last + 1;
        }
    }
}

/// How all of them stand, on both sides.
pub(super) fn compare(pair: &mut Pair) {
    for kind in [Kind::Log, Kind::Channel] {
        pair.compare(|view| view.feeds(kind, None, 9));
        let heads = FEEDS.map(|feed| pair.compare(|view| view.feed(kind, &name(feed))));
        for feed in FEEDS {
            pair.compare(|view| view.subscriptions(kind, &name(feed)));
            for (first, last) in [(0, u64::MAX), (4, 9), (10, 10), (3, 2)] {
                let within = Span { first, last };
                pair.compare(|view| view.acknowledged(kind, &name(feed), &name(SUBSCRIPTION), within));
            }
        }
        for head in heads.into_iter().flatten() {
            pair.auditor.audit_feed(kind, &head);
        }
    }
}
