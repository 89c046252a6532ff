"""From a record to an event, or to the reason why not: validated before any controller sees it (ENGINE 2.1)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from edge_control.controllers.events import Event
from schemas.base import ID_PATTERN, Message
from schemas.cloudevents import Received, read
from schemas.errors import BadInput, Fault
from schemas.limits import BATCH, RECORD
from schemas.registry import TYPES, full_type
from schemas.wire import decoder_for
from streams.engine.envelopes import SOURCE_PREFIX
from streams.records import Record
from topics.catalogue import CATALOGUE, OPTIONAL, Keyspace, Topic
from topics.keys import key_agrees
from topics.partition import partition_of
from topics.topic import DAY_MS

KEYSPACE_HEADER: Final = "ce_keyspace"
NO_KEY: Final = "no-key"
NO_KEYSPACE: Final = "no-keyspace"
HANDLER_CRASH: Final = "handler-crash"
REASONS: Final = (*(fault.value for fault in Fault), NO_KEY, NO_KEYSPACE, HANDLER_CRASH)
"""All that a dead letter may give as its reason."""
_BATCH_TYPE: Final = "node.telemetry-batch.v1"
_READERS: Final = {
    (topic.name, spelled): (TYPES[name], BATCH if name == _BATCH_TYPE else RECORD)
    for topic in (*CATALOGUE, *OPTIONAL)
    for name in topic.types
    for spelled in (name, full_type(name))
}
"""How the body of each type that a topic carries is read."""
_BY_HEADER: Final = {keyspace.value.encode(): keyspace for keyspace in Keyspace}
_APPENDED: Final = 1
"""Kafka's timestamp type of LogAppendTime."""


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """A good event; `sender` and `sequence` of an engine's output let the receiver drop copies."""

    event: Event
    sender: str = ""
    sequence: int = 0


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Bad input: a dead letter with this reason."""

    reason: str
    error: str


class Stray(msgspec.Struct, frozen=True, gc=False):
    """A good record in the wrong partition (a foreign partitioner); it belongs there."""

    partition: int


class Passed(msgspec.Struct, frozen=True, gc=False):
    """Nothing to fold: the tombstone of a row topic."""


Outcome = Arrived | Refused | Stray | Passed


def make_decoders() -> None:
    """Make every decoder before work begins: a type that cannot be decoded must not wait for its first record."""
    for kind in TYPES.values():
        decoder_for(kind)


def keyspace_of(record: Record) -> Keyspace | None:
    """Whose a record of a shared topic is; None when it does not say (it is then the first keyspace's bad input)."""
    for name, value in reversed(record.headers):  # of headers with one name the last counts; ours stands near the end
        if name == KEYSPACE_HEADER and value is not None:
            return _BY_HEADER.get(value)
    return None


def owner_of(topic: Topic, record: Record) -> Keyspace:
    """The controller that folds, or refuses, this record."""
    return topic.keyspace or keyspace_of(record) or Keyspace.SITE


def decode(topic: Topic, record: Record, partitions: int, now_ms: int) -> Outcome:
    """What a record says; never raises for what came in from outside."""
    key, home = homed(record.key, partitions)
    if not key:
        return Refused(NO_KEY, "no key, or one that is no id")
    if topic.shared and keyspace_of(record) is None:
        return Refused(NO_KEYSPACE, "ce_keyspace names no controller")
    if home != record.partition:
        return Stray(home)
    if record.value is None and topic.row:
        return Passed()
    try:
        return _arrived(topic, record, key, now_ms)
    except BadInput as error:
        return Refused(error.reason.value, error.detail)


@lru_cache(maxsize=65_536)
def homed(key: bytes | None, partitions: int) -> tuple[str, int]:
    """The id that a record's key is, and its partition; no id for a key that is none."""
    try:
        name = (key or b"").decode()
    except UnicodeDecodeError:
        return "", 0
    return (name, partition_of(name, partitions)) if ID_PATTERN.match(name) else ("", 0)


def _arrived(topic: Topic, record: Record, key: str, now_ms: int) -> Arrived:
    received = read(
        record.headers,
        record.value,
        key=record.key,
        topic=topic.name,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        default_type=topic.default_type,
    )
    name, number, offset = topic.name, record.partition, record.offset
    cause = received.id if topic.shared else f"{name}/{number}/{offset}"
    at_ms = record.timestamp if record.timestamp_type == _APPENDED else within_a_day(record.timestamp, now_ms)
    event = Event(_body(topic, received, key), key, name, number, offset, cause, at_ms, now_ms)
    if received.source.startswith(SOURCE_PREFIX):
        return Arrived(event, received.source, received.sequence)
    return Arrived(event)


def _body(topic: Topic, received: Received, key: str) -> Message:
    found = _READERS.get((topic.name, received.type))
    if found is None:
        raise BadInput(Fault.UNKNOWN_TYPE, f"{topic.name} carries {', '.join(topic.types)}")
    body: Message = received.body(*found)
    if not key_agrees(topic, key, body):
        raise BadInput(Fault.OTHER_KEY, "the key is not the name that the body says")
    return body


def within_a_day(said_ms: int, now_ms: int) -> int:
    """The producer's time, where the topic has not the broker's: a day back at most, and never ahead (FAULTS T21)."""
    return max(now_ms - DAY_MS, min(said_ms, now_ms))
