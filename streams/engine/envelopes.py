"""From what a controller says to the bytes that are sent: envelope, fence stamp, target partition, size check."""

from __future__ import annotations

from typing import Final

import msgspec

from edge_control.controllers.outputs import Output
from schemas import wire
from schemas.base import Message
from schemas.cloudevents import Envelope, headers
from schemas.commands import Command, MoveParams, RuleParams, ScaleParams, SpillParams
from schemas.inventory import PublicRow
from schemas.registry import full_type, type_name
from streams.engine.frames import Entry
from topics.catalogue import Topic
from topics.partition import partition_of

SOURCE_PREFIX: Final = "/edgeweir/controllers/"
"""`ce_source` of everything an engine sends goes on with partition and incarnation: the sender of a `ce_sequence`."""
ALL: Final = "all"
"""The pause scope that covers everything."""
_FRAMING_BYTES: Final = 1_024


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks for a partition: what its commands are fenced with."""

    partition: int
    partitions: int
    incarnation: int = 0
    epoch: int = 0

    @property
    def source(self) -> str:
        """Its CloudEvents source."""
        return f"{SOURCE_PREFIX}{self.partition}/{self.incarnation}"


def entry_of(output: Output, sequence: int, now_ms: int, speaker: Speaker) -> Entry:
    """The complete record of an output; an oversized one is our bug and must not poison the producer."""
    body = _fenced(output.body, speaker)
    entry = Entry(
        topic=output.topic.name,
        partition=0 if output.topic.single else partition_of(output.key, speaker.partitions),
        key=output.key.encode(),
        value=None if body is None else wire.encode_json(body),
        headers=tuple(headers(_envelope(output, body, sequence, now_ms, speaker))),
        scopes=pause_scopes(output),
    )
    check_size(output.topic, entry)
    return entry


def check_size(topic: Topic, entry: Entry) -> None:
    """Assert that the broker will take the entry."""
    names = sum(len(name) + len(value or b"") for name, value in entry.headers)
    size = len(entry.value or b"") + len(entry.key or b"") + names + _FRAMING_BYTES
    assert size <= topic.max_message_bytes, f"an output of {size} bytes does not fit {topic.name}"


def pause_scopes(output: Output) -> tuple[str, ...]:
    """Scopes of pauses that withhold an opening command; empty for all that always passes."""
    if not output.opening or not isinstance(output.body, Command):
        return ()
    body = output.body
    app = body.params.app_id if isinstance(body.params, ScaleParams | SpillParams | RuleParams | MoveParams) else ""
    named = (("site", body.target.site_id), ("app", app), ("kind", body.kind.value))
    return (ALL, *(f"{kind}/{name}" for kind, name in named if name))


def _fenced(body: Message | None, speaker: Speaker) -> Message | None:
    if not isinstance(body, Command):
        return body
    fence = msgspec.structs.replace(body.fence, incarnation=speaker.incarnation, epoch=speaker.epoch)
    return msgspec.structs.replace(body, fence=fence)


def _envelope(output: Output, body: Message | None, sequence: int, now_ms: int, speaker: Speaker) -> Envelope:
    return Envelope(
        id=output.event_id,
        source=speaker.source,
        type=full_type(type_name(body) if body is not None else output.topic.types[0]),
        time_ms=now_ms,
        recordedtime_ms=now_ms,
        subject=output.subject,
        partitionkey=output.key,
        sequence=sequence,
        correlationid=output.correlation_id,
        causationid=output.causation_id,
        expirytime_ms=output.expires_at_ms or None,
        fenceepoch=speaker.epoch,
        fencerevision=_revision(body),
        keyspace=output.keyspace.value if output.keyspace is not None else "",
    )


def _revision(body: Message | None) -> int | None:
    if isinstance(body, Command):
        return body.fence.revision
    return body.generation if isinstance(body, PublicRow) else None
