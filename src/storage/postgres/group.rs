//! What a group goes through: the turn and what is read with it, what is fetched, what is written; and how a process comes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use millpond_actors::clock::{Clock as _, SystemClock};
use millpond_actors::engine::counter::Counter;
use millpond_actors::engine::gaps::Edge;
use millpond_actors::engine::table::Transactional;
use millpond_actors::engine::{Caller, Operates, Store};
use millpond_actors::error::{Error, Occupant, Result};
use millpond_actors::failpoint::{Point, reach};
use millpond_actors::storage::{Identity, Moment, Session, Standing};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::connection::{Ahead, Step};
use super::ground::{Ground, longer};
use super::param::{Param, signed};
use super::presence::Presence;
use super::session::{PostgresSession, refused};
use super::turn;
use super::{error, tables};

/// Rows that are kept from group to group at most.
const ROWS: usize = 100_000;

/// So many rows of a range are fetched at first: mostly the first of them is enough.
const FIRST: usize = 8;

/// How often a group is begun again that has run into another transaction.
const AGAIN: u32 = 3;

/// A start that was sent ahead.
pub(super) struct Begun {
    sent: Ahead,
    /// When the commit before it was answered, behind which the server has done it.
    boot_ms: u64,
}

impl PostgresSession {
    /// Registers the process.
    pub(super) fn join(
        ground: Arc<Ground>,
        identity: &Identity,
        now: &dyn Fn() -> Moment,
    ) -> Result<PostgresSession> {
        let line = ground.connect()?;
        let presence = Presence::open(&ground.wire, &ground.address, ground.place.oid)?;
        let mut session = PostgresSession {
            store: Store::elsewhere(ground.fields, FIRST),
            ground,
            line,
            presence,
            identity: identity.clone(),
            process: 0,
            least_ttl_ms: u64::MAX,
            has_turn: false,
            begun: false,
            open: None,
            generation: None,
            position: 0,
            last_group: 0,
            watched: false,
            others: true,
            expects_more: false,
            ahead: None,
            foresees: false,
            missed: false,
            foreseen: VecDeque::new(),
            broken: false,
            left: false,
            doubted: None,
            pause: Duration::ZERO,
        };
        session.take_turn(true)?;
        let registered = reach(Point::BeforeJoin).and_then(|()| {
            let now = now();
            session.enter(now);
            session.register(now)?;
            session.operate(|store, me| {
                store.bury_the_dead(me);
                Ok(())
            })?;
            reach(Point::WithinJoin)?;
            session.write()
        });
        session.leave_turn();
        // Others may come before the first group that could find out.
        session.others = true;
        registered.and_then(|()| reach(Point::AfterJoin)).map(|()| session)
    }

    /// Takes the turn, opens a transaction and reads where the store stands; `false` if somebody else has the turn and is not to be
    /// waited for.
    pub(super) fn start(&mut self, wait: bool) -> Result<bool> {
        if let Some(Begun { sent, boot_ms }) = self.ahead.take() {
            self.begun = true;
            match self.line.answers(sent) {
                Ok(answers) if turn::got(&answers)? => {
                    return self.started(&answers, boot_ms).map(|()| true);
                }
                // Whatever it was, it is asked for anew.
                _ => self.end_transaction(),
            }
        }
        let steps = turn::steps(&self.ground, wait, self.process);
        let answers = match self.line.is_closed() {
            true => self.connect(wait).and_then(|()| self.line.all(&steps)),
            // Mostly it is found only now that the connection was lost, and another one is to be had.
            false => self.line.all(&steps).or_else(|error| match self.line.is_closed() {
                true => self.connect(false).and_then(|()| self.line.all(&steps)),
                false => Err(error),
            }),
        }?;
        self.begun = true;
        if !wait && !turn::got(&answers)? {
            self.end_transaction();
            return Ok(false);
        }
        self.started(&answers, SystemClock.boot_ms()).map(|()| true)
    }

    /// Takes over what whoever has the turn reads first. `boot_ms`: when the server answered that.
    fn started(&mut self, answers: &[Vec<Row>], boot_ms: u64) -> Result<()> {
        let found = turn::Found::read(answers)?;
        if self.generation != Some(found.generation) {
            self.store.forget_all_but_names();
            turn::take_own(&mut self.store, answers, self.process)?;
            self.generation = Some(found.generation);
        }
        self.ground.clock.heard(found.server_ms, boot_ms);
        self.store.living.forget();
        self.store.last_process = found.process;
        (self.others, self.watched) = (found.processes > 1, found.watched);
        for (counter, value) in Counter::ALL.into_iter().zip(&found.counters) {
            self.store.counters.put_at_once(counter, value.cast_unsigned());
        }
        self.store.counters.know(Edge::First, Edge::Last);
        self.position = self.store.counter(Counter::Position);
        Ok(())
    }

    /// The transaction on the server is over, whatever it has come to.
    pub(super) fn end_transaction(&mut self) {
        let begun = std::mem::take(&mut self.begun) | self.ahead.take().is_some();
        if begun && self.line.script("ROLLBACK").is_err() {
            self.generation = None;
        }
    }

    /// Takes another connection. `patient`: if the server was not there a moment ago, it is given a while first.
    pub(super) fn connect(&mut self, patient: bool) -> Result<()> {
        if patient && !self.pause.is_zero() {
            self.ground.pause(self.pause);
        }
        self.pause = longer(self.pause);
        // What is known was read over another connection, which may have been to another server.
        (self.generation, self.begun) = (None, false);
        (self.line, self.pause) = (self.ground.connect()?, Duration::ZERO);
        Ok(())
    }

    pub(super) fn enter(&mut self, now: Moment) {
        let boot = Arc::from(self.identity.boot.as_str());
        self.open = Some(Caller { process: self.process, boot, now });
        self.store.living.add_own(self.process);
    }

    /// Becomes a process of a new id.
    pub(super) fn register(&mut self, now: Moment) -> Result<()> {
        let mut process = self.store.last_process + 1;
        // Before the row: who has one and holds no lock is dead.
        while !self.presence.claim(process)? {
            process += 1;
        }
        self.line.script(
            "DELETE FROM @listener l WHERE NOT EXISTS (SELECT 1 FROM @process p WHERE p.id = l.process)",
        )?;
        (self.process, self.store.last_process) = (process, process);
        self.enter(now);
        let (identity, last_group) = (self.identity.clone(), self.last_group);
        self.operate(|store, _| {
            store.register(process, &identity, now, last_group);
            Ok(())
        })
    }

    /// Puts this process's own house in order.
    pub(super) fn settle_in(&mut self, now: Moment) -> Result<Standing> {
        let mut standing = Standing::Good;
        if !self.operate(|store, me| Ok(store.processes.get(&me.process).is_some()))? {
            self.register(now)?;
            standing = Standing::Lapsed;
        }
        let least_ttl_ms = self.least_ttl_ms;
        if self.operate(|store, me| Ok(store.stand(me, least_ttl_ms)))? == Standing::Lapsed {
            standing = Standing::Lapsed;
        }
        Ok(standing)
    }

    /// Fetches what was looked for and is not here.
    pub(super) fn fetch(&mut self) -> Result<()> {
        tables::fetch(&mut self.store, &self.line, self.ground.place.oid, [])
    }

    /// Writes what the group has changed, and commits.
    pub(super) fn write(&mut self) -> Result<()> {
        let generation = self.generation.unwrap_or_default() + 1;
        let mut attempts = 0;
        let ahead = loop {
            let mut steps = tables::save(&self.store);
            let counters =
                Counter::ALL.into_iter().map(|counter| Some(self.store.counter(counter).cast_signed()));
            let values = vec![
                Param::Int(signed(generation)),
                Param::Int(signed(self.store.last_process)),
                Param::Ints(counters.collect()),
            ];
            steps.push(Step::new(
                "UPDATE @store SET generation = $1, process = $2, counters = $3 WHERE id = 1",
                values,
            ));
            steps.push(Step::commit());
            let failure = match self.next_start() {
                None => match self.line.try_all(&steps) {
                    Ok(_) => break None,
                    Err(failure) => failure,
                },
                Some(next) => match self.line.try_all_ahead_of(&steps, next) {
                    Ok(sent) => break Some(Begun { sent, boot_ms: SystemClock.boot_ms() }),
                    Err(failure) => failure,
                },
            };
            drop(steps);
            let passes = failure.code().is_some_and(|code| {
                [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)
            });
            attempts += 1;
            // What it rests on is here: if nobody has written meanwhile, it is as right as before.
            let is_same = passes && attempts <= AGAIN && self.starts_again(generation - 1)?;
            if !is_same {
                self.end_transaction();
                return Err(error::database(&failure));
            }
        };
        (self.begun, self.ahead) = (false, ahead);
        self.generation = Some(generation);
        self.store.commit();
        self.position = self.store.counter(Counter::Position);
        self.let_go();
        Ok(())
    }

    /// What the next group begins with, if it can be sent behind this one's commit: nobody else is there who could want the turn.
    fn next_start(&self) -> Option<Vec<Step<'static>>> {
        (self.expects_more && !self.others).then(|| turn::steps(&self.ground, false, self.process))
    }

    fn starts_again(&mut self, generation: u64) -> Result<bool> {
        self.end_transaction();
        let steps = turn::steps(&self.ground, true, self.process);
        let answers = self.line.all(&steps)?;
        self.begun = true;
        Ok(turn::Found::read(&answers)?.generation == generation)
    }

    /// What was written and is hardly looked at again is not kept here, and nothing is if it has become too much.
    pub(super) fn let_go(&mut self) {
        let store = &mut self.store;
        store.events.forget();
        store.event_ids.forget();
        store.versions.forget();
        store.categories.forget();
        store.messages.forget();
        store.chunks.forget();
        if store.rows() > ROWS {
            store.forget();
        }
    }

    /// What must be so before a group can be opened.
    pub(super) fn check_ready(&self) -> Result<()> {
        if self.left {
            return Err(Error::Closed);
        }
        if self.broken {
            return Err(refused("the connection is broken since a commit failed"));
        }
        if self.open.is_some() {
            return Err(refused("a transaction is open already"));
        }
        if !self.has_turn {
            let process = self.turn_holder().map_or(Occupant::Unknown, |turn| turn.occupant);
            return Err(Error::Busy { process, held_for: Duration::ZERO });
        }
        Ok(())
    }

    pub(super) fn undo(&mut self) {
        self.foreseen.clear();
        // Whoever foresaw may have fallen over.
        self.foresees = false;
        if self.open.take().is_some() {
            self.store.rollback();
        }
        self.end_transaction();
    }

    /// How often the server was waited for.
    #[cfg(test)]
    pub(super) fn trips(&self) -> u64 {
        self.line.trips()
    }
}
