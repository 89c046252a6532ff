"""Capacity is granted by its site: reserve, commit, release; and how many replicas of an app still fit.

Room is sold by the books (wanted, observed or ordered replicas, whichever is most, plus what others hold), never by
measured use. A tenth of the site, or two replicas, stays for purpose evacuate.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge_control.controllers.site_rows import AppRow
from edge_control.controllers.site_turn import Turn
from edge_control.inventory.amounts import (
    NONE,
    count_in,
    covers,
    larger,
    minus,
    permille_of,
    plus,
    smaller,
    times,
)
from edge_control.inventory.ledger import EXPIRY_GRACE_MS, Held
from edge_control.policies.facts import paused_by
from schemas.apps import AppSpec, Resources
from schemas.inventory import Health
from schemas.policy import ScalingPolicy
from schemas.requests import Commit, Committed, Purpose, ReleaseRoom, Reserve, Reserved
from topics.catalogue import Keyspace

_HEADROOM_AT_MOST_PERMILLE: Final = 250


def unit_of(spec: AppSpec) -> Resources:
    """What one replica takes."""
    per = spec.per_replica
    return Resources(cpu_milli=per.cpu_milli, mem_bytes=per.mem_bytes, gpu_milli=per.gpu_milli, net_bps=per.net_bps)


def used(turn: Turn, site_id: str) -> Resources:
    """Room that counts as used: all apps' replicas and what others committed."""
    total = turn.books.ledger.sums(site_id).committed
    for row in turn.books.apps_of(site_id):
        total = plus(total, times(row.unit, row.accounted))
    return total


def free(turn: Turn, site_id: str) -> Resources:
    """What is neither used nor reserved; nothing while more is promised than there is (a node was lost)."""
    site = turn.books.sites[site_id]
    promised = plus(used(turn, site_id), turn.books.ledger.sums(site_id).reserved)
    return minus(site.totals.allocatable, promised)


def headroom(turn: Turn, site_id: str, unit: Resources) -> Resources:
    """What stays for evacuations: the larger of a share of the site and a few replicas of the asking app.

    Never more than a quarter of the site: a tiny site would otherwise carry nothing.
    """
    policy = turn.view.policies.of(ScalingPolicy, turn.scope(site_id))
    allocatable = turn.books.sites[site_id].totals.allocatable
    kept = larger(permille_of(allocatable, policy.headroom_permille), times(unit, policy.headroom_replicas))
    return smaller(kept, permille_of(allocatable, _HEADROOM_AT_MOST_PERMILLE))


def fits(turn: Turn, row: AppRow, unit: Resources) -> int:
    """How many more replicas of the app fit at its site, above the headroom."""
    room = minus(free(turn, row.site_id), headroom(turn, row.site_id, unit))
    return count_in(room, _measurable(turn, row.site_id, unit))


def reserve(turn: Turn, ask: Reserve) -> None:
    """Hold room for the asker, or refuse with the room there is; asked again, answer the same."""
    books = turn.books
    turn.site(ask.site_id)
    held = books.ledger.table.get(ask.request_id)
    if held is not None:
        reason = "" if held.committed or held.until_ms > turn.at_ms else "expired"
        _answer(turn, ask, reason, held.until_ms)
        return
    need = _need(turn, ask)
    reason = _why_refused(turn, ask, need)
    until_ms = turn.at_ms + ask.for_ms
    if not reason:
        held = Held(
            site_id=ask.site_id,
            app_id=ask.app_id,
            resource_id=ask.resource_id,
            purpose=ask.purpose,
            resources=need,
            seats=ask.seats,
            replicas=ask.replicas,
            until_ms=until_ms,
        )
        books.ledger.reserve(ask.request_id, held)
        books.remind("room", ask.request_id, until_ms + EXPIRY_GRACE_MS)
        if ask.seats:
            turn.put_app(turn.app(ask.app_id, ask.site_id))
    _answer(turn, ask, reason, until_ms)


def commit(turn: Turn, ask: Commit) -> None:
    """Turn a reservation that has not ended into used room; it counts by the commit's own append time."""
    turn.site(ask.site_id)
    held = turn.books.ledger.table.get(ask.reservation_id)
    live = held is not None and (held.committed or turn.at_ms < held.until_ms)
    if held is not None and live and not held.committed:
        turn.books.ledger.commit(ask.reservation_id)
        turn.books.remind("room", ask.reservation_id, 0)
        turn.touched_apps.update(dict.fromkeys([held.app_at_site] if held.app_at_site in turn.books.apps else ()))
    body = Committed(request_id=ask.request_id, granted=live, reason="" if live else "expired", site_id=ask.site_id)
    turn.tell(Keyspace(ask.reply_keyspace), ask.reply_key, body, ask.request_id, correlation_id=ask.request_id)


def release(turn: Turn, said: ReleaseRoom) -> None:
    """Give room back; unknown or said twice, it changes nothing."""
    drop(turn, said.reservation_id)


def drop(turn: Turn, reservation_id: str) -> None:
    """The end of a reservation or commitment."""
    held = turn.books.ledger.drop(reservation_id)
    turn.books.remind("room", reservation_id, 0)
    if held is not None:
        turn.touched_sites[held.site_id] = None
        if held.app_at_site in turn.books.apps:
            turn.touched_apps[held.app_at_site] = None


def closed_to(turn: Turn, site_id: str, app_id: str) -> str:
    """Why nothing new may come to a site now; empty: it may."""
    spec = turn.spec(app_id)
    scopes = ["all", f"site/{site_id}", f"app/{app_id}", f"region/{turn.view.region_of(site_id)}"]
    if spec is not None:
        scopes.append(f"tenant/{spec.tenant}")
    if paused_by(tuple(scopes), turn.view, turn.now_ms):
        return "paused"
    sick = turn.view.health_of(site_id) not in (Health.ALIVE, Health.UNKNOWN)
    return "unhealthy-target" if sick or turn.books.sites[site_id].dead_ms else ""


def _why_refused(turn: Turn, ask: Reserve, need: Resources) -> str:
    if ask.expires_at_ms <= turn.at_ms:
        return "expired"
    spec = turn.spec(ask.app_id)
    if spec is None and need == NONE:
        return "no-spec"
    row = turn.books.apps.get(f"{ask.app_id}@{ask.site_id}")
    if ask.purpose is Purpose.SPILL and row is not None and row.missing:
        return "overflowing"
    room = free(turn, ask.site_id)
    if ask.purpose is not Purpose.EVACUATE:
        unit = unit_of(spec) if spec else need
        room = minus(room, headroom(turn, ask.site_id, unit))
    more = plus(need, _seats_need(turn, ask, spec, row))
    if not covers(room, _measurable(turn, ask.site_id, more)):
        return "no-room"
    return closed_to(turn, ask.site_id, ask.app_id)


def _need(turn: Turn, ask: Reserve) -> Resources:
    """Replicas take what the spec says each; seats take what the asker names (often nothing: replicas carry them)."""
    spec = turn.spec(ask.app_id)
    if ask.replicas:
        return times(unit_of(spec) if spec else ask.resources, ask.replicas)
    return ask.resources


def _seats_need(turn: Turn, ask: Reserve, spec: AppSpec | None, row: AppRow | None) -> Resources:
    """Room of the replicas that would have to be added to carry the seats."""
    if not ask.seats or spec is None:
        return NONE
    seats = turn.books.ledger.seats(f"{ask.app_id}@{ask.site_id}")
    reported = sum(window.sessions for window in row.ingresses.values()) if row else 0
    total = max(reported, seats.committed) + seats.reserved + ask.seats
    per = spec.per_replica.sessions
    replicas = -(-total // per) if per else 1
    return times(unit_of(spec), max(0, replicas - (row.accounted if row else 0)))


def _measurable(turn: Turn, site_id: str, need: Resources) -> Resources:
    """Network is only counted where the nodes say how much there is."""
    known = turn.books.sites[site_id].totals.allocatable.net_bps
    return need if known else msgspec.structs.replace(need, net_bps=0)


def _answer(turn: Turn, ask: Reserve, reason: str, until_ms: int) -> None:
    body = Reserved(
        request_id=ask.request_id,
        granted=not reason,
        reason=reason,
        site_id=ask.site_id,
        until_ms=0 if reason else until_ms,
        room=free(turn, ask.site_id) if reason else NONE,
    )
    turn.tell(Keyspace(ask.reply_keyspace), ask.reply_key, body, ask.request_id, correlation_id=ask.request_id)
