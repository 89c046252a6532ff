"""ETSI GS MEC 013 v3: flat notifications named by `notificationType`; time stamps and addresses may be absent."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ..errors import BadInput, Fault
from ..location import LocationEvent, Movement
from ..wire import decode
from .coercions import Coercion, Unused
from .etsi import Link, TimeStamp, either_stamp, geo_of, id_of, zone_of_subscription
from .harvest import LIMITS, Harvest
from .identity import terminal_of

DIALECT: Final = "mec013v3"
_EVENTS: Final = {
    "ENTERING_AREA_EVENT": Movement.ENTER,
    "PRESENT_IN_AREA_EVENT": Movement.ENTER,
    "LEAVING_AREA_EVENT": Movement.LEAVE,
}
_MOVES: Final = ("UserLocationEventNotification", "UserAreaNotification", "ZoneLocationEventNotification")
_OTHERS: Final = (
    "ZoneStatusNotification",
    "UserLocationPeriodicNotification",
    "UserDistanceNotification",
    "TestNotification",
    "ExpiryNotification",
)


class _Place(msgspec.Struct):
    latitude: Any = None
    longitude: Any = None
    accuracy: Any = None


class _Move(msgspec.Struct, rename="camel"):
    user_location_event: str = ""
    address: str = ""
    zone_id: str = ""
    access_point_id: str = ""
    time_stamp: TimeStamp | None = None
    timestamp: TimeStamp | None = None
    location_info: _Place | None = None
    links: dict[str, Any] | None = msgspec.field(name="_links", default=None)
    plain_links: dict[str, Any] | None = msgspec.field(name="links", default=None)
    link: Link | None = None


class _Other(msgspec.Struct, rename="camel"):
    """What these have in common is checked; they name no movement."""

    zone_id: str = ""
    user_num_event: int | str = 0
    operation_status: str = ""
    location_info: _Place | None = None
    time_stamp: TimeStamp | None = None


def take(kind: str, body: bytes, harvest: Harvest) -> bool:
    """Read a notification of this type; False for a type that this version does not know."""
    if kind in _MOVES:
        _move(decode(_Move, body, LIMITS), harvest)
    elif kind in _OTHERS:
        told = decode(_Other, body, LIMITS)
        harvest.pass_over(Unused.POSITION_ONLY if told.location_info else Unused.OTHER_EVENT)
    else:
        return False
    return True


def _move(told: _Move, harvest: Harvest) -> None:
    movement = _EVENTS.get(told.user_location_event)
    if movement is None:
        raise BadInput(Fault.SCHEMA, "userLocationEvent is none of ENTERING_, LEAVING_ and PRESENT_IN_AREA_EVENT")
    if told.user_location_event == "PRESENT_IN_AREA_EVENT":
        harvest.coerced(Coercion.PRESENT_AS_ENTER)
    at_ms = either_stamp(told.time_stamp, told.timestamp, harvest)
    place = told.location_info
    harvest.events.append(
        LocationEvent(
            terminal_id=terminal_of(told.address, harvest),
            event=movement,
            zone_id=_zone(told, harvest),
            ap_id=id_of(told.access_point_id, "accessPointId") if told.access_point_id else "",
            observed_at_ms=at_ms,
            time_source="payload" if told.time_stamp or told.timestamp else "record",
            geo=geo_of(place.latitude, place.longitude, place.accuracy, harvest) if place else None,
            dialect=DIALECT,
        )
    )


def _zone(told: _Move, harvest: Harvest) -> str:
    """The zone; an area event names none, but the subscription that asked for it."""
    if told.zone_id:
        return id_of(told.zone_id, "zoneId")
    links = told.links
    if links is None:
        harvest.coerced(Coercion.LINKS_VS__LINKS)
        links = told.plain_links or {"subscription": told.link}
    return zone_of_subscription(links, harvest)
