"""What is said becomes a record: topic and key from its type, one identity that is the same when it is said again."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from schemas import wire
from schemas.base import Message
from schemas.limits import MAX_NAME_BYTES
from schemas.location import LocationEvent, RadioEvent, SessionEvent
from schemas.registry import TYPES, type_name
from schemas.telemetry import AppLoad, NodeLifecycle, NodeTelemetry, NodeTelemetryBatch
from topics import catalogue as cat
from topics.topic import Topic

Said = NodeTelemetry | NodeTelemetryBatch | NodeLifecycle | AppLoad | LocationEvent | RadioEvent | SessionEvent
"""All that emitters say."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as it is kept and sent: catalogue name of its topic, key, identity, own time, JSON body.

    `type` is the short name; `accepted_ms` is when it was taken for sending.
    """

    topic: str
    key: str
    event_id: str
    source: str
    type: str
    at_ms: int
    value: bytes
    accepted_ms: int = 0


_TOPICS: Final[dict[type[Message], Topic]] = {
    NodeTelemetry: cat.NODE_TELEMETRY,
    NodeTelemetryBatch: cat.NODE_TELEMETRY,
    NodeLifecycle: cat.NODE_TELEMETRY,
    AppLoad: cat.APP_LOAD,
    LocationEvent: cat.LOCATION,
    RadioEvent: cat.LOCATION,
    SessionEvent: cat.SESSION,
}


def record_of(body: Said, *, source: str, event_id: str, accepted_ms: int = 0) -> Record:
    """The record of a body. `source` is `/edge/<site>/<component>`; too long an id is replaced by its hash."""
    topic = _TOPICS[type(body)]
    return Record(
        topic=topic.name,
        key=body.terminal_id if isinstance(body, LocationEvent | RadioEvent | SessionEvent) else body.site_id,
        event_id=_short(event_id),
        source=_short(source),
        type=type_name(body),
        at_ms=body.at_ms if isinstance(body, NodeLifecycle) else body.observed_at_ms,
        value=wire.encode_json(body),
        accepted_ms=accepted_ms,
    )


def marked_buffered(record: Record) -> Record:
    """The same record, its body saying that it waited; bodies that cannot say so stay as they are."""
    kind = TYPES[record.type]
    if "buffered" not in kind.__struct_fields__:
        return record
    body = wire.decoder_for(kind).decode(record.value)
    return msgspec.structs.replace(record, value=wire.encode_json(msgspec.structs.replace(body, buffered=True)))


def _short(name: str) -> str:
    """A name that fits an envelope; two long names stay two."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    return hashlib.blake2b(name.encode(), digest_size=20).hexdigest()
