"""What every controller is: tables, one door, a validator; no clock, no chance, no I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import msgspec

from edge_control.controllers.events import Input
from edge_control.controllers.outputs import Output
from edge_control.inventory.tables import Table
from edge_control.inventory.view import View
from topics.catalogue import Keyspace


class Counts(msgspec.Struct):
    """What a controller found not to be news, since it was made: no state, only for the engine's accounting.

    `duplicates`: heard before. `late`: news of before what is known, kept only as far as it still tells something.
    """

    duplicates: int = 0
    late: int = 0


class Controller(ABC):
    """The state machine of one partition of one keyspace.

    `handle` folds one input whole. The engine folds a portion of inputs: `absorb` or `fold` for each, then `settle`
    once; what a portion is stands in the journal, so a replay settles at the same places. Folding the same inputs over
    the same view gives the same bytes. What is not in a table is derived and made again by `rebuild`; nothing that a
    later portion depends on may live outside the tables.
    """

    keyspace: ClassVar[Keyspace]

    def __init__(self, partition: int) -> None:
        """An empty controller of this partition."""
        self.partition = partition
        self.counts = Counts()

    @property
    @abstractmethod
    def tables(self) -> tuple[Table[Any], ...]:
        """All tables, in a fixed order; their names are unique within the controller."""

    @abstractmethod
    def handle(self, event: Input, view: View) -> list[Output]:
        """Fold one event or tick."""

    def fold(self, event: Input, view: View) -> list[Output]:
        """Fold one of several inputs; judging may wait for `settle`."""
        return self.handle(event, view)

    def absorb(self, reading: Any, offset: int, now_ms: int, view: View) -> bool:  # noqa: ARG002 - a door for those who have a fast lane
        """Take a reading that only refreshes what is known; False if it needs the whole way (decode, then `fold`)."""
        return False

    def settle(self, now_ms: int, view: View) -> list[Output]:  # noqa: ARG002 - see fold
        """Judge what the folded inputs marked."""
        return []

    @abstractmethod
    def rebuild(self) -> None:
        """Make all indexes and deadlines again from the tables (after a takeover)."""

    @abstractmethod
    def public_rows(self) -> list[Output]:
        """All current public rows (published again after a takeover and at checkpoints)."""

    @abstractmethod
    def validate(self) -> None:
        """Assert what must hold of the tables; tests call it after every event."""
