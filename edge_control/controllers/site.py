"""The site controller: all that is known and promised at the sites of one partition, and what they are told to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from edge_control.controllers import (
    outputs,
    site_answers,
    site_checks,
    site_inventory,
    site_load,
    site_nodes,
    site_parts,
    site_place,
    site_reports,
    site_room,
    site_scale,
    site_spill,
)
from edge_control.controllers.base import Controller
from edge_control.controllers.events import Event, Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.site_turn import Books, Turn
from edge_control.inventory import nodes
from edge_control.inventory.tables import Table
from edge_control.inventory.view import View
from schemas.base import Message
from schemas.parts import NodeParts
from schemas.requests import Commit, DrainSite, PlaceReplicas, ReleaseRoom, Reserve, Spill
from schemas.statuses import Hello, Status
from schemas.telemetry import AppLoad, NodeLifecycle, NodeTelemetry, NodeTelemetryBatch
from topics.catalogue import Keyspace

_OF_ITS_SITE: Final = (
    NodeTelemetryBatch,
    NodeTelemetry,
    NodeLifecycle,
    NodeParts,
    AppLoad,
    Reserve,
    Commit,
    ReleaseRoom,
    PlaceReplicas,
    Spill,
    Hello,
)


class SiteController(Controller):
    """All that is known and promised at the sites of one partition.

    A turn has two halves: the event changes rows and marks them; then what is marked is judged once.
    """

    keyspace: ClassVar[Keyspace] = Keyspace.SITE

    def __init__(self, partition: int) -> None:
        """An empty controller of this partition."""
        super().__init__(partition)
        self.books = Books()

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """Sites, nodes, apps, routes, ledger, nodes told in pieces."""
        return self.books.tables

    def handle(self, event: Input, view: View) -> list[Output]:
        """Fold one event or tick."""
        turn = Turn(self.books, self.partition, event, view)
        if isinstance(event, Tick):
            _remember_what_is_due(turn)
        else:
            _fold(turn, event)
        _judge(turn)
        return turn.outputs

    def rebuild(self) -> None:
        """Make all indexes and deadlines again from the tables."""
        self.books.rebuild()

    def public_rows(self) -> list[Output]:
        """The rows of all sites and nodes as last published."""
        sites = [row.published for _, row in self.books.sites.items()]
        published = [outputs.row(body) for body in sites if body is not None]
        return published + [outputs.row(nodes.published(row)) for _, row in self.books.nodes.items()]

    def validate(self) -> None:
        """Assert what must hold of the tables."""
        site_checks.validate(self.books)


def _fold(turn: Turn, event: Event) -> None:
    body = event.body
    if isinstance(body, _OF_ITS_SITE) and body.site_id != event.key:
        site = turn.site(event.key)
        site.misdirected += 1
        turn.books.sites[site.site_id] = site
    elif isinstance(body, DrainSite):
        site_spill.drain(turn, body, event.key)
    elif isinstance(body, Status):
        _take_status(turn, body)
    else:
        fold = _FOLDS.get(type(body))
        if fold is not None:
            fold(turn, body)


def _take_status(turn: Turn, status: Status) -> None:
    if status.site_id in turn.books.sites:
        site_reports.acknowledge(turn, turn.site(status.site_id))
    if status.command_id in turn.books.shifts:
        site_spill.take_status(turn, status)
    else:
        site_answers.take_status(turn, status)


def _remember_what_is_due(turn: Turn) -> None:
    for name in sorted(turn.books.deadlines.due(turn.now_ms)):
        kind, _, key = name.partition("/")
        if kind == "room":
            site_room.drop(turn, key)
        elif kind == "app":
            turn.touched_apps[key] = None
        elif kind == "route":
            turn.touched_routes[key] = None
        elif kind == "parts":
            turn.books.parts.discard(key)
        else:
            site_spill.lift_drains(turn, key)
    _notice_specs(turn)


def _notice_specs(turn: Turn) -> None:
    """Apps that name one of our sites with a minimum, and new versions of those that run here."""
    for app_id, seen in turn.view.apps.items():
        for site_id in seen.body.location.sites if seen.body.bounds.site_min else ():
            if site_id in turn.books.sites:
                row = turn.books.apps.get(f"{app_id}@{site_id}")
                if row is None or row.spec_seen != seen.body.version:
                    turn.app(app_id, site_id)


def _judge(turn: Turn) -> None:
    books = turn.books
    for key in sorted(turn.touched_routes):
        _change(books.routes, key, lambda row: site_spill.keep(turn, row))
        books.remind("route", key, books.routes[key].due_ms)
        turn.touched_sites[books.routes[key].site_id] = None
    for key in sorted(turn.touched_apps):
        if key in turn.changed_apps:
            site_scale.judge_app(turn, books.apps[key])
            changed = True
        else:
            changed = _change(books.apps, key, lambda row: site_scale.judge_app(turn, row))
        if changed:
            turn.touched_sites[books.apps[key].site_id] = None
        books.remind("app", key, books.apps[key].due_ms)
    for key in sorted(turn.touched_sites):
        site = books.sites[key]
        if site_inventory.publish(turn, site):
            books.sites[key] = site
        books.remind("site", key, site.due_ms)


def _change(table: Table[Any], key: str, change: Callable[[Any], None]) -> bool:
    """Let a row be changed in place, and mark it only if it really was; whether it was.

    What is already marked says nothing: it may be from an earlier input of the same frame.
    """
    before = table.encoded(key)
    change(table[key])
    if table.encoded(key) == before:
        return False
    table[key] = table[key]
    return True


_FOLDS: Final[dict[type[Message], Callable[[Turn, Any], None]]] = {
    NodeTelemetryBatch: site_nodes.fuse_batch,
    NodeTelemetry: site_nodes.fuse_single,
    NodeLifecycle: site_nodes.take_evidence,
    NodeParts: site_parts.take_parts,
    AppLoad: site_load.take_load,
    Reserve: site_room.reserve,
    Commit: site_room.commit,
    ReleaseRoom: site_room.release,
    PlaceReplicas: site_place.place,
    Spill: site_spill.spill,
    Hello: site_answers.take_hello,
}
