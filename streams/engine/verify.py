"""Is what a cluster holds what folding again gives? Rows against the journal, ids against what was sent (ENGINE 5).

`python -m streams.engine.verify` compares with settings from the environment: it prints one JSON object and ends with 1
if anything differs.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiokafka import TopicPartition

from schemas import wire
from streams.engine.boot import partition_counts
from streams.engine.envelopes import SOURCE_PREFIX
from streams.engine.fold import JournalFold
from streams.engine.journal import Journal
from streams.engine.replay import MakeController, Replayed, replay
from streams.settings import WorkerSettings, read_settings
from topics.catalogue import COMMANDS, DECISIONS, JOURNAL, REQUEST, Keyspace, Topic
from topics.connect import Connect

SENT = (*COMMANDS.values(), *DECISIONS.values(), REQUEST)
"""Topics whose ids must be exactly those that folding gives."""


class Verdict(msgspec.Struct, frozen=True):
    """What differs, as sentences; a digest of all rows and ids; how many rows and ids were compared."""

    differences: tuple[str, ...]
    sha256: str
    rows: int
    ids: int


async def verify(settings: WorkerSettings, make: Mapping[Keyspace, MakeController]) -> Verdict:
    """Compare all partitions; outputs that a pause withheld count as missing, so compare without pauses."""
    connect = Connect(settings.kafka)
    counts = await partition_counts(connect, "verify")
    histories = await _histories(connect, settings.worker.app_id, counts[JOURNAL.name])
    replays = {number: await replay(connect, settings.worker.app_id, number, counts, make) for number in histories}
    differences = [
        sentence
        for number, history in histories.items()
        for sentence in (*_rows_that_differ(number, history, replays[number]), *_left(number, history))
    ]
    sent = {topic.name: await _sent(connect, topic, counts[topic.name]) for topic in SENT}
    differences += _ids_that_differ(sent, replays.values())
    return Verdict(
        tuple(differences),
        _digest(replays),
        sum(len(found.rows) for found in replays.values()),
        sum(len(ids) for found in replays.values() for ids in found.ids.values()),
    )


async def _histories(connect: Connect, app_id: str, partitions: int) -> dict[int, JournalFold]:
    journal = Journal(connect, "verify", app_id)
    await journal.start(partitions)
    try:
        ends = await journal.ends(list(range(partitions)))
        return {number: await journal.read(number, end, whole=True) for number, end in ends.items()}
    finally:
        await journal.stop()


def _rows_that_differ(number: int, history: JournalFold, found: Replayed) -> list[str]:
    names = sorted({*history.rows, *found.rows})
    return [f"partition {number}: row {name}" for name in names if history.rows.get(name) != found.rows.get(name)]


def _left(number: int, history: JournalFold) -> list[str]:
    return [f"partition {number}: {len(history.outbox)} outputs were never acknowledged"] if history.outbox else []


def _ids_that_differ(sent: Mapping[str, set[str]], replays: Iterable[Replayed]) -> list[str]:
    wanted: dict[str, set[str]] = {name: set() for name in sent}
    for found in replays:
        for name, ids in found.ids.items():
            if name in wanted:
                wanted[name].update(ids)
    missing = [f"{name}: {i} was never sent" for name, ids in wanted.items() for i in sorted(ids - sent[name])]
    phantom = [f"{name}: {i} follows from nothing" for name, ids in sent.items() for i in sorted(ids - wanted[name])]
    return missing + phantom


async def _sent(connect: Connect, topic: Topic, partitions: int) -> set[str]:
    """The ids of all that engines sent to a topic."""
    found: set[str] = set()
    reader = connect.consumer("verify", auto_offset_reset="earliest", max_partition_fetch_bytes=4 << 20)
    async with reader:
        places = [TopicPartition(connect.name(topic), number) for number in range(partitions)]
        reader.assign(places)
        for place, end in (await reader.end_offsets(places)).items():
            while await reader.position(place) < end:
                for records in (await reader.getmany(place, timeout_ms=500)).values():
                    found.update(i for record in records if (i := _id_of(record)))
    return found


def _id_of(record: Any) -> str:
    names = dict(record.headers)
    return names["ce_id"].decode() if names.get("ce_source", b"").startswith(SOURCE_PREFIX.encode()) else ""


def _digest(replays: Mapping[int, Replayed]) -> str:
    told = {
        str(number): {"rows": {name: data.hex() for name, data in found.rows.items()}, "ids": found.ids}
        for number, found in replays.items()
    }
    return hashlib.sha256(wire.encode_json(told)).hexdigest()


def main() -> None:
    """Compare with the controllers of the product."""
    from streams.app import controller_types

    verdict = asyncio.run(verify(read_settings(os.environ), controller_types()))
    sys.stdout.write(wire.encode_json(verdict).decode() + "\n")
    raise SystemExit(1 if verdict.differences else 0)


if __name__ == "__main__":
    main()
