//! Feeds, of which logs and channels are made: appending, reading in both directions, and what is kept.

use millpond_actors::limits;
use millpond_actors::storage::feed::{
    Append, Appended, Head, Kind, Message, NewMessage, Page, Query, Retain, Retention, Trim, Trimmed,
};
use millpond_actors::storage::{Data, Operation, Tables};

use super::stage::*;

const KINDS: [Kind; 2] = [Kind::Log, Kind::Channel];

const NONE: [u64; 0] = [];

fn page(stage: &Stage<'_>, query: &Query) -> Page {
    stage.view().feed_page(query).unwrap()
}

fn messages(stage: &Stage<'_>, query: &Query) -> Vec<Message> {
    page(stage, query).messages.into_iter().map(|(_, message)| message.unwrap()).collect()
}

fn sequences(stage: &Stage<'_>, query: &Query) -> Vec<u64> {
    messages(stage, query).iter().map(|message| message.sequence).collect()
}

/// The numbers that messages were made with.
fn contents(stage: &Stage<'_>, query: &Query) -> Vec<String> {
    let text = |message: &Message| String::from_utf8(message.data.bytes().to_vec()).unwrap();
    messages(stage, query).iter().map(text).collect()
}

fn head(stage: &Stage<'_>, kind: Kind, feed: &str) -> Head {
    stage.view().feed(kind, &name(feed)).unwrap().unwrap()
}

/// First and last message kept, and the bytes.
fn stands(stage: &Stage<'_>, feed: &str) -> (u64, u64, u64) {
    let Head { first, last, bytes, .. } = head(stage, Kind::Log, feed);
    assert_eq!(sequences(stage, &of_feed(Kind::Log, feed)), (first..=last).collect::<Vec<u64>>());
    (first, last, bytes)
}

fn last(appended: Appended) -> u64 {
    match appended {
        Appended::Done { last, .. } => last,
        other => panic!("not done: {other:?}"),
    }
}

fn retain(player: &mut Player<'_, '_>, feed: &str, retention: Retention) -> Trimmed {
    player.run(Retain { kind: Kind::Log, feed: target(feed), retention })
}

fn trim(player: &mut Player<'_, '_>, feed: &str, before: u64) -> Trimmed {
    player.run(Trim { kind: Kind::Log, feed: target(feed), before })
}

fn log(feed: &str, numbers: std::ops::RangeInclusive<u64>) -> Append {
    append_to(Kind::Log, feed, &numbers.collect::<Vec<u64>>())
}

pub(super) fn lg1_sequences_are_dense_from_one_and_follow_the_commits(stage: &Stage<'_>) {
    for kind in KINDS {
        let mut players = [stage.join(), stage.join(), stage.join()];
        for number in 1..=12_u64 {
            let player = &mut players[(number % 3) as usize];
            assert_eq!(last(player.run(append_to(kind, "f", &[number]))), number);
        }
        let numbers: Vec<String> = (1..=12).map(|number| number.to_string()).collect();
        assert_eq!(contents(stage, &of_feed(kind, "f")), numbers);
        assert_eq!(sequences(stage, &of_feed(kind, "f")), (1..=12).collect::<Vec<u64>>());
    }
}

pub(super) fn lg1_an_append_of_many_is_consecutive_and_whole(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    assert_eq!(last(a.run(log("f", 1..=3))), 3);
    assert_eq!(last(b.run(log("f", 4..=5))), 5);
    a.begin();
    assert_eq!(last(a.apply(log("f", 6..=7))), 7, "within one group");
    assert_eq!(last(a.apply(log("f", 8..=8))), 8);
    a.commit();
    assert_eq!(contents(stage, &of_feed(Kind::Log, "f")), ["1", "2", "3", "4", "5", "6", "7", "8"]);
}

pub(super) fn c1_sequences_are_each_feeds_own(stage: &Stage<'_>) {
    let mut a = stage.join();
    for (kind, feed, sequence) in
        [(Kind::Log, "f", 1), (Kind::Channel, "f", 1), (Kind::Log, "g", 1), (Kind::Channel, "f", 2)]
    {
        assert_eq!(last(a.run(append_to(kind, feed, &[sequence]))), sequence);
    }
    let Appended::Done { feed, .. } = a.run(append_to(Kind::Log, "f", &[2])) else { panic!() };
    assert_eq!(feed, head(stage, Kind::Log, "f").id);
    let mut by_id = append_to(Kind::Log, "f", &[3]);
    by_id.feed.id = Some(feed);
    assert_eq!(last(a.run(by_id)), 3, "a remembered row serves as well as the name");
    assert_eq!(sequences(stage, &of_feed(Kind::Channel, "f")), [1, 2]);
    assert_eq!(stage.view().feed_page(&of_feed(Kind::Channel, "g")), Ok(Page::nothing()));
    assert_eq!(stage.view().feed(Kind::Channel, &name("g")), Ok(None));
}

pub(super) fn everything_about_a_message_survives_the_round_trip(stage: &Stage<'_>) {
    let full = NewMessage {
        data: Data::Json("{\"z\" : 1.0, \"a\":12345678901234567890}".into()),
        schema: 7,
        key: Some("order-😀".into()),
        at: Some("2024-02-30T25:61:00+05:00 or so".into()),
    };
    let bare = NewMessage { data: Data::Bincode(vec![0, 255, 0]), schema: 1, key: None, at: None };
    let empty = NewMessage { data: Data::Json(String::new()), ..bare.clone() };
    let given = vec![full, bare, empty];
    stage.join().run(Append { messages: given.clone(), ..append_to(Kind::Channel, "f", &[]) });
    let read = messages(stage, &of_feed(Kind::Channel, "f"));
    assert_eq!(read.len(), given.len());
    for ((sequence, read), NewMessage { data, schema, key, at }) in (1..).zip(read).zip(given) {
        let recorded_at = stage.now().wall_ms;
        assert_eq!(read, Message { sequence, recorded_at, data, schema, key, at });
    }
}

pub(super) fn lg4_recorded_at_never_goes_back_within_a_feed(stage: &Stage<'_>) {
    let mut a = stage.join();
    for (wall, feed) in [(5_000, "f"), (3_000, "f"), (3_000, "g"), (5_001, "f")] {
        stage.set_wall(wall);
        a.run(append_to(Kind::Log, feed, &[1]));
    }
    stage.set_wall(-7);
    a.run(append_to(Kind::Log, "h", &[1]));
    let times = |feed| -> Vec<i64> {
        messages(stage, &of_feed(Kind::Log, feed)).iter().map(|message| message.recorded_at).collect()
    };
    assert_eq!(times("f"), [5_000, 5_000, 5_001]);
    assert_eq!((times("g"), times("h")), (vec![3_000], vec![-7]), "each has its own time");
    assert_eq!(head(stage, Kind::Log, "f").recorded_at, 5_001);
}

pub(super) fn lg4_a_range_by_time_is_cut_exactly(stage: &Stage<'_>) {
    let mut a = stage.join();
    for (wall, count) in [(100, 1), (200, 3), (300, 2), (500, 1)] {
        stage.set_wall(wall);
        a.run(log("f", 1..=count));
    }
    let between = |since, until| {
        let query = Query { since, until, ..of_feed(Kind::Log, "f") };
        let mut backward = sequences(stage, &Query { backward: true, ..query.clone() });
        backward.reverse();
        let forward = sequences(stage, &query);
        assert_eq!(forward, backward);
        forward
    };
    assert_eq!(between(Some(200), Some(300)), [2, 3, 4], "from inclusive, to exclusive");
    assert_eq!(between(Some(201), None), [5, 6, 7]);
    assert_eq!(between(None, Some(200)), [1]);
    assert_eq!(between(Some(501), None), NONE);
    assert_eq!(between(None, Some(100)), NONE);
    assert_eq!(between(Some(i64::MIN), Some(i64::MAX)), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(between(Some(300), Some(200)), NONE, "an empty range is no error");
    trim(&mut a, "f", 4);
    assert_eq!(between(Some(200), None), [4, 5, 6, 7], "of what is kept");
}

pub(super) fn ranges_and_limits_are_honored_in_both_directions(stage: &Stage<'_>) {
    stage.join().run(log("f", 1..=5));
    let read = |backward, from, to, limit| {
        sequences(stage, &Query { backward, from, to, limit, ..of_feed(Kind::Log, "f") })
    };
    assert_eq!(read(false, 3, u64::MAX, 10), [3, 4, 5]);
    assert_eq!(read(false, 0, 2, 10), [1, 2]);
    assert_eq!(read(false, 2, 4, 2), [2, 3]);
    assert_eq!(read(false, 6, 9, 9), NONE);
    assert_eq!(read(false, 4, 2, 9), NONE, "an empty range is no error");
    assert_eq!(read(true, 0, u64::MAX, 10), [5, 4, 3, 2, 1]);
    assert_eq!(read(true, 2, 4, 2), [4, 3]);
    assert_eq!(read(true, 4, 9, 9), [5, 4]);
    assert_eq!(read(false, u64::MAX, u64::MAX, 9), NONE);
}

pub(super) fn pages_of_a_feed_join_without_gap_or_repetition(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(log("f", 1..=30));
    trim(&mut a, "f", 8);
    for limit in 1..=12 {
        for backward in [false, true] {
            let mut query = Query { backward, limit, ..of_feed(Kind::Log, "f") };
            let mut read = Vec::new();
            loop {
                let page = page(stage, &query);
                assert_eq!((page.first, page.head), (8, 30));
                read.extend(page.messages.iter().map(|(sequence, _)| *sequence));
                let Some(last) = page.last.filter(|_| page.more) else { break };
                if backward {
                    query.to = last - 1;
                } else {
                    query.from = last + 1;
                }
            }
            if backward {
                read.reverse();
            }
            assert_eq!(read, (8..=30).collect::<Vec<u64>>(), "{limit} {backward}");
        }
    }
}

pub(super) fn a_page_of_a_feed_ends_early_for_its_size(stage: &Stage<'_>) {
    let large = NewMessage { data: Data::Bincode(vec![7; 1 << 20]), schema: 1, key: None, at: None };
    let append = Append { messages: vec![large; 12], ..append_to(Kind::Log, "f", &[]) };
    stage.join().run(append);
    for backward in [false, true] {
        let page = page(stage, &Query { backward, ..of_feed(Kind::Log, "f") });
        assert!(page.more && (1..12).contains(&page.messages.len()), "{} messages", page.messages.len());
    }
}

pub(super) fn lg5_a_count_keeps_the_newest(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(log("f", 1..=5));
    assert_eq!(stands(stage, "f"), (1, 5, 5), "without a bound everything is kept");
    let kept = retain(&mut a, "f", Retention { count: Some(3), ..Retention::default() });
    assert_eq!(kept, Trimmed { first: 3, more: false });
    assert_eq!(stands(stage, "f"), (3, 5, 3));
    a.run(log("f", 6..=7));
    assert_eq!(stands(stage, "f"), (5, 7, 3), "in the appending commit");
    a.run(log("f", 1..=9));
    assert_eq!(stands(stage, "f"), (14, 16, 3), "more than are kept, at once");
    let zero = retain(&mut a, "f", Retention { count: Some(0), ..Retention::default() });
    assert_eq!(zero, Trimmed { first: 16, more: false }, "the newest stays");
}

pub(super) fn lg5_bytes_keep_what_fits_and_always_the_newest(stage: &Stage<'_>) {
    let mut a = stage.join();
    retain(&mut a, "f", Retention { bytes: Some(10), ..Retention::default() });
    a.run(log("f", 1..=9));
    assert_eq!(stands(stage, "f"), (1, 9, 9));
    a.run(log("f", 10..=10));
    assert_eq!(stands(stage, "f"), (2, 10, 10));
    let large = NewMessage { data: Data::Json("x".repeat(50)), schema: 1, key: None, at: None };
    a.run(Append { messages: vec![large], ..append_to(Kind::Log, "f", &[]) });
    assert_eq!(stands(stage, "f"), (11, 11, 50));
    a.run(log("f", 1..=1));
    assert_eq!(stands(stage, "f"), (12, 12, 1));
}

pub(super) fn lg5_an_age_removes_what_is_older_than_the_newest_allows(stage: &Stage<'_>) {
    let mut a = stage.join();
    stage.set_wall(1_000);
    retain(&mut a, "f", Retention { age_ms: Some(100), ..Retention::default() });
    for wall in [1_000, 1_050, 1_100, 1_151] {
        stage.set_wall(wall);
        a.run(log("f", 1..=1));
    }
    assert_eq!(stands(stage, "f"), (3, 4, 2), "exactly so old is kept, older is not");
    stage.set_wall(0);
    a.run(log("f", 1..=1));
    assert_eq!(stands(stage, "f"), (3, 5, 3), "a clock that was set back removes nothing");
    stage.set_wall(9_000);
    assert_eq!(stands(stage, "f"), (3, 5, 3), "only a commit removes");
    let again = retain(&mut a, "f", Retention { age_ms: Some(100), ..Retention::default() });
    assert_eq!(again, Trimmed { first: 5, more: false });
}

pub(super) fn lg5_a_request_removes_from_the_head_only(stage: &Stage<'_>) {
    let mut a = stage.join();
    assert_eq!(trim(&mut a, "f", 9), Trimmed { first: 1, more: false }, "what was never used");
    assert_eq!(stage.view().feed(Kind::Log, &name("f")), Ok(None));
    a.run(log("f", 1..=5));
    assert_eq!(trim(&mut a, "f", 3), Trimmed { first: 3, more: false });
    assert_eq!(trim(&mut a, "f", 2), Trimmed { first: 3, more: false }, "gone is gone");
    assert_eq!(stands(stage, "f"), (3, 5, 3));
    assert_eq!(trim(&mut a, "f", u64::MAX / 2), Trimmed { first: 6, more: false });
    assert_eq!(stands(stage, "f"), (6, 5, 0), "all of it");
}

pub(super) fn lg5_no_sequence_is_used_again(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(log("f", 1..=3));
    trim(&mut a, "f", 4);
    drop(a);
    let mut b = stage.join();
    assert_eq!(last(b.run(log("f", 4..=4))), 4);
    assert_eq!(stands(stage, "f"), (4, 4, 1));
}

pub(super) fn lg5_what_is_removed_at_once_is_bounded(stage: &Stage<'_>) {
    let most = limits::REMOVED_AT_ONCE as u64;
    let mut a = stage.join();
    a.run(log("f", 1..=2 * most + 500));
    let keep = Retention { count: Some(1), ..Retention::default() };
    assert_eq!(retain(&mut a, "f", keep), Trimmed { first: most + 1, more: true });
    a.run(log("f", 1..=2));
    let first = head(stage, Kind::Log, "f").first;
    assert_eq!(first, 2 * most + 3, "so many more than it appends");
    assert_eq!(retain(&mut a, "f", keep), Trimmed { first: 2 * most + 502, more: false });
    a.run(log("g", 1..=most));
    assert_eq!(trim(&mut a, "g", most + 1), Trimmed { first: most + 1, more: false }, "exactly");
}

pub(super) fn lg5_retention_is_what_was_said_last(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let both = Retention { count: Some(4), bytes: Some(2), age_ms: Some(1_000) };
    retain(&mut a, "f", both);
    assert_eq!(head(stage, Kind::Log, "f").retention, both, "before the first message");
    b.run(log("f", 1..=4));
    assert_eq!(stands(stage, "f"), (3, 4, 2), "whatever one of them excludes");
    retain(&mut b, "f", Retention::default());
    a.run(log("f", 1..=9));
    assert_eq!(stands(stage, "f"), (3, 13, 11));
}

pub(super) fn l3_a_stale_token_appends_no_message(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let old = a.hold("l", 100);
    let guarded = |grant| Append { fence: Some(fence("l", grant)), ..log("f", 1..=1) };
    assert_eq!(last(a.run(guarded(old))), 1);
    stage.pass(100);
    let new = b.hold("l", 100);
    assert_eq!(a.run(guarded(old)), Appended::Fenced);
    assert_eq!(last(b.run(guarded(new))), 2);
}

pub(super) fn g2_messages_rolled_back_leave_no_gap(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(log("f", 1..=2));
    retain(&mut a, "f", Retention { count: Some(3), ..Retention::default() });
    a.begin();
    a.apply(log("f", 90..=95));
    a.apply(append_to(Kind::Channel, "new", &[1]));
    a.rollback();
    assert_eq!(stands(stage, "f"), (1, 2, 2), "what was removed is there again");
    assert_eq!(stage.view().feed(Kind::Channel, &name("new")), Ok(None));
    a.begin();
    a.apply(log("f", 3..=3));
    a.session.savepoint().unwrap();
    a.apply(log("f", 99..=99));
    a.session.end_savepoint(false).unwrap();
    assert_eq!(last(a.apply(log("f", 4..=4))), 4);
    a.commit();
    assert_eq!(contents(stage, &of_feed(Kind::Log, "f")), ["2", "3", "4"]);
}

pub(super) fn g5_a_view_never_sees_a_message_that_is_not_committed(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(log("f", 1..=1));
    let mut view = stage.view();
    a.begin();
    a.apply(log("f", 2..=3));
    a.apply(Trim { kind: Kind::Log, feed: target("f"), before: 2 });
    let seen = view.feed_page(&of_feed(Kind::Log, "f")).unwrap();
    assert_eq!((seen.messages.len(), seen.first, seen.head), (1, 1, 1));
    assert_eq!(view.feed(Kind::Log, &name("f")).unwrap().unwrap().last, 1);
    a.commit();
    let seen = view.feed_page(&of_feed(Kind::Log, "f")).unwrap();
    assert_eq!((seen.messages.len(), seen.first, seen.head), (2, 2, 3), "the same view sees it afterwards");
}

pub(super) fn a_feed_says_how_it_stands(stage: &Stage<'_>) {
    let mut a = stage.join();
    let retention = Retention { count: Some(2), ..Retention::default() };
    retain(&mut a, "f", retention);
    let empty = head(stage, Kind::Log, "f");
    assert_eq!((empty.count(), empty.first, empty.last, empty.recorded_at), (0, 1, 0, 0));
    a.run(log("f", 10..=12));
    let head = head(stage, Kind::Log, "f");
    assert_eq!((head.count(), head.first, head.last, head.bytes), (2, 2, 3, 4));
    assert_eq!((head.name.as_str(), head.retention), ("f", retention));
    assert_eq!(head.recorded_at, stage.now().wall_ms);
}

pub(super) fn feeds_are_listed_by_kind_and_name(stage: &Stage<'_>) {
    let mut a = stage.join();
    for feed in ["b", "a", "d", "c"] {
        a.run(append_to(Kind::Log, feed, &[1]));
    }
    a.run(append_to(Kind::Channel, "e", &[1]));
    let listed = |kind, after, limit| -> Vec<String> {
        stage.view().feeds(kind, after, limit).unwrap().into_iter().map(|head| head.name).collect()
    };
    assert_eq!(listed(Kind::Log, None, 9), ["a", "b", "c", "d"]);
    assert_eq!(listed(Kind::Log, Some("a"), 2), ["b", "c"]);
    assert_eq!(listed(Kind::Channel, None, 9), ["e"]);
    let summary = stage.view().summary(stage.now()).unwrap();
    assert_eq!((summary.logs, summary.channels), (4, 1));
}

pub(super) fn an_empty_append_to_a_feed_is_an_error(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.begin();
    let empty = Operation::FeedAppend(append_to(Kind::Log, "f", &[]));
    assert!(Tables::apply(&mut *a.session, &empty).is_err());
    a.rollback();
    assert_eq!(stage.view().feed(Kind::Log, &name("f")), Ok(None));
}
