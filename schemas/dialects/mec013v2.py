"""ETSI GS MEC 013 v2.1: notifications and rows inside one named member, as location servers of that age send them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..errors import BadInput, Fault
from ..location import LocationEvent, Movement
from ..wire import decode
from .amounts import Number, flag_of
from .coercions import Coercion, Unused
from .etsi import Link, TimeStamp, either_stamp, geo_of, id_of, zone_of_subscription
from .harvest import LIMITS, Harvest
from .identity import terminal_of

DIALECT: Final = "mec013v2"
_EVENTS: Final = {"Entering": Movement.ENTER, "Leaving": Movement.LEAVE, "Transferring": Movement.TRANSFER}


class _Place(msgspec.Struct, rename="camel"):
    latitude: Any = None
    longitude: Any = None
    accuracy: Number | None = None
    timestamp: TimeStamp | None = None
    time_stamp: TimeStamp | None = None


class _Presence(msgspec.Struct, rename="camel"):
    """A user entered, left or changed an access point of a zone; also a row of a user (no event)."""

    address: str
    zone_id: str
    user_event_type: str = ""
    current_access_point_id: str = ""
    previous_access_point_id: str = ""
    access_point_id: str = ""
    timestamp: TimeStamp | None = None
    time_stamp: TimeStamp | None = None
    location_info: _Place | None = None


class _Located(msgspec.Struct, rename="camel"):
    address: str = ""
    current_location: _Place | None = None


class _Area(msgspec.Struct, rename="camel"):
    """A user crossed a circle, or its position came on time (no criteria)."""

    terminal_location: list[_Located] | _Located
    entering_leaving_criteria: str = ""
    is_final_notification: bool | str | None = None
    link: Link | None = None


def take(name: str, body: msgspec.Raw, harvest: Harvest) -> bool:
    """Read what stands in the named member; False for a name that this version does not know."""
    read = _READERS.get(name)
    if read is None:
        return False
    read(bytes(body), harvest)
    return True


def _presence(body: bytes, harvest: Harvest) -> None:
    _add(decode(_Presence, body, LIMITS), harvest)


def _user(body: bytes, harvest: Harvest) -> None:
    _add(decode(_Presence, body, LIMITS), harvest, is_row=True)


def _users(body: bytes, harvest: Harvest) -> None:
    users = decode(dict[str, msgspec.Raw], body, LIMITS).get("user", msgspec.Raw(b"[]"))
    for user in decode(list[_Presence], bytes(users), LIMITS):
        _add(user, harvest, is_row=True)


def _add(told: _Presence, harvest: Harvest, *, is_row: bool = False) -> None:
    movement = Movement.ENTER if is_row else _EVENTS.get(told.user_event_type)
    if movement is None:
        raise BadInput(Fault.SCHEMA, "userEventType is none of Entering, Leaving, Transferring")
    if is_row:
        harvest.coerced(Coercion.PRESENT_AS_ENTER)
    place = told.location_info
    at_ms = either_stamp(told.timestamp, told.time_stamp, harvest)
    harvest.events.append(
        LocationEvent(
            terminal_id=terminal_of(told.address, harvest),
            event=movement,
            zone_id=id_of(told.zone_id, "zoneId"),
            ap_id=_ap(told.current_access_point_id or told.access_point_id),
            prev_ap_id=_ap(told.previous_access_point_id),
            observed_at_ms=at_ms,
            time_source="payload" if told.timestamp or told.time_stamp else "record",
            geo=geo_of(place.latitude, place.longitude, place.accuracy, harvest) if place else None,
            dialect=DIALECT,
            derived=is_row,
        )
    )


def _ap(name: str) -> str:
    return id_of(name, "access point") if name else ""


def _area(body: bytes, harvest: Harvest) -> None:
    told = decode(_Area, body, LIMITS)
    if isinstance(told.is_final_notification, str):
        if flag_of(told.is_final_notification) is None:
            raise BadInput(Fault.SCHEMA, "isFinalNotification is neither true nor false")
        harvest.coerced(Coercion.BOOL_AS_STRING)
    where = told.terminal_location
    if isinstance(where, _Located):
        harvest.coerced(Coercion.OBJECT_FOR_LIST)
        where = [where]
    movement = _EVENTS.get(told.entering_leaving_criteria)
    if movement is None and told.entering_leaving_criteria:
        raise BadInput(Fault.SCHEMA, "enteringLeavingCriteria is neither Entering nor Leaving")
    for located in where:
        _add_area(told, located, movement, harvest)


def _add_area(told: _Area, located: _Located, movement: Movement | None, harvest: Harvest) -> None:
    place = located.current_location or _Place()
    at_ms = either_stamp(place.timestamp, place.time_stamp, harvest)
    terminal_id = terminal_of(located.address, harvest)
    geo = geo_of(place.latitude, place.longitude, place.accuracy, harvest)
    if movement is None:
        harvest.pass_over(Unused.POSITION_ONLY)
        return
    harvest.events.append(
        LocationEvent(
            terminal_id=terminal_id,
            event=movement,
            zone_id=zone_of_subscription({"subscription": told.link}, harvest),
            observed_at_ms=at_ms,
            time_source="payload" if place.timestamp or place.time_stamp else "record",
            geo=geo,
            dialect=DIALECT,
        )
    )


def _other(body: bytes, harvest: Harvest) -> None:
    decode(dict[str, msgspec.Raw], body, LIMITS)
    harvest.pass_over(Unused.OTHER_EVENT)


_READERS: Final[dict[str, Callable[[bytes, Harvest], None]]] = {
    "zonalPresenceNotification": _presence,
    "trackingNotification": _presence,
    "userInfo": _user,
    "userList": _users,
    "subscriptionNotification": _area,
    "zoneStatusNotification": _other,
    "zoneInfo": _other,
    "zoneList": _other,
    "accessPointInfo": _other,
    "accessPointList": _other,
    "zonalTrafficSubscription": _other,
    "userTrackingSubscription": _other,
    "zoneStatusSubscription": _other,
    "circleNotificationSubscription": _other,
    "periodicNotificationSubscription": _other,
    "notificationSubscriptionList": _other,
}
