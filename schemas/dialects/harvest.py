"""What a reader is given and what it brings in: samples of nodes, events of terminals, and counts of all it met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from ..base import Message
from ..errors import BadInput, Fault
from ..limits import Limits
from ..parts import Reading
from .coercions import Coercion, Unused

LIMITS: Final = Limits(max_bytes=1_048_576, max_depth=24, max_string_bytes=16_384)
"""Foreign records: OTLP nests deeper than our own bodies."""
MOST_PARTS: Final = 2_000
"""More nodes and moments, or events, than this in one record are refused: they would become one giant frame."""


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a raw topic: its bytes, its key where it is an id, its time, its headers.

    `terminal_name` gives the name of a terminal from its address (a keyed hash).
    """

    value: bytes
    key: str = ""
    at_ms: int = 0
    headers: Mapping[str, bytes] = {}
    terminal_name: Callable[[str], str] = str


class Sample(msgspec.Struct, kw_only=True):
    """Readings of one node of one moment, the site as its agent names it (empty: it does not)."""

    node_id: str
    site_hint: str
    at_ms: int
    is_own_time: bool
    harvest: Harvest
    readings: list[Reading] = []


class Harvest:
    """What one record gave. Coercions count once per record; pieces that are unused or wrong count each."""

    def __init__(self, raw: Raw) -> None:
        """Nothing yet."""
        self.raw = raw
        self.samples: dict[tuple[str, str, int], Sample] = {}
        self.events: list[Message] = []
        self.coercions: dict[Coercion, None] = {}
        self.unused: dict[Unused, int] = {}
        self.faults: dict[Fault, int] = {}
        self._said: dict[Fault, str] = {}

    def coerced(self, coercion: Coercion) -> None:
        """A deviation was read all the same."""
        self.coercions[coercion] = None

    def pass_over(self, why: Unused, count: int = 1) -> None:
        """Pieces that are well formed and not needed."""
        self.unused[why] = self.unused.get(why, 0) + count

    def fault(self, reason: Fault, detail: str) -> None:
        """A piece that cannot be read; the record is refused only if nothing in it could."""
        self.faults[reason] = self.faults.get(reason, 0) + 1
        self._said.setdefault(reason, detail)

    def sample(self, node_id: str, site_hint: str, at_ms: int | None) -> Sample:
        """The sample of a node at a moment; without one the record's own time counts."""
        if at_ms is None:
            self.coerced(Coercion.TIME_FROM_RECORD)
        moment = self.raw.at_ms if at_ms is None else at_ms
        key = (node_id, site_hint, moment)
        found = self.samples.get(key)
        if found is None:
            if len(self.samples) >= MOST_PARTS:
                raise BadInput(Fault.TOO_MANY_PARTS, f"more than {MOST_PARTS} nodes and moments in one record")
            found = Sample(
                node_id=node_id, site_hint=site_hint, at_ms=moment, is_own_time=at_ms is not None, harvest=self
            )
            self.samples[key] = found
        return found

    def settled(self) -> Harvest:
        """The harvest; BadInput with the first fault where nothing else was brought in."""
        if len(self.events) > MOST_PARTS:
            raise BadInput(Fault.TOO_MANY_PARTS, f"more than {MOST_PARTS} events in one record")
        self.samples = {key: sample for key, sample in self.samples.items() if sample.readings}
        if not self.samples and not self.events and self.faults:
            reason = next(iter(self.faults))
            raise BadInput(reason, self._said[reason])
        return self
