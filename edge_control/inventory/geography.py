"""How far apart two sites are: great circle over their places; round trip as a link declares it, else estimated."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

from edge_control.inventory.view import View

UNKNOWN_M: Final = 20_037_508
"""Half a turn around the earth: the distance to a place nobody has declared."""
_EARTH_M: Final = 6_371_008.8
_RAD_PER_E7: Final = math.pi / 180 / 1e7
_BASE_RTT_US: Final = 300
_US_PER_KM: Final = 15
"""10 us per km there and back in fibre, times 1.5 because fibre takes detours."""


def distance_m(view: View, site_a: str, site_b: str) -> int:
    """Metres between two sites; `UNKNOWN_M` when one of them is not in the estate."""
    if site_a == site_b:
        return 0
    a, b = view.sites.get(site_a), view.sites.get(site_b)
    if a is None or b is None:
        return UNKNOWN_M
    return haversine_m(a.body.lat_e7, a.body.lon_e7, b.body.lat_e7, b.body.lon_e7)


def rtt_us(view: View, site_a: str, site_b: str) -> int:
    """Round trip time between two sites in microseconds: as declared for their link, else estimated from distance."""
    if site_a == site_b:
        return 0
    for name in (f"{site_a}/{site_b}", f"{site_b}/{site_a}"):
        link = view.links.get(name)
        if link is not None and link.body.rtt_us > 0:
            return link.body.rtt_us
    return _BASE_RTT_US + distance_m(view, site_a, site_b) * _US_PER_KM // 1000


@lru_cache(maxsize=200_000)
def haversine_m(lat_a_e7: int, lon_a_e7: int, lat_b_e7: int, lon_b_e7: int) -> int:
    """Great-circle metres between two points given in 1e-7 degree."""
    lat_a, lat_b = lat_a_e7 * _RAD_PER_E7, lat_b_e7 * _RAD_PER_E7
    half_lat = (lat_b - lat_a) / 2
    half_lon = (lon_b_e7 - lon_a_e7) * _RAD_PER_E7 / 2
    chord = math.sin(half_lat) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(half_lon) ** 2
    return round(2 * _EARTH_M * math.asin(math.sqrt(min(1.0, chord))))
