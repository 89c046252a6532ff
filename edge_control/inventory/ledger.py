"""The capacity ledger: room that others hold at a site, reserved (expires by itself) or committed (until released).

Grants are judged by the controller, which knows the site's room; the ledger keeps the rows and their sums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from edge_control.inventory.amounts import NONE, minus, plus
from edge_control.inventory.tables import Row, Table
from schemas.apps import Resources
from schemas.requests import Purpose

_Fold = Callable[[Resources, Resources], Resources]

EXPIRY_GRACE_MS: Final = 1_000
"""A commit counts by its append time: a reservation is kept this long after its end before its room is sold again."""


class Held(Row):
    """Room that somebody holds at a site: reserved until `until_ms`, or committed."""

    site_id: str
    app_id: str
    resource_id: str
    purpose: Purpose
    resources: Resources = NONE
    seats: int = 0
    replicas: int = 0
    until_ms: int = 0
    committed: bool = False

    @property
    def app_at_site(self) -> str:
        """The app at the site whose replicas carry the seats."""
        return f"{self.app_id}@{self.site_id}"


class Sums(msgspec.Struct):
    """What a site's ledger rows add up to."""

    reserved: Resources = NONE
    committed: Resources = NONE


class Seats(msgspec.Struct):
    """Sessions for which an app's room is held at a site."""

    reserved: int = 0
    committed: int = 0


class Ledger:
    """All rows of one partition, with their sums per site and seats per app at a site."""

    def __init__(self) -> None:
        """Nobody holds anything."""
        self.table: Table[Held] = Table("ledger", Held)
        self._sums: dict[str, Sums] = {}
        self._seats: dict[str, Seats] = {}

    def sums(self, site_id: str) -> Sums:
        """What is reserved and committed at the site."""
        return self._sums.get(site_id) or Sums()

    def seats(self, app_at_site: str) -> Seats:
        """Seats held for sessions of an app at a site."""
        return self._seats.get(app_at_site) or Seats()

    def reserve(self, reservation_id: str, held: Held) -> None:
        """Hold room until `held.until_ms`."""
        self.table[reservation_id] = held
        self._count(held, plus, 1)

    def commit(self, reservation_id: str) -> None:
        """From now on only a release ends it; doing it twice changes nothing."""
        held = self.table[reservation_id]
        if not held.committed:
            self._count(held, minus, -1)
            held.committed, held.until_ms = True, 0
            self._count(held, plus, 1)
            self.table[reservation_id] = held

    def drop(self, reservation_id: str) -> Held | None:
        """Give the room back; None when there was none."""
        held = self.table.get(reservation_id)
        if held is not None:
            del self.table[reservation_id]
            self._count(held, minus, -1)
        return held

    def rebuild(self) -> None:
        """Make the sums again from the rows."""
        self._sums, self._seats = {}, {}
        for key in self.table:
            self._count(self.table[key], plus, 1)

    def validate(self) -> None:
        """The sums are those of the rows."""
        fresh = Ledger()
        fresh.table = self.table
        fresh.rebuild()
        for site_id in (*self._sums, *fresh._sums):
            assert self.sums(site_id) == fresh.sums(site_id), f"ledger sums of {site_id} drifted"
        for name in (*self._seats, *fresh._seats):
            assert self.seats(name) == fresh.seats(name), f"ledger seats of {name} drifted"

    def _count(self, held: Held, fold: _Fold, sign: int) -> None:
        sums = self._sums.setdefault(held.site_id, Sums())
        seats = self._seats.setdefault(held.app_at_site, Seats())
        if held.committed:
            sums.committed = fold(sums.committed, held.resources)
            seats.committed += sign * held.seats
        else:
            sums.reserved = fold(sums.reserved, held.resources)
            seats.reserved += sign * held.seats
