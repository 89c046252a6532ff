"""What the ETSI MEC APIs share: time stamps, links, the addresses of terminals, enumerations in two spellings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ..base import ID_PATTERN, LATEST_MS
from ..errors import BadInput, Fault
from ..location import Geo
from .amounts import Number, number_of, scaled
from .coercions import Coercion
from .harvest import Harvest
from .identity import as_ip, terminal_of

TimeStamp = dict[str, Number | None]
"""`{seconds, nanoSeconds}` (GS MEC 009), keys as they came."""
Link = str | dict[str, Any]
"""`{href}`, or in the wild its bare text."""

_STAMP_KEYS: Final = ("seconds", "nanoseconds")
_LATEST_S: Final = LATEST_MS // 1_000
_NS: Final = 1_000_000_000
_E7: Final = 10_000_000
_WORLD: Final = {"latitude": 90, "longitude": 180}
_MOST_M: Final = 4_294_967_295


class AssociateId(msgspec.Struct):
    """One address of a terminal (GS MEC 012 and 021): 1 IPv4, 2 IPv6, 3 behind NAT, 4 a GTP tunnel."""

    type: int | str
    value: str


_TYPES: Final = {
    "UE_IPV4_ADDRESS": 1,
    "UE_IPV6_ADDRESS": 2,
    "NATED_IP_ADDRESS": 3,
    "GTP_TEID": 4,
}
_IPS: Final = (1, 2, 3)


def stamp_ms(stamp: TimeStamp | None, harvest: Harvest) -> int:
    """Milliseconds of a time stamp; without one the record's time; BadInput for one that is no time."""
    if stamp is None:
        harvest.coerced(Coercion.TIME_FROM_RECORD)
        return harvest.raw.at_ms
    seconds, nanos = (_member(stamp, key, harvest) for key in _STAMP_KEYS)
    if seconds is None or not 0 <= seconds < _LATEST_S or not 0 <= (nanos or 0) < _NS:
        raise BadInput(Fault.BAD_TIME, "a time stamp needs seconds since 1970 and at most 999999999 nanoSeconds")
    return int(seconds) * 1_000 + int(nanos or 0) // 1_000_000


def _member(stamp: TimeStamp, wanted: str, harvest: Harvest) -> float | int | None:
    for key, value in stamp.items():
        plain = key.strip('"')
        if plain.lower() != wanted:
            continue
        if plain != key:
            harvest.coerced(Coercion.KEY_STRAY_QUOTE)
        if plain == "nanoseconds":
            harvest.coerced(Coercion.TS_NANOSECONDS_CASE)
        if isinstance(value, str):
            harvest.coerced(Coercion.NUMBER_AS_STRING)
        return None if value is None else number_of(value)
    return None


def either_stamp(proper: TimeStamp | None, variant: TimeStamp | None, harvest: Harvest) -> int:
    """The time under the standard's name, else under its other spelling."""
    if proper is None and variant is not None:
        harvest.coerced(Coercion.TIMESTAMP_VS_TIME_STAMP)
    return stamp_ms(variant if proper is None else proper, harvest)


def terminal_of_ids(ids: list[AssociateId] | AssociateId | None, harvest: Harvest) -> str:
    """The terminal that one of these addresses names; BadInput without an IP address among them."""
    if isinstance(ids, AssociateId):
        harvest.coerced(Coercion.OBJECT_FOR_LIST)
        ids = [ids]
    for associate in ids or ():
        if isinstance(associate.type, str):
            harvest.coerced(Coercion.ENUM_AS_NAME)
        kind = _TYPES.get(associate.type.upper(), 0) if isinstance(associate.type, str) else associate.type
        if kind in _IPS and (address := as_ip(associate.value)):
            return terminal_of(address, harvest)
    raise BadInput(Fault.NO_TERMINAL_IDENTITY, "no associateId holds an IP address of the type that it names")


def id_of(text: str, name: str) -> str:
    """A foreign name as one of ours; BadInput for what no id may be."""
    if not ID_PATTERN.match(text):
        raise BadInput(Fault.SCHEMA, f"{name} is no id")
    return text


def zone_of_subscription(links: Mapping[str, Any] | None, harvest: Harvest) -> str:
    """The id of the subscription behind an area event, which is its zone's name: an operator declares the zone so."""
    held = (links or {}).get("subscription") or (links or {}).get("self")
    if isinstance(held, str):
        harvest.coerced(Coercion.LINK_AS_STRING)
    href = held.get("href") if isinstance(held, dict) else held
    name = href.rstrip("/").rsplit("/", 1)[-1] if isinstance(href, str) else ""
    if not ID_PATTERN.match(name):
        raise BadInput(Fault.SCHEMA, "neither a zone nor a subscription says which area is meant")
    harvest.coerced(Coercion.ZONE_FROM_SUBSCRIPTION)
    return name


def geo_of(latitude: object, longitude: object, accuracy: object, harvest: Harvest) -> Geo | None:
    """A place, where both coordinates are sound; the first of a list, a lone number all the same."""
    lat, lon = _degrees(latitude, "latitude", harvest), _degrees(longitude, "longitude", harvest)
    if lat is None or lon is None:
        return None
    metres = scaled(accuracy, 1) if isinstance(accuracy, int | float) else 0
    return Geo(lat_e7=lat, lon_e7=lon, accuracy_m=min(metres or 0, _MOST_M))


def _degrees(held: object, name: str, harvest: Harvest) -> int | None:
    if isinstance(held, list):
        held = held[0] if held else None
    elif held is not None:
        harvest.coerced(Coercion.SCALAR_FOR_LIST)
    number = number_of(held) if isinstance(held, int | float | str) else None
    if number is None or not -_WORLD[name] <= number <= _WORLD[name]:
        return None
    return round(number * _E7)
