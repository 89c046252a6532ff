"""What a controller folds: an event with its cause and times, or a tick."""

from __future__ import annotations

import msgspec

from schemas.base import Message
from schemas.decisions import CauseRef


class Event(msgspec.Struct, frozen=True, gc=False):
    """One validated message of an input topic.

    `cause_id` is what ids derive from: the message's own id on shared topics (a re-sent copy has another offset),
    topic/partition/offset elsewhere. `at_ms` is when it happened for us: the broker's append time where the topic
    has it, else the record's stamp kept within the allowed skew. `now_ms` is the time of the fold; the journal
    notes it, so that a replay sees the same.
    """

    body: Message
    key: str
    topic: str
    partition: int
    offset: int
    cause_id: str
    at_ms: int
    now_ms: int

    @property
    def cause(self) -> CauseRef:
        """The cause as a decision names it."""
        return CauseRef(
            topic=self.topic,
            partition=self.partition,
            offset=self.offset,
            event_id=self.cause_id,
        )


class Tick(msgspec.Struct, frozen=True, gc=False):
    """Time passes, about once a second.

    `lag_ms` and `view_age_ms` tell the controller when it is itself the sick one.
    """

    now_ms: int
    partition: int
    lag_ms: int = 0
    view_age_ms: int = 0

    @property
    def cause_id(self) -> str:
        """What ids derive from; each controller adds the resource."""
        return f"tick/{self.partition}/{self.now_ms}"

    @property
    def cause(self) -> CauseRef:
        """The cause as a decision names it."""
        return CauseRef(
            topic="tick",
            partition=self.partition,
            offset=self.now_ms,
            event_id=self.cause_id,
        )


Input = Event | Tick
