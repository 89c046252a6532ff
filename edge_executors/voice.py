"""How an executor is heard: statuses, hellos and reports go out through one small protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from schemas.base import Message
from topics.topic import Topic


class Saying(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one owner: `key` and `keyspace` say whose it is, `event_id` is the same when it is said again."""

    topic: Topic
    key: str
    keyspace: str
    event_id: str
    source: str
    body: Message
    subject: str = ""
    correlation_id: str = ""


class Voice(Protocol):
    """Says messages so that they arrive in order, each at least once."""

    async def say(self, sayings: Sequence[Saying]) -> None:
        """Return when all are acknowledged; raise when it is unknown or refused (say them again later)."""
        ...
