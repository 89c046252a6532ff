"""Steering rows: written when the outlook on the sites changes, renewed before they end; no zone loses its last one."""

from __future__ import annotations

from typing import Final

from edge_control.controllers import outputs as out
from edge_control.controllers.app_books import Turn
from edge_control.controllers.app_rows import SteeringRow
from edge_control.policies.steering import Glance, Outlook, is_steered, lists, look
from schemas.apps import AppSpec
from schemas.commands import Share
from schemas.inventory import Steering
from schemas.policy import OffloadPolicy, Scope
from topics import catalogue as cat

_AT_MOST_EVERY_MS: Final = 1_000


def steer(turn: Turn, spec: AppSpec) -> None:
    """Look at the sites again and publish the rows of all zones for which something else is best now."""
    if not is_steered(spec):
        stop_steering(turn, spec.app_id)
        return
    app = turn.books.app(spec.app_id)
    if app.steered_at_ms and turn.now_ms - app.steered_at_ms < _AT_MOST_EVERY_MS:
        return
    outlook = _outlook(turn, spec)
    if outlook.signature == app.signature:
        return
    app.signature, app.steered_at_ms = outlook.signature, turn.now_ms
    turn.books.apps[spec.app_id] = app
    by_home = lists(turn.view, outlook)
    for zone_id in sorted(turn.view.zones):
        shares = by_home.get(turn.view.zones[zone_id].body.site, ())
        _steer_zone(turn, spec, zone_id, shares)
    for zone_id in sorted(turn.books.zones_of.get(spec.app_id, {})):
        if zone_id not in turn.view.zones:
            _forget(turn, f"{spec.app_id}/{zone_id}")


def renew(turn: Turn) -> None:
    """Publish the rows again whose life is half over."""
    for key in tuple(turn.books.renewals.due(turn.now_ms)):  # what is published now is due again later
        row, spec = turn.books.steering.get(key), None
        if row is not None:
            spec = turn.books.spec(row.app_id)
        if row is not None and spec is not None:
            _publish(turn, spec, row.zone_id, row.shares)


def stop_steering(turn: Turn, app_id: str) -> None:
    """The app is gone, or nobody looks it up: it has no rows."""
    for zone_id in sorted(turn.books.zones_of.get(app_id, {})):
        _forget(turn, f"{app_id}/{zone_id}")


def published(row: SteeringRow) -> Steering:
    """The public row."""
    return Steering(
        app_id=row.app_id,
        zone_id=row.zone_id,
        sites=row.shares,
        until_ms=row.until_ms,
        generation=row.generation,
        as_of_ms=row.as_of_ms,
    )


def _outlook(turn: Turn, spec: AppSpec) -> Outlook:
    runs = dict.fromkeys(row.site_id for row in turn.books.demands(spec.app_id) if row.ready > 0)
    policy = _policy(turn, spec)
    glance = Glance(
        spec=spec,
        runs_at=runs,
        drained=turn.drained(spec.app_id),
        now_ms=turn.now_ms,
        fresh_ms=policy.max_view_age_ms,
    )
    return look(turn.view, glance)


def _steer_zone(turn: Turn, spec: AppSpec, zone_id: str, shares: tuple[Share, ...]) -> None:
    row = turn.books.steering.get(f"{spec.app_id}/{zone_id}")
    usable = any(share.permille for share in shares)
    if usable and (row is None or row.shares != shares):
        _publish(turn, spec, zone_id, shares)


def _publish(turn: Turn, spec: AppSpec, zone_id: str, shares: tuple[Share, ...]) -> None:
    key = f"{spec.app_id}/{zone_id}"
    known = turn.books.steering.get(key)
    row = SteeringRow(
        app_id=spec.app_id,
        zone_id=zone_id,
        shares=shares,
        until_ms=turn.now_ms + _policy(turn, spec).steering_ttl_ms,
        generation=known.generation + 1 if known else 1,
        as_of_ms=turn.now_ms,
    )
    turn.books.steering[key] = row
    turn.books.await_renewal(key, row)
    turn.say([out.row(published(row))])


def _forget(turn: Turn, key: str) -> None:
    row = turn.books.steering[key]
    turn.books.steering.discard(key)
    turn.books.renewals.clear(key)
    turn.books.zones_of[row.app_id].pop(row.zone_id, None)
    turn.say([out.tombstone(cat.STEERING, key, row.generation + 1)])


def _policy(turn: Turn, spec: AppSpec) -> OffloadPolicy:
    return turn.view.policies.of(OffloadPolicy, Scope(app=spec.app_id, tenant=spec.tenant))
