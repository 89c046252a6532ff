"""The estate of a synthetic world as documents: regions, sites, zones, access points, links, nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from schemas.documents import Document
from schemas.estate import AccessPoint, EstateItem, Link, Node, Price, Region, Site, Tier, Zone

from .geography import distance_km, price_milli, rtt_us
from .synthetic import SyntheticSite, World

_APS_PER_ZONE: Final = 2
_BACKBONE_LINKS: Final = 2
_UPLINK_BPS: Final = {Tier.ACCESS: 1_000_000_000, Tier.CAMPUS: 10_000_000_000, Tier.AGGREGATION: 100_000_000_000}


def estate(world: World, *, nodes: bool = False) -> list[Document]:
    """Every item, each after what it refers to; nodes only if asked for (development admits them by themselves)."""
    regions = dict.fromkeys(site.place.region for site in world.sites)
    items: list[Document] = [_document("region", name, Region(id=name, name=name.capitalize())) for name in regions]
    for site in world.sites:
        items += _of_site(world, site, nodes=nodes)
    items += [_document("link", link.id, link) for link in _links(world)]
    return items


def zone_of(site_id: str) -> str:
    """The zone that a synthetic site serves."""
    return f"{site_id}-z"


def access_point_of(zone_id: str, number: int = 1) -> str:
    """The name of a zone's access point; the first one where nothing else is known."""
    return f"{zone_id}-ap{number}"


def _of_site(world: World, site: SyntheticSite, *, nodes: bool) -> Iterator[Document]:
    place = site.place
    described = Site(
        id=site.site_id,
        region=place.region,
        tier=place.tier,
        lat_e7=place.lat_e7,
        lon_e7=place.lon_e7,
        name=f"{place.region.capitalize()} {site.site_id.rpartition('-')[2]}",
        operator="synthetic",
        price_milli=Price(cpu=price_milli(world.plan.seed, place)),
    )
    yield _document("site", site.site_id, described)
    zone_id = zone_of(site.site_id)
    yield _document("zone", zone_id, Zone(id=zone_id, site=site.site_id))
    for number in range(1, _APS_PER_ZONE + 1):
        ap_id = access_point_of(zone_id, number)
        yield _document("ap", ap_id, AccessPoint(id=ap_id, zone=zone_id, connection_type="nr"))
    for node in site.nodes if nodes else ():
        yield _document("node", node.node_id, Node(id=node.node_id, site=site.site_id))


def _links(world: World) -> Iterator[Link]:
    """Every site to its region's aggregation site and back; aggregation sites to the nearest others."""
    hubs = {site.place.region: site for site in world.sites if site.place.tier is Tier.AGGREGATION}
    for site in world.sites:
        hub = hubs[site.place.region]
        if site is not hub:
            yield from _both_ways(site, hub)
    seen: set[tuple[str, str]] = set()
    for hub in hubs.values():
        for other in _neighbours(hub, hubs.values()):
            if (other.site_id, hub.site_id) not in seen:
                seen.add((hub.site_id, other.site_id))
                yield from _both_ways(hub, other)


def _neighbours(hub: SyntheticSite, hubs: Iterable[SyntheticSite]) -> list[SyntheticSite]:
    others = [other for other in hubs if other is not hub]
    others.sort(key=lambda other: (distance_km(hub.place, other.place), other.site_id))
    return others[:_BACKBONE_LINKS]


def _both_ways(one: SyntheticSite, other: SyntheticSite) -> Iterator[Link]:
    rtt, capacity = rtt_us(one.place, other.place), _UPLINK_BPS[one.place.tier]
    for a, b in ((one, other), (other, one)):
        yield Link(from_site=a.site_id, to_site=b.site_id, rtt_us=rtt, capacity_bps=capacity)


def _document(kind: str, name: str, body: EstateItem) -> Document:
    return Document(kind, f"{kind}/{name}", body)
