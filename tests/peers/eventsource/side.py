"""The side of eventsource-py: tasks on one event loop. It takes the arguments of the other sides and answers the same line."""

import argparse
import asyncio
import json
import math
import platform
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path
from uuid import UUID, uuid4

from eventsource import (
    AggregateRepository,
    DeciderAggregate,
    DomainCommand,
    DomainEvent,
    ExpectedVersion,
    InMemoryEventBus,
    OptimisticLockError,
    SQLCheckpointRepository,
    SQLiteEventStore,
    StreamId,
    create_async_engine,
    register_event,
)
from eventsource.adapters.sqlite.snapshots import SQLiteSnapshotStore
from eventsource.application.subscriptions import SubscriptionConfig, SubscriptionManager
from pydantic import BaseModel

# As in ../src/lib.rs.
PAYLOAD = "x" * 100
STREAMS = 100
PROJECTED = 1_000
PROJECTION = "all"
CHUNK = 1_000

# Events between two snapshots: it loads an aggregate before each command. Of 5, 20, 100 and none this was the best over all.
SNAPSHOT = 20

KIND = "notes"


@register_event
class Noted(DomainEvent):
    aggregate_type: str = KIND
    text: str


class Note(DomainCommand):
    notes: UUID


class Counted(BaseModel):
    events: int = 0
    length: int = 0


class Notes(DeciderAggregate[Counted, Note]):
    """Counts what was noted."""

    aggregate_type = KIND

    @staticmethod
    def initial_state():
        return Counted()

    @staticmethod
    def decide(command, state):
        return [Noted(aggregate_id=command.notes, text=PAYLOAD)]

    @staticmethod
    def evolve(state, event):
        return Counted(events=state.events + 1, length=state.length + len(event.text))


def times(each):
    """Half of them took so long at most, and all but a hundredth."""
    each = sorted(each)
    at = lambda part: round(each[math.floor((len(each) - 1) * part)] * 1e6, 1)
    return {"per_second": None, "p50_us": at(0.5), "p99_us": at(0.99), "retries": None}


def rate(count, elapsed):
    return {"per_second": round(count / elapsed, 1), "p50_us": None, "p99_us": None, "retries": None}


async def drive(callers, seconds):
    """Has tasks call for a while, one call at a time each. The first call of each is not counted."""
    await asyncio.gather(*(caller() for caller in callers))
    began, each = time.perf_counter(), []

    async def call(caller):
        while (start := time.perf_counter()) - began < seconds:
            await caller()
            each.append(time.perf_counter() - start)

    await asyncio.gather(*map(call, callers))
    return times(each) | {"per_second": round(len(each) / (time.perf_counter() - began), 1)}


async def fill(store, notes, events):
    """Gives an aggregate so many events."""
    stream = StreamId(notes, KIND)
    for first in range(0, events, CHUNK):
        versions = range(first + 1, min(first + CHUNK, events) + 1)
        chunk = [Noted(aggregate_id=notes, aggregate_version=version, text=PAYLOAD) for version in versions]
        await store.append(stream, chunk, ExpectedVersion.exact(first))


async def append(store, _, asked):
    notes, count = uuid4(), 0
    stream = StreamId(notes, KIND)

    async def caller():
        nonlocal count
        event = Noted(aggregate_id=notes, aggregate_version=count + 1, text=PAYLOAD)
        await store.append(stream, [event], ExpectedVersion.exact(count))
        count += 1

    return await drive([caller], asked.seconds)


async def command(store, file, asked):
    done = again = 0
    async with SQLiteSnapshotStore(file, enable_tracing=False) as snapshots:
        repository = AggregateRepository(
            store, Notes, snapshot_store=snapshots, snapshot_threshold=SNAPSHOT, enable_tracing=False
        )

        def caller(notes):
            async def call():
                nonlocal done, again
                while True:
                    try:
                        await repository.execute(notes, Note(notes=notes))
                    except OptimisticLockError:
                        again += 1
                    else:
                        done += 1
                        return

            return call

        all_notes = [uuid4() for _ in range(asked.aggregates)]
        callers = [caller(all_notes[number % asked.aggregates]) for number in range(asked.callers)]
        measured = await drive(callers, asked.seconds)
        written = sum([await repository.get_version(notes) for notes in all_notes])
    if written != done:
        raise RuntimeError(f"{done} commands were executed, and there are {written} events")
    return measured | {"retries": round(again / done, 2)}


async def load(store, _, asked):
    repository, notes, each = AggregateRepository(store, Notes, enable_tracing=False), uuid4(), []
    await fill(store, notes, asked.events)
    for _ in range(asked.rounds):
        began = time.perf_counter()
        loaded = await repository.load(notes)
        each.append(time.perf_counter() - began)
        assert loaded.state.events == asked.events, "all of it is loaded"
    return times(each)


async def read_all(store, _, asked):
    for _ in range(STREAMS):
        await fill(store, uuid4(), asked.events // STREAMS)
    began, read = time.perf_counter(), 0
    async for _ in store.read_all():
        read += 1
    measured = rate(read, time.perf_counter() - began)
    if read != asked.events:
        raise RuntimeError(f"{read} of {asked.events} were read")
    return measured


class Looker:
    """Has nothing to do with an event, but remembers that it was there."""

    def __init__(self):
        self.seen = []

    def subscribed_to(self):
        return [Noted]

    async def handle(self, event):
        self.seen.append(event.event_id.int)


class BatchLooker(Looker):
    """The same with all that are read at once, which is faster."""

    async def handle_batch(self, events):
        self.seen.extend(event.event_id.int for event in events)


async def catch_up(store, file, asked):
    for _ in range(PROJECTED):
        await fill(store, uuid4(), asked.events // PROJECTED)
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
    async with engine.connect() as connection:
        said = [(await connection.exec_driver_sql(f"PRAGMA {it}")).scalar() for it in ("journal_mode", "synchronous")]
    if said != ["wal", 2]:
        raise RuntimeError(f"checkpoints are kept with {said}")
    checkpoints = SQLCheckpointRepository(engine, enable_tracing=False)
    looker, config = Looker(), SubscriptionConfig()
    if asked.batch is not None:
        looker, config = BatchLooker(), SubscriptionConfig(batch_size=asked.batch)
    began = time.perf_counter()
    bus = InMemoryEventBus(enable_tracing=False)
    manager = SubscriptionManager(store, bus, checkpoints, enable_tracing=False)
    await manager.subscribe(looker, config, name=PROJECTION)
    # It returns when the subscription has caught up, and is live.
    started = await manager.start()
    measured = rate(asked.events, time.perf_counter() - began)
    # Before it is stopped: what is saved then is too late.
    saved, head = await checkpoints.get_position(PROJECTION), await store.current_position()
    await manager.stop()
    await engine.dispose()
    written = [envelope.event.event_id.int async for envelope in store.read_all()]
    if started[PROJECTION] is not None:
        raise started[PROJECTION]
    if len(written) != asked.events or looker.seen != written:
        raise RuntimeError(f"of {asked.events} events not each was handled once, in order")
    if saved is None or saved != head:
        raise RuntimeError(f"it has come to {saved} of {head}")
    return measured


async def settings(store):
    """Only the store's own connection knows how it commits, so that one is asked, though it is not for users."""

    async def said(pragma):
        return (await (await (await store._conn()).execute(f"PRAGMA {pragma}")).fetchone())[0]

    journal, synchronous = await said("journal_mode"), await said("synchronous")
    synchronous = ["OFF", "NORMAL", "FULL", "EXTRA"][synchronous]
    return (
        f"eventsource-py {version('eventsource-py')}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {journal.upper()}, synchronous={synchronous}"
    )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    workloads = parser.add_subparsers(required=True)

    def workload(name, function, **values):
        one = workloads.add_parser(name)
        one.set_defaults(function=function)
        for value, kind in values.items():
            one.add_argument(value, type=kind)
        return one

    workload("append", append, seconds=float)
    workload("command", command, callers=int, aggregates=int, seconds=float)
    workload("load", load, events=int, rounds=int)
    workload("read-all", read_all, events=int)
    workload("catch-up", catch_up, events=int).add_argument("batch", type=int, nargs="?")
    return parser.parse_args()


async def main():
    asked = arguments()
    asked.folder.mkdir(parents=True, exist_ok=True)
    file = str(asked.folder / "peer.db")
    async with SQLiteEventStore(file) as store:
        print(json.dumps({"measured": await asked.function(store, file, asked), "settings": await settings(store)}))


if __name__ == "__main__":
    asyncio.run(main())
