"""Where synthetic sites stand: around real cities, an aggregation site in the middle, access sites about it."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec

from schemas.estate import Tier

from .noise import bell, between, seed_of, unit

_EARTH_KM: Final = 6_371.0
_KM_PER_DEGREE: Final = 111.2
_SPREAD_KM: Final = 9.0
_E7: Final = 10_000_000
_CAMPUS_SHARE: Final = 0.15
_US_PER_KM: Final = 15
"""Round trip: 10 us per km of fibre, and fibre is half as long again as the straight line."""
_HOP_US: Final = 400


class City(NamedTuple):
    """A city: a region's name, its middle in degrees, and its share of sites."""

    name: str
    lat: float
    lon: float
    weight: int


CITIES: Final = (
    City("berlin", 52.520, 13.405, 7),
    City("paris", 48.857, 2.352, 9),
    City("madrid", 40.417, -3.703, 7),
    City("milan", 45.464, 9.190, 6),
    City("london", 51.507, -0.128, 9),
    City("vienna", 48.208, 16.373, 4),
    City("warsaw", 52.230, 21.012, 4),
    City("amsterdam", 52.370, 4.895, 4),
    City("prague", 50.076, 14.438, 3),
    City("copenhagen", 55.676, 12.568, 3),
    City("munich", 48.137, 11.575, 4),
    City("lyon", 45.764, 4.836, 3),
    City("barcelona", 41.387, 2.170, 5),
    City("rome", 41.903, 12.496, 5),
    City("hamburg", 53.551, 9.993, 4),
    City("stockholm", 59.329, 18.069, 3),
)


class Place(msgspec.Struct, frozen=True):
    """Where one synthetic site stands."""

    site_id: str
    region: str
    tier: Tier
    lat_e7: int
    lon_e7: int


def places(seed: int, sites: int) -> tuple[Place, ...]:
    """So many sites over the cities by weight; the first of every city is its aggregation site."""
    shares = zip(CITIES, _shares(sites), strict=False)
    return tuple(_place(seed, city, number) for city, count in shares for number in range(count))


def distance_km(one: Place, other: Place) -> float:
    """Great-circle distance."""
    lat, other_lat = (math.radians(place.lat_e7 / _E7) for place in (one, other))
    half_lat = (other_lat - lat) / 2
    half_lon = math.radians((other.lon_e7 - one.lon_e7) / _E7) / 2
    chord = math.sin(half_lat) ** 2 + math.cos(lat) * math.cos(other_lat) * math.sin(half_lon) ** 2
    return 2 * _EARTH_KM * math.asin(math.sqrt(chord))


def rtt_us(one: Place, other: Place) -> int:
    """A plausible round trip between two sites."""
    return _HOP_US + round(distance_km(one, other) * _US_PER_KM)


def _shares(sites: int) -> list[int]:
    """Sites per city: by weight, every used city at least one, the sum exact."""
    used = CITIES[: min(sites, len(CITIES))]
    weight = sum(city.weight for city in used)
    counts = [max(1, sites * city.weight // weight) for city in used]
    spare = sites - sum(counts)
    for number in range(abs(spare)):
        counts[number % len(counts) if spare > 0 else counts.index(max(counts))] += 1 if spare > 0 else -1
    return counts


def _place(seed: int, city: City, number: int) -> Place:
    own = seed_of(seed, f"place/{city.name}/{number}")
    spread_km = 1.0 if number == 0 else _SPREAD_KM
    north_km, east_km = bell(own, 1) * spread_km, bell(own, 2) * spread_km
    lat = city.lat + north_km / _KM_PER_DEGREE
    lon = city.lon + east_km / (_KM_PER_DEGREE * math.cos(math.radians(city.lat)))
    tier = Tier.CAMPUS if unit(own, 3) < _CAMPUS_SHARE else Tier.ACCESS
    return Place(
        site_id=f"{city.name}-{number:03d}",
        region=city.name,
        tier=Tier.AGGREGATION if number == 0 else tier,
        lat_e7=round(lat * _E7),
        lon_e7=round(lon * _E7),
    )


def price_milli(seed: int, place: Place) -> int:
    """Price of a core and hour: aggregation is cheaper than the edge."""
    low, high = (20, 30) if place.tier is Tier.AGGREGATION else (35, 60)
    return round(between(seed_of(seed, f"price/{place.site_id}"), 0, low, high))
