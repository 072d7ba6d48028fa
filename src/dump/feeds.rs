//! Logs and channels in a dump: each with its subscriptions, then its messages.

use std::borrow::Cow;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::{self, Name};
use millpond_actors::storage::feed::{Head, Kind, Message, Query, Retention};
use millpond_actors::storage::record::Record;
use millpond_actors::storage::subscription::Span;
use serde::{Deserialize, Serialize};

use super::lines::check_size;
use super::payload::Payload;
use super::subjects::ByName;
use super::{Order, Section, Sink, Source, go_on, label, words};
use crate::codec::{from_line, to_json};

pub(super) struct Feeds(pub(super) Kind);

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FeedLine<'a> {
    kind: Cow<'a, str>,
    name: Cow<'a, str>,
    first: u64,
    last: u64,
    recorded_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_ms: Option<u64>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SubscriptionLine<'a> {
    kind: Cow<'a, str>,
    of: Cow<'a, str>,
    name: Cow<'a, str>,
    cursor: u64,
    /// What was acknowledged beyond it: first and last, inclusive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    beyond: Vec<(u64, u64)>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct MessageLine<'a> {
    kind: Cow<'a, str>,
    of: Cow<'a, str>,
    sequence: u64,
    recorded_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    schema: u32,
    #[serde(borrow)]
    data: Payload<'a>,
}

impl Section for Feeds {
    fn word(&self) -> &'static str {
        self.0.word()
    }

    fn read(&self, source: &mut Source<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page = source.view.feeds(self.0, after.as_deref(), limits::PAGE_ROWS)?;
            let Some(last) = page.last() else { return Ok(()) };
            go_on(self.0.word(), &mut after, &last.name)?;
            for head in page {
                if source.wanted.wants(self.word(), &head.name) {
                    self.read_one(source, &head, sink)?;
                }
            }
        }
    }

    fn parse(&self, kind: &str, line: &str) -> Result<Record, String> {
        match kind.strip_prefix(self.word()) {
            Some("") => self.feed(&from_line(line)?),
            Some(".subscription") => self.subscription(from_line(line)?),
            Some(".message") => self.message(from_line(line)?),
            _ => Err(format!("there is no kind \"{}\"", kind.escape_debug())),
        }
    }

    fn order(&self) -> Box<dyn Order> {
        Box::new(Sequences::default())
    }
}

impl Feeds {
    fn read_one(&self, source: &mut Source<'_>, head: &Head, sink: &mut Sink<'_>) -> Result<()> {
        let (kind, name) = (self.0, Name::new(&head.name)?);
        let Head { first, last, recorded_at, retention, .. } = *head;
        sink(Ok(Record::Feed { kind, name: name.clone(), first, last, recorded_at, retention }))?;
        for standing in source.view.subscriptions(kind, &name)? {
            let (feed, subscription) = (name.clone(), Name::new(&standing.name)?);
            let all = Span { first: standing.cursor + 1, last: limits::LAST_SEQUENCE };
            let found = source.view.acknowledged(kind, &name, &subscription, all)?;
            let beyond = found.map(|found| found.beyond).unwrap_or_default();
            let (name, cursor) = (subscription, standing.cursor);
            sink(Ok(Record::Subscription { kind, feed, name, cursor, beyond }))?;
        }
        let (since, until, limit) = (None, None, limits::PAGE_ROWS);
        let mut query = Query {
            kind,
            name: name.clone(),
            backward: false,
            from: first,
            to: last,
            since,
            until,
            limit,
            content: None,
        };
        while query.from <= query.to {
            let page = source.view.feed_page(&query)?;
            for (_, message) in page.messages {
                let record =
                    |message| Record::Message { kind, feed: name.clone(), message: Box::new(message) };
                sink(message.map(record))?;
            }
            match page.last.filter(|_| page.more) {
                Some(last) => query.from = last + 1,
                None => break,
            }
        }
        Ok(())
    }

    fn feed(&self, line: &FeedLine<'_>) -> Result<Record, String> {
        let name = Name::new(&line.name).map_err(words)?;
        let FeedLine { first, last, recorded_at, keep_count, keep_bytes, keep_ms, .. } = *line;
        if [keep_count, keep_bytes, keep_ms].iter().flatten().any(|most| *most > limits::LAST_SEQUENCE) {
            return Err("it keeps more than any store has".into());
        }
        let retention = Retention { count: keep_count, bytes: keep_bytes, age_ms: keep_ms };
        Ok(Record::Feed { kind: self.0, name, first, last, recorded_at, retention })
    }

    fn subscription(&self, line: SubscriptionLine<'_>) -> Result<Record, String> {
        let (feed, name) = (Name::new(line.of).map_err(words)?, Name::new(line.name).map_err(words)?);
        let beyond = line.beyond.into_iter().map(|(first, last)| Span { first, last }).collect();
        Ok(Record::Subscription { kind: self.0, feed, name, cursor: line.cursor, beyond })
    }

    fn message(&self, line: MessageLine<'_>) -> Result<Record, String> {
        let MessageLine { of, sequence, recorded_at, at, key, schema, data, .. } = line;
        let data = data.data()?;
        check_size("the message's data in bytes", data.bytes().len(), limits::MESSAGE_BYTES)?;
        check_size("the message's time in bytes", at.as_deref().map_or(0, str::len), limits::NAME_BYTES)?;
        let checked = key.as_ref().map_or(Ok(()), |key| name::check("key", key, limits::NAME_BYTES));
        checked.map_err(words)?;
        let message = Box::new(Message { sequence, recorded_at, data, schema, key, at });
        Ok(Record::Message { kind: self.0, feed: Name::new(of).map_err(words)?, message })
    }
}

/// The line of a feed, a subscription or a message.
pub(super) fn line(record: &Record) -> Result<String> {
    let (kind, of) = label(record);
    let (kind, of) = (Cow::Borrowed(kind), Cow::Borrowed(of));
    match record {
        Record::Feed { first, last, recorded_at, retention, .. } => {
            let (first, last, recorded_at) = (*first, *last, *recorded_at);
            let Retention { count: keep_count, bytes: keep_bytes, age_ms: keep_ms } = *retention;
            let line = FeedLine { kind, name: of, first, last, recorded_at, keep_count, keep_bytes, keep_ms };
            to_json("a feed", &line)
        }
        Record::Subscription { name, cursor, beyond, .. } => {
            let beyond = beyond.iter().map(|span| (span.first, span.last)).collect();
            let line = SubscriptionLine { kind, of, name: name.as_str().into(), cursor: *cursor, beyond };
            to_json("a subscription", &line)
        }
        Record::Message { message, .. } => {
            let Message { sequence, recorded_at, ref data, schema, ref key, ref at } = **message;
            let (at, key, data) = (at.clone(), key.clone(), Payload::of(data));
            to_json("a message", &MessageLine { kind, of, sequence, recorded_at, at, key, schema, data })
        }
        _ => Ok(String::new()),
    }
}

/// Feeds by name; in each, subscriptions by name and then messages without a gap.
#[derive(Default)]
struct Sequences {
    feeds: ByName,
    now: Option<Under>,
}

/// The feed whose messages come.
struct Under {
    name: Name,
    subscriptions: ByName,
    next: u64,
    last: u64,
    recorded_at: i64,
    newest: i64,
    messages: bool,
}

impl Order for Sequences {
    fn next(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Feed { name, first, last, recorded_at, .. } => {
                self.end()?;
                self.feeds.step(name)?;
                if *first == 0 || *last >= limits::LAST_SEQUENCE || *first > last + 1 {
                    return Err(format!("there are no messages {first} to {last}"));
                }
                let (subscriptions, name) = (ByName::default(), name.clone());
                let (next, last, newest) = (*first, *last, *recorded_at);
                let recorded_at = i64::MIN;
                self.now =
                    Some(Under { name, subscriptions, next, last, recorded_at, newest, messages: false });
                Ok(())
            }
            Record::Subscription { feed, name, cursor, beyond, .. } => {
                let under = self.under(feed)?;
                if under.messages {
                    return Err("a subscription comes behind messages".into());
                }
                under.subscriptions.step(name)?;
                let mut end = (*cursor).min(limits::LAST_SEQUENCE);
                for Span { first, last } in beyond {
                    // They would be one otherwise.
                    if *first <= end + 1 || first > last || *last > limits::LAST_SEQUENCE {
                        return Err(format!("what was acknowledged from {first} to {last} cannot be"));
                    }
                    end = *last;
                }
                // It may have begun behind messages that are still to come.
                if *cursor < limits::LAST_SEQUENCE {
                    Ok(())
                } else {
                    Err(format!("there is no message {cursor}"))
                }
            }
            Record::Message { feed, message, .. } => {
                let under = self.under(feed)?;
                under.messages = true;
                if message.sequence != under.next || message.sequence > under.last {
                    return Err(format!("message {} comes where {} should", message.sequence, under.next));
                }
                under.next += 1;
                if message.recorded_at < under.recorded_at || message.recorded_at > under.newest {
                    return Err(format!("it cannot have been recorded at {}", message.recorded_at));
                }
                under.recorded_at = message.recorded_at;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        match self.now.take() {
            Some(under) if under.next <= under.last => {
                Err(format!("message {} of \"{}\" is missing before it", under.next, under.name))
            }
            _ => Ok(()),
        }
    }
}

impl Sequences {
    fn under(&mut self, feed: &Name) -> Result<&mut Under, String> {
        let under = self.now.as_mut().filter(|under| under.name == *feed);
        under.ok_or_else(|| format!("it is of \"{feed}\", which does not come before it"))
    }
}
