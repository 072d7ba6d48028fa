//! What comes back to the actor from readers and from the writer.

use std::collections::HashSet;

use actix::prelude::*;

use super::knowing::Found;
use super::loading::Loaded;
use super::model::Model;
use super::waiting::{Item, Order};
use super::{AggregateActor, Phase};
use crate::error::{Error, Expected, Result};
use crate::storage::Outcome;
use crate::storage::batch::Applied;
use crate::storage::stream::{Appended, Checked, Head};
use crate::stream::placed;
use crate::supervisor::Stay;

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Go;

impl<M: Model> Handler<Go> for AggregateActor<M> {
    type Result = ();

    fn handle(&mut self, _: Go, context: &mut Self::Context) {
        self.go(context);
    }
}

/// A reader has loaded the aggregate. Whoever waits for it keeps the actor.
pub(super) struct Came<M>(
    pub(super) Result<Loaded<M>>,
    #[allow(dead_code, reason = "held for its count")] pub(super) Stay,
);

impl<M: Model> Message for Came<M> {
    type Result = ();
}

impl<M: Model> Handler<Came<M>> for AggregateActor<M> {
    type Result = ();

    fn handle(&mut self, Came(loaded, _): Came<M>, context: &mut Self::Context) {
        match loaded {
            Ok(loaded) => {
                self.phase = Phase::Ready(loaded);
                self.go(context);
            }
            Err(error) => {
                self.phase = Phase::Absent;
                self.line.drain(..).for_each(|item| item.fail(error.clone()));
            }
        }
    }
}

/// A reader has looked for what so many commands have led to, in the order in which they wait.
pub(super) struct Recalled<M: Model>(
    pub(super) Result<Vec<Found<M>>>,
    pub(super) usize,
    #[allow(dead_code, reason = "held for its count")] pub(super) Stay,
);

impl<M: Model> Message for Recalled<M> {
    type Result = ();
}

impl<M: Model> Handler<Recalled<M>> for AggregateActor<M> {
    type Result = ();

    fn handle(&mut self, Recalled(found, asked, _): Recalled<M>, context: &mut Self::Context) {
        let Phase::Recalling(loaded) = std::mem::replace(&mut self.phase, Phase::Absent) else { return };
        let failed = |error: Error| (0..asked).map(|_| Err(error.clone())).collect();
        let mut found = found.unwrap_or_else(failed).into_iter();
        let mut ids = HashSet::new();
        for item in std::mem::take(&mut self.line) {
            // Behind another with the same id it is not known before that one is done.
            let first = item.id().is_none_or(|id| ids.insert(id));
            match (item.unknown().and_then(|_| found.next()), item) {
                (Some(Ok(Some(known))), Item::Execute(order)) => order.reply.answer(Ok(known.verdict())),
                (Some(Ok(None)), Item::Execute(order)) => {
                    self.line.push_back(Item::Execute(Order { is_new: first, ..order }));
                }
                (Some(Err(error)), item) => item.fail(error),
                (_, item) => self.line.push_back(item),
            }
        }
        // Whoever has come meanwhile is looked up when these have gone: they do not wait for him.
        match self.line.front() {
            Some(first) if first.unknown().is_none() => self.take_off(loaded, context),
            _ => {
                self.phase = Phase::Ready(loaded);
                self.go(context);
            }
        }
    }
}

/// The append is committed, or refused.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Landed(pub(super) Result<Option<Appended>>);

/// What came of the first part of a flight with effects; `None` if that appended nothing.
pub(super) fn appended(applied: Applied) -> Result<Option<Appended>> {
    let first = match applied {
        Applied::Done(outcomes) => outcomes.into_iter().next(),
        Applied::Refused { part: 0, outcome } => Some(*outcome),
        Applied::Refused { .. } => None,
    };
    match first {
        Some(Outcome::StreamAppend(appended)) => Ok(Some(appended)),
        Some(Outcome::StreamCheck(Checked::Stands)) => Ok(None),
        Some(Outcome::StreamCheck(Checked::Conflict { actual })) => Ok(Some(Appended::Conflict { actual })),
        _ => Err(Error::Storage { detail: "an effect of a command was refused".into() }),
    }
}

impl<M: Model> Handler<Landed> for AggregateActor<M> {
    type Result = ();

    fn handle(&mut self, Landed(outcome): Landed, context: &mut Self::Context) {
        let Phase::Flying(mut loaded, flight) = std::mem::replace(&mut self.phase, Phase::Absent) else {
            return;
        };
        if let Ok(Some(Appended::Conflict { actual })) = outcome {
            return self.conflict(flight, loaded.id, actual, context);
        }
        if let Ok(Some(Appended::Done { stream, .. })) = outcome {
            loaded.id = Some(stream);
        }
        let expected = Expected::Version(flight.base);
        let place = |appended: Appended| placed(&self.name, expected, None, &appended);
        match outcome.and_then(|appended| appended.map(place).transpose()) {
            Ok(last) => self.land(loaded, flight, last, context),
            Err(error) => self.come_to_nothing(flight, &error, context),
        }
    }
}

/// The store's own version of the stream, for a flight without events.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Compared(pub(super) Result<Option<Head>>);

impl<M: Model> Handler<Compared> for AggregateActor<M> {
    type Result = ();

    fn handle(&mut self, Compared(head): Compared, context: &mut Self::Context) {
        let Phase::Flying(loaded, flight) = std::mem::replace(&mut self.phase, Phase::Absent) else { return };
        match head.map(|head| head.map_or(0, |head| head.version)) {
            Ok(version) if version == loaded.version => self.land(loaded, flight, None, context),
            Ok(actual) => self.conflict(flight, loaded.id, actual, context),
            Err(error) => self.come_to_nothing(flight, &error, context),
        }
    }
}
