//! `log append`, `range`, `tail`, `list`, and `channel publish`, `subscribe`, `list`.

pub(crate) mod args;

use millpond::blocking::{Delivery, Group, Store};
use millpond::{Error, Extent, From, Message, Stamp};
use serde::Serialize;

use self::args::{Range, Send, Subscribe, Tail};
use crate::failure::{Done, Failure, Unshown, code};
use crate::input::{Json, compacted, json_from};
use crate::show::{Listing, Show, compact_json};
use crate::signals::close_on_signal;
use crate::time::rfc3339;

/// Rows that are laid out together, and names that are asked for at once.
const ROWS: usize = 200;

/// The value and the stamp of a message on the command line.
fn message(send: Send) -> Done<(Json, Stamp)> {
    let value = json_from(send.data)?;
    let mut stamp = Stamp::new();
    if let Some(key) = send.key {
        stamp = stamp.key(key);
    }
    if let Some(at) = send.at {
        stamp = stamp.at(at);
    }
    Ok((value, stamp))
}

fn sent(kind: &str, name: &str, sequence: u64, show: &mut Show) -> Done<u8> {
    if show.is_json() {
        show.json(&serde_json::json!({ kind: name, "sequence": sequence }))?;
    } else {
        show.line(&format!("sequence {sequence}"))?;
    }
    Ok(code::DONE)
}

pub(crate) fn append(store: &Store, send: Send, show: &mut Show) -> Done<u8> {
    let name = send.name.clone();
    let (value, stamp) = message(send)?;
    let sequence = store.log::<Json>(&name).append_with(&value, stamp)?;
    sent("log", &name, sequence, show)
}

pub(crate) fn publish(store: &Store, send: Send, show: &mut Show) -> Done<u8> {
    let name = send.name.clone();
    let (value, stamp) = message(send)?;
    let sequence = store.channel::<Json>(&name).publish_with(&value, stamp)?;
    sent("channel", &name, sequence, show)
}

pub(crate) fn range(store: &Store, range: &Range, show: &mut Show) -> Done<u8> {
    let log = store.log::<Json>(&range.name);
    known("log", &range.name, log.extent()?)?;
    let mut history = log.range(..);
    if let Some(since) = range.since {
        history = history.recorded_since(since);
    }
    if let Some(until) = range.until {
        history = history.recorded_before(until);
    }
    if let Some(limit) = range.limit {
        history = history.limit(limit);
    }
    if range.backward {
        history = history.newest_first();
    }
    if let Some(filter) = &range.filter {
        history = history.matching(filter.clone());
    }
    let mut printer = Printer::new("log range");
    printer.print(history, show)?;
    Ok(printer.code())
}

pub(crate) fn tail(store: &Store, tail: &Tail, show: &mut Show) -> Done<u8> {
    let log = store.log::<Json>(&tail.name);
    let extent = log.extent()?;
    if !tail.follow {
        known("log", &tail.name, extent)?;
    }
    let mut printer = Printer::new("log tail");
    let first = (extent.last + 1).saturating_sub(tail.lines).max(extent.first);
    if let Some(filter) = &tail.filter {
        // The last of those that are wanted, however far back they are.
        let newest = log.range(..=extent.last).newest_first().matching(filter.clone()).limit(tail.lines);
        let mut last: Vec<_> = newest.collect();
        last.reverse();
        printer.print(last.into_iter(), show)?;
    } else if first <= extent.last {
        printer.print(log.range(first..=extent.last), show)?;
    }
    if tail.follow {
        let mut records = log.follow(From::After(extent.last))?;
        if let Some(filter) = &tail.filter {
            records = records.matching(filter.clone())?;
        }
        follow(store, records, &mut printer, show)?;
    }
    Ok(printer.code())
}

pub(crate) fn subscribe(store: &Store, subscribe: &Subscribe, show: &mut Show) -> Done<u8> {
    let channel = store.channel::<Json>(&subscribe.name);
    let limit = usize::try_from(subscribe.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    if subscribe.name.contains('*') {
        return subscribe_all(store, subscribe, limit, show);
    }
    if let Some(group) = &subscribe.group {
        let group = channel.group(group).starting(subscribe.from.unwrap_or(From::Start));
        return share(store, &group, limit, show);
    }
    let mut printer = Printer::new("channel subscribe");
    let Some(durable) = &subscribe.durable else {
        let from = subscribe.from.unwrap_or(From::Now);
        follow(store, channel.subscribe_from(from)?.take(limit), &mut printer, show)?;
        return Ok(printer.code());
    };
    let durable = channel.durable(durable).starting(subscribe.from.unwrap_or(From::Start));
    let _ear = close_on_signal(store)?;
    let mut consumer = match durable.consume() {
        Err(Error::Closed) => return Ok(printer.code()),
        consumer => consumer?,
    };
    for _ in 0..limit {
        let Some(found) = consumer.next() else { break };
        let Some(sequence) = printer.one(found, show)? else { continue };
        show.flush()?;
        match consumer.ack(sequence) {
            // It was printed, and comes again: it is not known to have been.
            Err(Error::Closed) => break,
            acknowledged => acknowledged?,
        }
    }
    Ok(printer.code())
}

/// As one of a group: each message is acknowledged when it was printed.
fn share(store: &Store, group: &Group<Json>, limit: usize, show: &mut Show) -> Done<u8> {
    let mut printer = Printer::new("channel subscribe");
    let _ear = close_on_signal(store)?;
    let mut member = match group.join() {
        Err(Error::Closed) => return Ok(printer.code()),
        member => member?,
    };
    for _ in 0..limit {
        let Some(found) = member.next() else { break };
        let (found, delivery) = match found {
            Ok(delivery) => (Ok(Message::clone(&delivery)), Some(delivery)),
            Err(error) => (Err(error), None),
        };
        printer.one(found, show)?;
        show.flush()?;
        match delivery.map_or(Ok(()), Delivery::ack) {
            // It was printed, and comes again: it is not known to have been, or is another's meanwhile.
            Err(Error::Closed) => break,
            acknowledged => acknowledged?,
        }
    }
    // A store that was closed by a signal has let everything go.
    match member.leave() {
        Err(Error::Closed | Error::Lost { .. }) | Ok(()) => Ok(printer.code()),
        Err(error) => Err(error.into()),
    }
}

/// The channels of a pattern.
fn subscribe_all(store: &Store, subscribe: &Subscribe, limit: usize, show: &mut Show) -> Done<u8> {
    if subscribe.durable.is_some() || subscribe.group.is_some() {
        return Err(Failure::Usage(
            "a durable subscription is one of a single channel, not of a pattern".into(),
        ));
    }
    let from = subscribe.from.unwrap_or(From::Now);
    let mut printer = Printer::of_many("channel subscribe");
    let messages = store.channels::<Json>(&subscribe.name).subscribe_from(from)?;
    follow(store, messages.take(limit), &mut printer, show)?;
    Ok(printer.code())
}

/// Prints what comes, at once, until the end or a signal.
fn follow(
    store: &Store,
    messages: impl Iterator<Item = millpond::Result<Message<Json>>>,
    printer: &mut Printer,
    show: &mut Show,
) -> Done<()> {
    show.flush()?;
    let _ear = close_on_signal(store)?;
    for found in messages {
        printer.one(found, show)?;
        show.flush()?;
    }
    Ok(())
}

/// What was never used does not exist.
fn known(kind: &str, name: &str, extent: Extent) -> Done<()> {
    if extent.last == 0 { Err(Failure::Failed(format!("there is no {kind} \"{name}\""))) } else { Ok(()) }
}

pub(crate) fn list_logs(store: &Store, show: &mut Show) -> Done<u8> {
    list("log", |after| store.inspect().logs(after, ROWS as u32), show)
}

pub(crate) fn list_channels(store: &Store, show: &mut Show) -> Done<u8> {
    list("channel", |after| store.inspect().channels(after, ROWS as u32), show)
}

fn list(
    kind: &str,
    page: impl Fn(Option<&str>) -> millpond::Result<Vec<(String, Extent)>>,
    show: &mut Show,
) -> Done<u8> {
    let mut listing = Listing::new(&["name", "kept", "first", "last", "bytes", "last at"]);
    let mut after: Option<String> = None;
    let mut any = false;
    loop {
        let found = page(after.as_deref())?;
        let Some((last, _)) = found.last() else { break };
        (after, any) = (Some(last.clone()), true);
        let mut rows = Vec::new();
        for (name, extent) in &found {
            if show.is_json() {
                show.json(&serde_json::json!({
                    kind: name,
                    "first": extent.first,
                    "last": extent.last,
                    "kept": extent.count(),
                    "bytes": extent.bytes,
                    "recorded": rfc3339(extent.recorded_at_ms),
                    "keep_count": extent.retention.max_count(),
                    "keep_bytes": extent.retention.max_bytes(),
                    "keep_ms": extent.retention.max_age().map(|age| age.as_millis() as u64),
                }))?;
                continue;
            }
            let time = show.moment(rfc3339(extent.recorded_at_ms));
            let numbers = [extent.count(), extent.first, extent.last, extent.bytes];
            let mut row = vec![name.clone()];
            row.extend(numbers.map(|number| number.to_string()));
            row.push(time);
            rows.push(row);
        }
        if !rows.is_empty() {
            show.rows(&mut listing, rows)?;
        }
    }
    if !any && !show.is_json() {
        show.line(&format!("no {kind} was used yet"))?;
    }
    Ok(code::DONE)
}

/// Prints messages, and remembers whether one of them could not be.
struct Printer {
    listing: Listing,
    /// Whether it says of each message which channel it is of.
    named: bool,
    unshown: Unshown,
}

impl Printer {
    fn new(command: &'static str) -> Printer {
        let listing = Listing::new(&["sequence", "time", "key", "data"]);
        Printer { listing, named: false, unshown: Unshown::new(command) }
    }

    /// For messages of several channels.
    fn of_many(command: &'static str) -> Printer {
        let listing = Listing::new(&["channel", "sequence", "time", "key", "data"]);
        Printer { listing, named: true, unshown: Unshown::new(command) }
    }

    /// Prints messages that are there, many at a time.
    fn print(
        &mut self,
        messages: impl Iterator<Item = millpond::Result<Message<Json>>>,
        show: &mut Show,
    ) -> Done<()> {
        let mut rows = Vec::new();
        for found in messages {
            let Some(message) = self.sound(found)? else { continue };
            if show.is_json() {
                show.json(&self.as_json(&message)?)?;
                continue;
            }
            rows.push(self.row(&message, show));
            if rows.len() == ROWS {
                show.rows(&mut self.listing, std::mem::take(&mut rows))?;
            }
        }
        if !rows.is_empty() {
            show.rows(&mut self.listing, rows)?;
        }
        Ok(())
    }

    /// Prints one message. Its sequence, unless it is none.
    fn one(&mut self, found: millpond::Result<Message<Json>>, show: &mut Show) -> Done<Option<u64>> {
        let Some(message) = self.sound(found)? else { return Ok(None) };
        if show.is_json() {
            show.json(&self.as_json(&message)?)?;
        } else {
            let row = self.row(&message, show);
            show.rows(&mut self.listing, vec![row])?;
        }
        Ok(Some(message.sequence()))
    }

    /// The end of the store is no message.
    fn sound(&mut self, found: millpond::Result<Message<Json>>) -> Done<Option<Message<Json>>> {
        if matches!(found, Err(Error::Closed)) { Ok(None) } else { self.unshown.sound(found) }
    }

    fn code(&self) -> u8 {
        self.unshown.code()
    }

    fn row(&self, message: &Message<Json>, show: &Show) -> Vec<String> {
        let time = show.moment(message.at().map_or_else(|| rfc3339(message.recorded_at_ms()), str::to_owned));
        let key = show.quarter(message.key().unwrap_or(""));
        let name = self.named.then(|| show.quarter(message.name()));
        let rest = [message.sequence().to_string(), time, key, compact_json(message.get())];
        name.into_iter().chain(rest).collect()
    }

    fn as_json<'a>(&self, message: &'a Message<Json>) -> Done<Shown<'a>> {
        Ok(Shown {
            channel: self.named.then(|| message.name()),
            sequence: message.sequence(),
            key: message.key(),
            time: message.at(),
            recorded: rfc3339(message.recorded_at_ms()),
            schema: message.schema(),
            data: compacted(message)?,
        })
    }
}

/// A message for programs: a line, whatever white space its content was stored with.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
    recorded: String,
    schema: u32,
    data: Json,
}
