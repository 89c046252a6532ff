"""Where users go: the steering rows as any resolver reads them from Kafka, best site first."""

from __future__ import annotations

from typing import NamedTuple

from edgeweir.dev.facts import body_of
from schemas.inventory import Steering
from topics import catalogue as cat
from topics.connect import Connect
from topics.tail import tail


class Door(NamedTuple):
    """An ingress: its site and address."""

    site_id: str
    url: str


class Steered:
    """The newest row of every app and zone."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Steering] = {}

    def door(self, app: str, zone: str) -> Door | None:
        """Where this zone's users of the app go now; None before anybody said so."""
        row = self._rows.get((app, zone))
        if row is None:
            return None
        # Rows are best first; the share only says where new users go, and a row may hold none at all.
        best = max(row.sites, key=lambda share: share.permille, default=None)
        return Door(best.site_id, best.endpoint) if best is not None and best.endpoint else None

    def take(self, row: Steering) -> None:
        """A row was published; an older one than we have changes nothing."""
        known = self._rows.get((row.app_id, row.zone_id))
        if known is None or row.generation >= known.generation:
            self._rows[row.app_id, row.zone_id] = row

    async def follow(self, connect: Connect) -> None:
        """Read the topic whole and go on for ever."""
        async for record in tail(connect, [cat.STEERING], whole=True):
            body = body_of(record)
            if isinstance(body, Steering):
                self.take(body)
