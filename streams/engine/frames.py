"""What a journal partition holds: batches of records, each opened by a header (ENGINE 2).

A frame is one batch, or n numbered ones when it outgrows a batch; it is valid only whole. The few records behind a
header are packed (`packing.py`): each carries many rows of one table, or many outbox entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

HEAD_KEY: Final = b"H"
BATCH_BYTES: Final = 3 * 1_048_576
"""Content of one batch; below the topic's limit of 4 MiB, so that header and framing fit."""
_PER_RECORD_BYTES: Final = 32

Record = tuple[bytes, bytes]
"""Key and value as they stand in the journal."""


class Kind(IntEnum):
    """What a batch says."""

    FENCE = 0
    ROWS = 1
    BEGIN = 2
    SLICE = 3
    END = 4
    CRASH = 5
    ATTEMPT = 6


TROUBLE: Final = {Kind.CRASH: 2, Kind.ATTEMPT: 1}
"""How much a note says against the record at its place; an attempt may have died of something else."""
QUARANTINE_AT: Final = 6
"""Three crashes, or six attempts that never ended: the record becomes a dead letter."""


class Folded(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One input of a frame, in the order of folding: records `first..last` of a topic, or a tick (empty topic).

    `at_ms` is the time of the fold; `skipped` are offsets inside that were quarantined. Records of a shared topic that
    carry another keyspace, dead letters and strays are found again by folding.
    """

    keyspace: str
    topic: str
    first: int
    last: int
    at_ms: int
    skipped: tuple[int, ...] = ()
    lag_ms: int = 0
    view_age_ms: int = 0


class Story(msgspec.Struct, array_like=True, frozen=True):
    """Where everything stands after a frame: all marks, not only those that moved (a trim must lose none).

    `marks`: last folded offset by `topic/keyspace`. `sequence`: the output counter. `views`: next offsets of the view's
    topics, by partition, on which every input of this frame was folded. `crashes`: the trouble met, by place.
    """

    folded: tuple[Folded, ...]
    marks: dict[str, int]
    sequence: int
    time_ms: int
    views: dict[str, tuple[int, ...]]
    crashes: dict[str, int]


class FenceNote(msgspec.Struct, array_like=True, frozen=True):
    """Who takes over; its epoch is the offset of this record."""

    incarnation: int
    generation: int
    member: str


class Header(msgspec.Struct, array_like=True, frozen=True):
    """First record of every batch. `number` counts the frames of an epoch without a hole; part 0 tells the story."""

    kind: int
    epoch: int
    number: int
    part: int
    parts: int
    records: int
    story: Story | None = None
    fence: FenceNote | None = None
    place: str = ""


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A complete output: sent byte for byte the same, however often. `scopes` are the pauses that withhold it."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    scopes: tuple[str, ...] = ()


class Frame(msgspec.Struct):
    """A frame that was cut and waits to be written; `outputs` are released once it is history.

    `changes` counts the rows, outbox entries and removals that its records carry, `copies` those of a checkpoint.
    """

    kind: Kind
    records: list[Record]
    story: Story
    outputs: list[tuple[int, Entry]]
    changes: int = 0
    copies: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(Header).decode
_decode_entry = msgspec.msgpack.Decoder(Entry).decode


def encode_header(header: Header) -> bytes:
    """The header as journalled."""
    return _encode(header)


def decode_header(data: bytes) -> Header:
    """A header; msgspec.DecodeError for anything else."""
    return _decode_header(data)


def encode_entry(entry: Entry) -> bytes:
    """The outbox entry as journalled."""
    return _encode(entry)


def decode_entry(data: bytes) -> Entry:
    """An outbox entry."""
    return _decode_entry(data)


def batches(records: list[Record], limit_bytes: int = BATCH_BYTES) -> Iterator[list[Record]]:
    """The records in as few parts as fit; at least one, perhaps empty."""
    part: list[Record] = []
    size = 0
    for key, value in records:
        grown = size + len(key) + len(value) + _PER_RECORD_BYTES
        if part and grown > limit_bytes:
            yield part
            part, grown = [], grown - size
        part.append((key, value))
        size = grown
    yield part
