"""A command that cannot be read becomes a dead letter: its bytes, its headers, where it lay and why it was refused.

Many executors read one partition; only the one that the record's key names buries it, so that it is buried once.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
from aiokafka import ConsumerRecord

from schemas.errors import BadInput

_BODY_BYTES: Final = 65_536
_STAGE: Final = "executor"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What is produced, beside its key's other records."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def dead_letter(record: ConsumerRecord[Any, Any], error: BadInput, topic: str) -> DeadLetter:
    """The record as it came; `topic` is its contract name, without the prefix of this estate."""
    body = record.value or b""
    said = {
        "topic": topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "stage": _STAGE,
        "reason": str(error.reason),
        "error": error.detail[:2048],
        "sha256": hashlib.sha256(body).hexdigest(),
        "bytes": str(len(body)),
    }
    originals = [(name, value or b"") for name, value in record.headers]
    return DeadLetter(
        partition=record.partition,
        key=record.key,
        value=None if record.value is None else body[:_BODY_BYTES],
        headers=[*originals, *((f"dlq-{name}", text.encode()) for name, text in said.items())],
    )
