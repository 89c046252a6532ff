"""Where the users of a zone find an app before their first packet: the zone's home site, else the nearest that can.

A steering row is an outer loop (names, resolvers): it changes with health, estate and constraints, never with load;
an ingress that is full spills by itself.
"""

from __future__ import annotations

import heapq
import zlib
from enum import StrEnum
from typing import Final

import msgspec

from edge_control.inventory.geography import haversine_m
from edge_control.inventory.view import View
from edge_control.policies.ranking import constraint
from schemas import estate
from schemas.apps import AppKind, AppSpec
from schemas.commands import Share
from schemas.inventory import Health

_BACKUPS: Final = 2


class Stand(StrEnum):
    """What a site is for the users of one app."""

    USABLE = "u"
    DRAINED = "d"
    UNFIT = "-"


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """What an app's controller knows of the sites beside the view: those that run the app, those that are drained.

    A site of unknown health counts while its inventory row is no older than `fresh_ms`.
    """

    spec: AppSpec
    runs_at: dict[str, None]
    drained: dict[str, None]
    now_ms: int
    fresh_ms: int


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """How every site stands for one app, and a number that changes when any steering row of the app could."""

    stands: dict[str, Stand]
    signature: int


def is_steered(spec: AppSpec) -> bool:
    """Whether users look the app up: it has a host name, or it serves."""
    return bool(spec.hostname) or spec.kind in (AppKind.MEC, AppKind.SERVICE)


def look(view: View, glance: Glance) -> Outlook:
    """How the sites stand for the app."""
    stands = {site.id: _stand(view, site, glance) for site in _sites(view)}
    places = "".join(f"|{s.id}{stands[s.id]}{s.ingress_url}{s.lat_e7},{s.lon_e7}{s.live}" for s in _sites(view))
    zones = "".join(f"|{name}>{view.zones[name].body.site}" for name in sorted(view.zones))
    return Outlook(stands=stands, signature=zlib.crc32(f"{places}#{zones}".encode()))


def lists(view: View, outlook: Outlook) -> dict[str, tuple[Share, ...]]:
    """The shares of every home site's users: usable sites best first, the first with all; a drained home last."""
    usable = [site for site in _sites(view) if outlook.stands[site.id] is Stand.USABLE]
    homes = sorted({zone.body.site for zone in view.zones.values() if zone.body.site in view.sites})
    return {home: _list(view.sites[home].body, usable, outlook.stands[home]) for home in homes}


def _stand(view: View, site: estate.Site, glance: Glance) -> Stand:
    if constraint(site, glance.spec) or (site.live and not site.ingress_url):
        return Stand.UNFIT
    health = view.health_of(site.id)
    if site.id in glance.drained or health in (Health.SUSPECT, Health.DEAD):
        return Stand.DRAINED
    if health is Health.CUT_OFF:
        return Stand.USABLE if site.id in glance.runs_at else Stand.UNFIT
    if health is Health.ALIVE or _speaks(view, site.id, glance):
        return Stand.USABLE
    return Stand.UNFIT


def _speaks(view: View, site_id: str, glance: Glance) -> bool:
    """Whether a site of unknown health may be used: it just reported, or its region doubts itself and not the site."""
    row = view.site_rows.get(site_id)
    return row is not None and (row.age_ms(glance.now_ms) <= glance.fresh_ms or site_id in view.health)


def _list(home: estate.Site, usable: list[estate.Site], stand: Stand) -> tuple[Share, ...]:
    peers = [site for site in usable if site.live == home.live and site.id != home.id]
    first = [home] if stand is Stand.USABLE else []
    near = heapq.nsmallest(_BACKUPS + 1 - len(first), peers, key=lambda site: (_metres(home, site), site.id))
    best = [*first, *near]
    shares = [_share(site, 1000 if place == 0 else 0) for place, site in enumerate(best)]
    if stand is Stand.DRAINED:
        shares.append(_share(home, 0))
    return tuple(shares)


def _share(site: estate.Site, permille: int) -> Share:
    return Share(site_id=site.id, permille=permille, endpoint=site.ingress_url)


def _metres(a: estate.Site, b: estate.Site) -> int:
    return haversine_m(a.lat_e7, a.lon_e7, b.lat_e7, b.lon_e7)


def _sites(view: View) -> list[estate.Site]:
    return [view.sites[name].body for name in sorted(view.sites)]
