"""Is what a cluster holds what folding again gives? Rows against the journal, ids against what was sent (ENGINE 5).

`python -m streams.engine.verify` compares with settings from the environment: it prints one JSON object and ends with 1
if anything differs.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from aiokafka import TopicPartition

from schemas import wire
from streams.engine.boot import partition_counts
from streams.engine.envelopes import SOURCE_PREFIX
from streams.engine.fold import JournalFold
from streams.engine.journal import Journal
from streams.engine.normalise import Normaliser
from streams.engine.replay import MakeController, Replayed, replay
from streams.settings import WorkerSettings, read_settings
from topics.catalogue import COMMANDS, DECISIONS, JOURNAL, REQUEST, Keyspace, Topic
from topics.connect import Connect

Place = tuple[int, int]
"""A partition and the number of one of its outputs."""
_PREFIX = SOURCE_PREFIX.encode()
SENT = (*COMMANDS.values(), *DECISIONS.values(), REQUEST)
"""Topics whose ids must be exactly those that folding gives."""


class Verdict(msgspec.Struct, frozen=True):
    """What differs, as sentences; a digest of all rows and ids; how many of both were compared; what could not be."""

    differences: tuple[str, ...]
    sha256: str
    rows: int
    ids: int
    notes: tuple[str, ...] = ()


async def verify(settings: WorkerSettings, make: Mapping[Keyspace, MakeController]) -> Verdict:
    """Compare all partitions; outputs that a pause withheld count as missing, so compare without pauses."""
    connect = Connect(settings.kafka)
    counts = await partition_counts(connect, "verify")
    histories = await _histories(connect, settings.worker.app_id, counts[JOURNAL.name])
    app_id, normaliser = settings.worker.app_id, Normaliser(settings.raw.site, settings.raw.salt.encode())
    replays = {
        number: await replay(connect, app_id, number, counts, make, normaliser=normaliser) for number in histories
    }
    differences = [
        sentence
        for number, history in histories.items()
        for sentence in (*_rows_that_differ(number, history, replays[number]), *_left(number, history))
    ]
    sent = {topic.name: await _sent(connect, topic, counts[topic.name]) for topic in SENT}
    differences += _ids_that_differ(sent, replays)
    return Verdict(
        tuple(differences),
        _digest(replays),
        sum(len(found.rows) for found in replays.values()),
        sum(len(ids) for found in replays.values() for ids in found.ids.values()),
        tuple(
            f"partition {number}: its journal was trimmed; compared from behind output {replays[number].since}"
            for number, history in histories.items()
            if history.origin is not None
        ),
    )


async def _histories(connect: Connect, app_id: str, partitions: int) -> dict[int, JournalFold]:
    journal = Journal(connect, "verify", app_id)
    await journal.start(partitions)
    try:
        ends = await journal.ends(list(range(partitions)))
        return {number: await journal.read(number, end, whole=True, keep_stories=True) for number, end in ends.items()}
    finally:
        await journal.stop()


def _rows_that_differ(number: int, history: JournalFold, found: Replayed) -> list[str]:
    names = sorted({*history.rows, *found.rows})
    return [f"partition {number}: row {name}" for name in names if history.rows.get(name) != found.rows.get(name)]


def _left(number: int, history: JournalFold) -> list[str]:
    return [f"partition {number}: {len(history.outbox)} outputs were never acknowledged"] if history.outbox else []


def _ids_that_differ(sent: Mapping[str, Mapping[str, Place]], replays: Mapping[int, Replayed]) -> list[str]:
    wanted: dict[str, set[str]] = {name: set() for name in sent}
    for found in replays.values():
        for name, ids in found.ids.items():
            if name in wanted:
                wanted[name].update(ids)
    missing = [f"{name}: {i} was never sent" for name, ids in wanted.items() for i in sorted(ids - sent[name].keys())]
    phantom = [
        f"{name}: {i} follows from nothing"
        for name, places in sent.items()
        for i, (number, sequence) in sorted(places.items())
        if i not in wanted[name] and (number not in replays or sequence > replays[number].since)
    ]
    return missing + phantom


async def _sent(connect: Connect, topic: Topic, partitions: int) -> dict[str, Place]:
    """The ids of all that engines sent to a topic, and as which output of which partition."""
    found: dict[str, Place] = {}
    reader = connect.consumer("verify", auto_offset_reset="earliest", max_partition_fetch_bytes=4 << 20)
    async with reader:
        places = [TopicPartition(connect.name(topic), number) for number in range(partitions)]
        reader.assign(places)
        for place, end in (await reader.end_offsets(places)).items():
            while await reader.position(place) < end:
                for records in (await reader.getmany(place, timeout_ms=500)).values():
                    found.update(_said(record) for record in records if _is_ours(record))
    return found


def _is_ours(record: Any) -> bool:
    return any(name == "ce_source" and (value or b"").startswith(_PREFIX) for name, value in record.headers)


def _said(record: Any) -> tuple[str, Place]:
    names = {name: value.decode() for name, value in record.headers}
    partition = names["ce_source"].removeprefix(SOURCE_PREFIX).strip("/").split("/")[0]
    return names["ce_id"], (int(partition), int(names["ce_sequence"]))


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
