"""What becomes of records that are not folded: dead letters with proof, strays sent home; both through the outbox."""

from __future__ import annotations

import hashlib
from typing import Final

from streams.engine.decode import Refused
from streams.engine.envelopes import check_size
from streams.engine.frames import Entry
from streams.records import Record
from topics.catalogue import DEAD_LETTER, Topic

BODY_BYTES: Final = 65_536
"""How much of the original body a dead letter keeps; its sha256 is of all of it."""
_HEADERS_BYTES: Final = 65_536
_ERROR_BYTES: Final = 2_048
STAGE: Final = "engine"


def dead_letter(topic: Topic, record: Record, refused: Refused, partitions: int) -> Entry:
    """The record as it came, with coordinates and reason; it stays beside its key's other records."""
    body = record.value or b""
    entry = Entry(
        topic=DEAD_LETTER.name,
        partition=record.partition % partitions,
        key=None if record.key is None else record.key[:_HEADERS_BYTES],
        value=None if record.value is None else body[:BODY_BYTES],
        headers=(*_originals(record), *_notes(topic, record, refused, body)),
    )
    check_size(DEAD_LETTER, entry)
    return entry


def sent_home(topic: Topic, record: Record, home: int) -> Entry:
    """The stray record byte for byte, for its right partition."""
    return Entry(topic=topic.name, partition=home, key=record.key, value=record.value, headers=tuple(record.headers))


def _originals(record: Record) -> list[tuple[str, bytes | None]]:
    """The original headers, as many as fit."""
    kept: list[tuple[str, bytes | None]] = []
    left = _HEADERS_BYTES
    for name, value in record.headers:
        left -= len(name) + len(value or b"")
        if left < 0:
            break
        kept.append((name, value))
    return kept


def _notes(topic: Topic, record: Record, refused: Refused, body: bytes) -> list[tuple[str, bytes | None]]:
    said = {
        "topic": topic.name,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "stage": STAGE,
        "reason": refused.reason,
        "error": refused.error[:_ERROR_BYTES],
        "sha256": hashlib.sha256(body).hexdigest(),
        "bytes": str(len(body)),
    }
    return [(f"dlq-{name}", text.encode()) for name, text in said.items()]
