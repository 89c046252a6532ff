"""The app controller: one demand view over all entries, hires for overflow, placement, steering, rescue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from edge_control.controllers import outputs as out
from edge_control.controllers.app_books import AppBooks, Turn
from edge_control.controllers.app_demand import fold_report, fused, is_due, publish, touch
from edge_control.controllers.app_drive import fold_placed, fold_reserved, fold_spilled, watch
from edge_control.controllers.app_heard import fold_answer, fold_checkpoint, fold_hello, fold_status
from edge_control.controllers.app_hire import fold_overflow, summary
from edge_control.controllers.app_instance_rows import has_instances
from edge_control.controllers.app_moves import MOVES
from edge_control.controllers.app_place import keep_minimum
from edge_control.controllers.app_relief import tend
from edge_control.controllers.app_rescue import tend_instances
from edge_control.controllers.app_rows import DrainRow, SpecRow, at
from edge_control.controllers.app_steering import published, renew, steer, stop_steering
from edge_control.controllers.app_steps import KINDS, correct
from edge_control.controllers.base import Controller
from edge_control.controllers.events import Input, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import State
from edge_control.inventory.tables import Table
from edge_control.inventory.view import View
from edge_control.policies.placement import topological
from schemas.apps import AppSpec
from schemas.base import Message
from schemas.requests import (
    CheckpointReport,
    Committed,
    DrainSite,
    EvacuateSite,
    Lease,
    Overflow,
    Placed,
    Reserved,
    SiteReport,
    Spilled,
)
from schemas.statuses import Hello, Status
from topics.catalogue import Keyspace

_ALL: Final = 1000
"""All of the traffic, in permille."""


class AppController(Controller):
    """All apps of one partition."""

    keyspace: ClassVar[Keyspace] = Keyspace.APP

    def __init__(self, partition: int) -> None:
        """Knows no app."""
        super().__init__(partition)
        self.books = AppBooks(partition)

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """Specs, demand, overflow, hires, drains, steering, reasons, instances."""
        return self.books.tables

    def handle(self, event: Input, view: View) -> list[Output]:
        """Fold a spec, a report, an overflow, a reply, a drain, or a tick."""
        turn = Turn(self.books, event, view)
        if isinstance(event, Tick):
            self._tick(turn)
        else:
            fold = _FOLDS.get(type(event.body))
            if fold is not None:
                fold(turn, event.key, event.at_ms, event.body)
        return turn.outputs

    def rebuild(self) -> None:
        """Index all rows by app, and await the renewal of steering rows."""
        self.books.rebuild()

    def public_rows(self) -> list[Output]:
        """The demand row of every app, and all steering rows."""
        books = self.books
        rows = [out.row(fused(books, books.apps[name], *summary(books, name))) for name in sorted(books.apps)]
        steering = [out.row(published(books.steering[key])) for key in sorted(books.steering)]
        return rows + steering

    def validate(self) -> None:
        """Assert that shares are shares, hires are open and indexed, and indexes hold what the tables hold."""
        books = self.books
        for key, ingress in books.ingresses.items():
            assert sum(share.permille for share in ingress.shares) <= _ALL, key
            assert ingress.site_id in books.ingresses_of[ingress.app_id], key
        for key, hire in books.hires.items():
            assert hire.key == key, (hire.key, key)
            assert hire.state.open, hire
            assert hire.kind in KINDS, hire
            assert hire.host != hire.ingress, hire
            assert (hire.state is State.HELD) <= (hire.held_at_ms > 0), hire
            assert key in books.hires_of[hire.app_id], hire
        for key, row in books.steering.items():
            assert sum(share.permille for share in row.shares) == _ALL, key
            assert row.zone_id in books.zones_of[row.app_id], key
        for key, instance in books.instances.items():
            assert key in books.instances_of[instance.app_id], key
            assert instance.host or not instance.room_id, instance
            assert instance.move is None or instance.move.kind in MOVES, instance
        assert len(books.hires) == sum(map(len, books.hires_of.values()))
        assert len(books.steering) == sum(map(len, books.zones_of.values()))

    def _tick(self, turn: Turn) -> None:
        _forget_drains(turn)
        specs = {key: row.spec for key, row in self.books.specs.items()}
        ordered, circular = topological(specs)
        for app_id in ordered + circular:
            _live(turn, self.books.specs[app_id])
        renew(turn)
        for app_id in sorted(self.books.apps):
            if is_due(turn, app_id):
                turn.say([out.row(publish(turn, app_id, *summary(self.books, app_id)))])


def _live(turn: Turn, row: SpecRow) -> None:
    """One app's tick: its end is noticed, its procedures move on, its minimum and its steering are kept."""
    spec = row.spec
    _notice_end(turn, row)
    watch(turn, spec, gone=row.gone)
    tend(turn, spec)
    tend_instances(turn, spec, gone=row.gone)
    if not row.gone:
        if not has_instances(spec):
            keep_minimum(turn, spec)
        steer(turn, spec)


def _look_at_instances(turn: Turn, app_id: str, _at_ms: int, _prompt: EvacuateSite) -> None:
    """A prompt: whether anything may be done is judged as ever, by the view and the region's lease."""
    row = turn.books.specs.get(app_id)
    if row is not None:
        tend_instances(turn, row.spec, gone=row.gone)


def _fold_spec(turn: Turn, _app_id: str, _at_ms: int, spec: AppSpec) -> None:
    """A newer spec replaces the older one; what it forbids is noticed on the next tick."""
    known = turn.books.specs.get(spec.app_id)
    if known is not None and not known.gone and spec.version < known.spec.version:
        return
    turn.books.specs[spec.app_id] = SpecRow(app_id=spec.app_id, spec=spec)
    app = turn.books.app(spec.app_id)
    app.signature = -1
    turn.books.apps[spec.app_id] = app
    touch(turn.books, spec.app_id)


def _notice_end(turn: Turn, row: SpecRow) -> None:
    """An app that the view knew and no longer knows is withdrawn: its hires end, its steering ends.

    A view without any site is an empty one; it means nothing.
    """
    if row.app_id in turn.view.apps:
        if not row.seen or row.gone:
            row.seen, row.gone = True, False
            turn.books.specs[row.app_id] = row
    elif row.seen and not row.gone and turn.view.sites:
        row.gone = True
        turn.books.specs[row.app_id] = row
        stop_steering(turn, row.app_id)


def _fold_drain(turn: Turn, app_id: str, at_ms: int, drain: DrainSite) -> None:
    key = at(app_id, drain.site_id)
    if drain.until_ms > turn.now_ms:
        turn.books.drains[key] = DrainRow(app_id=app_id, site_id=drain.site_id, until_ms=drain.until_ms, at_ms=at_ms)
    else:
        turn.books.drains.discard(key)


def _forget_drains(turn: Turn) -> None:
    for key, row in turn.books.drains.items():
        if row.until_ms <= turn.now_ms:
            turn.books.drains.discard(key)


def _fold_report(turn: Turn, report: SiteReport) -> None:
    """A site's word on its demand and replicas."""
    if fold_report(turn, report) and (spec := turn.books.spec(report.app_id)) is not None:
        correct(turn, spec, report)


def _fold_reserved(turn: Turn, app_id: str, _at_ms: int, reply: Reserved) -> None:
    """Room for an instance or for a hire."""
    fold_answer(turn, app_id, reply)
    fold_reserved(turn, app_id, reply)


Fold = Callable[[Turn, str, int, Any], None]
"""Takes the turn, the record's key, the event's own time and its body."""

_FOLDS: Final[dict[type[Message], Fold]] = {
    AppSpec: _fold_spec,
    SiteReport: lambda turn, _key, _at, body: _fold_report(turn, body),
    Overflow: lambda turn, _key, at_ms, body: fold_overflow(turn, body, at_ms),
    Reserved: _fold_reserved,
    Committed: lambda turn, key, _at, body: fold_answer(turn, key, body),
    Lease: lambda turn, key, _at, body: fold_answer(turn, key, body),
    Placed: lambda turn, key, _at, body: fold_placed(turn, key, body),
    Spilled: lambda turn, key, _at, body: fold_spilled(turn, key, body),
    DrainSite: _fold_drain,
    EvacuateSite: _look_at_instances,
    Status: lambda turn, key, _at, body: fold_status(turn, key, body),
    Hello: lambda turn, key, _at, body: fold_hello(turn, key, body),
    CheckpointReport: lambda turn, _key, _at, body: fold_checkpoint(turn, body),
}
