"""What every controller is: tables, one door, a validator; no clock, no chance, no I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from edge_control.controllers.events import Input
from edge_control.controllers.outputs import Output
from edge_control.inventory.tables import Table
from edge_control.inventory.view import View
from topics.catalogue import Keyspace


class Controller(ABC):
    """The state machine of one partition of one keyspace.

    `handle` is the only way in; it changes the tables and returns what is to be sent. Folding the same inputs over
    the same view gives the same bytes. What is not in a table is derived and made again by `rebuild`.
    """

    keyspace: ClassVar[Keyspace]

    def __init__(self, partition: int) -> None:
        """An empty controller of this partition."""
        self.partition = partition

    @property
    @abstractmethod
    def tables(self) -> tuple[Table[Any], ...]:
        """All tables, in a fixed order; their names are unique within the controller."""

    @abstractmethod
    def handle(self, event: Input, view: View) -> list[Output]:
        """Fold one event or tick."""

    @abstractmethod
    def rebuild(self) -> None:
        """Make all indexes and deadlines again from the tables (after a takeover)."""

    @abstractmethod
    def public_rows(self) -> list[Output]:
        """All current public rows (published again after a takeover and at checkpoints)."""

    @abstractmethod
    def validate(self) -> None:
        """Assert what must hold of the tables; tests call it after every event."""
