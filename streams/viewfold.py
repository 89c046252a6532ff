"""How records of the view's topics become a view: the same live and in a replay, without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edge_control.inventory.view import View
from schemas.base import Message
from schemas.cloudevents import Received, read
from schemas.errors import BadInput, Fault
from schemas.registry import TYPES
from streams.engine.envelopes import SOURCE_PREFIX
from streams.records import Record
from topics.catalogue import Topic
from topics.keys import key_agrees

Vector = dict[str, tuple[int, ...]]
"""Next offset of each partition, by topic."""


class ViewFold:
    """A view and how far it has come. What cannot be read is left out and counted, never guessed."""

    def __init__(self, counts: Mapping[Topic, int]) -> None:
        """Knows nothing yet; `counts` are the partitions of each view topic."""
        self.view = View()
        self.vector: Vector = {topic.name: (0,) * count for topic, count in counts.items()}
        self.refused = 0
        self._heard: dict[str, int] = {}

    def apply(self, records: Iterable[tuple[Topic, Record]]) -> list[str]:
        """Advance the view; the caller sees to it that no frame is open. What was left out, with place and reason."""
        moved: dict[str, list[int]] = {}
        left_out: list[str] = []
        for topic, record in records:
            offsets = moved.setdefault(topic.name, list(self.vector[topic.name]))
            offsets[record.partition] = record.offset + 1
            try:
                self._apply(topic, record)
            except BadInput as error:
                left_out.append(f"{topic.name}/{record.partition}/{record.offset} {error}")
        self.refused += len(left_out)
        if moved:  # a new object: frames hold on to the vector they were folded on
            self.vector = self.vector | {name: tuple(offsets) for name, offsets in moved.items()}
        return left_out

    def is_at(self, vector: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether the view has come as far."""
        return all(
            mine >= theirs
            for name, offsets in vector.items()
            for mine, theirs in zip(self.vector.get(name, ()), offsets, strict=False)
        )

    def _apply(self, topic: Topic, record: Record) -> None:
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
        if self._is_stale(topic, received):
            return
        key = (record.key or b"").decode(errors="replace")
        body = _body(topic, received, key) if received.data is not None else None
        self.view.apply(topic, key, body, record.timestamp)

    def _is_stale(self, topic: Topic, received: Received) -> bool:
        """A copy that a deposed owner sent late is older than what is known: its sequence number says so."""
        if not received.source.startswith(SOURCE_PREFIX):
            return False
        sender, sequence = f"{topic.name}{received.source}", received.sequence
        if sequence < self._heard.get(sender, 0):
            return True
        self._heard[sender] = sequence
        return False


def _body(topic: Topic, received: Received, key: str) -> Message:
    if received.short_type not in topic.types:
        raise BadInput(Fault.UNKNOWN_TYPE, f"{topic.name} carries {', '.join(topic.types)}")
    body: Message = received.body(TYPES[received.short_type])
    if not key_agrees(topic, key, body):
        raise BadInput(Fault.OTHER_KEY, "the key is not the name that the body says")
    return body
