"""A site that also takes what foreign collectors tell of its nodes piece by piece.

A whole sample is said on the telemetry topic, as a gateway would say it, and comes back to the site from there: users
see one kind of telemetry, whoever measured it.
"""

from __future__ import annotations

from typing import Any, Final

from edge_control.controllers.events import Event, Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.site import SiteController
from edge_control.inventory.deadlines import Deadlines
from edge_control.inventory.parts import PartsRow, sample_of, take
from edge_control.inventory.tables import Table
from edge_control.inventory.view import View
from schemas.base import derive_id
from schemas.parts import NodePart, NodeParts
from schemas.telemetry import NodeTelemetry
from topics import catalogue as cat

_MINUTE_MS: Final = 60_000
FORGET_MS: Final = 3_600_000
"""A node of which no piece came for so long is forgotten: its counters begin anew."""


class CollectingSiteController(SiteController):
    """The site controller of the product: the site's own fold, and beside it the nodes that are told in pieces."""

    def __init__(self, partition: int) -> None:
        """An empty controller of this partition."""
        super().__init__(partition)
        self.parts: Table[PartsRow] = Table("parts", PartsRow)
        self._due = Deadlines()

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """The site's, then the nodes in pieces."""
        return (*super().tables, self.parts)

    def handle(self, event: Input, view: View) -> list[Output]:
        """Fold one event or tick."""
        if isinstance(event, Tick):
            self._forget(event.now_ms)
        elif isinstance(event.body, NodeParts):
            return self._take(event, event.body)
        return super().handle(event, view)

    def fold(self, event: Input, view: View) -> list[Output]:
        """Fold one of several inputs."""
        if isinstance(event, Event) and isinstance(event.body, NodeParts):
            return self._take(event, event.body)
        return super().fold(event, view)

    def rebuild(self) -> None:
        """Make all indexes and deadlines again from the tables."""
        super().rebuild()
        self._due = Deadlines()
        for key, row in self.parts.items():
            self._due.set(key, _due_ms(row))

    def validate(self) -> None:
        """Assert what must hold of the tables."""
        super().validate()
        for key, row in self.parts.items():
            assert key == f"{row.site_id}/{row.node_id}", key
            assert row.told_ms <= row.heard_ms, key

    def _take(self, event: Event, told: NodeParts) -> list[Output]:
        """Keep every part; say each sample that is whole now."""
        outputs: list[Output] = []
        for part in told.parts:
            key = f"{told.site_id}/{part.node_id}"
            row = self.parts.get(key) or PartsRow(site_id=told.site_id, node_id=part.node_id)
            sample = _fused(row, part, event)
            self.parts[key] = row
            self._due.set(key, _due_ms(row))
            if sample is not None:
                outputs.append(_output(event, sample))
        return outputs

    def _forget(self, now_ms: int) -> None:
        for key in sorted(self._due.due(now_ms)):
            self.parts.discard(key)


def _due_ms(row: PartsRow) -> int:
    """When to forget, by the whole minute: pieces come by the hundred, and each deadline costs a place in a heap."""
    return (row.heard_ms + FORGET_MS) // _MINUTE_MS * _MINUTE_MS + _MINUTE_MS


def _fused(row: PartsRow, part: NodePart, event: Event) -> NodeTelemetry | None:
    """A time from the future counts as now: who set their clock back must not be unheard until then."""
    take(row, part, min(part.observed_at_ms, event.now_ms))
    return sample_of(row, part.time_source)


def _output(event: Event, sample: NodeTelemetry) -> Output:
    about = f"{sample.node_id}/{sample.observed_at_ms}"
    return Output(
        topic=cat.NODE_TELEMETRY,
        key=sample.site_id,
        event_id=derive_id("node.telemetry", about, event.cause_id),
        body=sample,
        subject=sample.node_id,
    )
