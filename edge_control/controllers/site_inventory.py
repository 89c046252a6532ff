"""The site's public row: at most once a second, when what a reader acts on changed by a hundredth, or after 5 s."""

from __future__ import annotations

from typing import Final

import msgspec

from edge_control.controllers import outputs, site_load, site_room
from edge_control.controllers.site_rows import AppRow, SiteRow
from edge_control.controllers.site_turn import Turn
from edge_control.inventory.amounts import minus, plus, times
from schemas.apps import Resources
from schemas.base import capped
from schemas.inventory import AppAtSite, Room, SiteInventory, SpillAtSite

PUBLISH_MS: Final = 1_000
PUBLISH_ANYWAY_MS: Final = 5_000
_RESOURCES: Final = ("cpu_milli", "mem_bytes", "gpu_milli", "net_bps")
_PERCENT: Final = 100


def publish(turn: Turn, site: SiteRow) -> bool:
    """Publish the row if it is time; else note when to look again. Whether the private row changed by that."""
    last, due_before_ms = site.published, site.due_ms
    waited_ms = turn.now_ms - last.as_of_ms if last is not None else PUBLISH_ANYWAY_MS
    due_ms = 0
    if waited_ms >= PUBLISH_MS:
        body = _inventory(turn, site)
        if last is None or waited_ms >= PUBLISH_ANYWAY_MS or _says_more(last, body):
            site.published = body
            turn.outputs.append(outputs.row(body))
        else:
            due_ms = last.as_of_ms + PUBLISH_ANYWAY_MS
    elif last is not None:
        due_ms = last.as_of_ms + PUBLISH_MS
    times_ms = [due_ms, *site.drains.values()]
    site.due_ms = min((at_ms for at_ms in times_ms if at_ms > turn.now_ms), default=0)
    return site.published is not last or site.due_ms != due_before_ms


def _inventory(turn: Turn, site: SiteRow) -> SiteInventory:
    apps = turn.books.apps_of(site.site_id)
    estate = turn.view.sites.get(site.site_id)
    return SiteInventory(
        generation=site.published.generation + 1 if site.published else 1,
        as_of_ms=turn.now_ms,
        site_id=site.site_id,
        region_id=turn.view.region_of(site.site_id),
        health=turn.view.health_of(site.site_id),
        tier=estate.body.tier if estate else "",
        nodes=site.totals.counts,
        rooms=_rooms(turn, site, apps),
        apps=tuple(_app(row) for row in apps if row.wanted or row.observed or row.demand_milli),
        spill=_spills(turn, site.site_id),
        coverage_permille=site.totals.coverage_permille,
        input_age_ms=max(0, turn.now_ms - site.batch_ms) if site.batch_ms else 0,
        unadmitted=site.totals.unadmitted,
    )


def _rooms(turn: Turn, site: SiteRow, apps: list[AppRow]) -> tuple[Room, ...]:
    sums = turn.books.ledger.sums(site.site_id)
    requested = sums.committed
    for row in apps:
        requested = plus(requested, times(row.unit, row.wanted))
    used = site_room.used(turn, site.site_id)
    free = minus(site.totals.allocatable, plus(used, sums.reserved))
    amounts = (site.totals.capacity, site.totals.allocatable, requested, sums.reserved, used, free)
    rooms = [_room(name, amounts, site.totals.used) for name in _RESOURCES]
    return tuple(room for room in rooms if room.capacity or room.used)


def _room(name: str, amounts: tuple[Resources, ...], measured: Resources) -> Room:
    capacity, allocatable, requested, reserved, used, free = (getattr(amount, name) for amount in amounts)
    return Room(
        resource=name.partition("_")[0],
        capacity=capacity,
        allocatable=allocatable,
        requested=requested,
        reserved=reserved,
        used=used,
        free=free,
        watermark_permille=capped(getattr(measured, name) * 1000 // capacity) if capacity else 0,
    )


def _app(row: AppRow) -> AppAtSite:
    return AppAtSite(
        app_id=row.app_id,
        desired=row.wanted,
        ordered=row.orders[-1].replicas if row.orders else row.observed,
        ready=row.observed,
        demand_milli=row.demand_milli,
        served_elsewhere_permille=site_load.elsewhere_permille(row),
        own=row.own,
        placed=row.placed,
    )


def _spills(turn: Turn, site_id: str) -> tuple[SpillAtSite, ...]:
    return tuple(
        SpillAtSite(app_id=row.app_id, to_site=share.site_id, permille=share.permille, until_ms=row.until_ms)
        for row in turn.books.routes_of(site_id)
        for share in row.sent
    )


def _says_more(last: SiteInventory, body: SiteInventory) -> bool:
    return _exact(last) != _exact(body) or any(
        abs(old - new) * _PERCENT > old for old, new in zip(_gradual(last), _gradual(body), strict=True)
    )


def _exact(row: SiteInventory) -> tuple[object, ...]:
    apps = tuple(msgspec.structs.replace(app, demand_milli=0, served_elsewhere_permille=0) for app in row.apps)
    spill = tuple(msgspec.structs.replace(share, until_ms=0) for share in row.spill)
    rooms = tuple(room.resource for room in row.rooms)
    return (row.health, row.nodes, row.unadmitted, apps, spill, rooms, row.coverage_permille)


def _gradual(row: SiteInventory) -> list[int]:
    free = [amount for room in row.rooms for amount in (room.free, room.allocatable, room.reserved)]
    return free + [app.demand_milli for app in row.apps]
