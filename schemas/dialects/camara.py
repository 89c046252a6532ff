"""CAMARA: geofencing and quality on demand, as structured CloudEvents; an area's subscription names its zone."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ..errors import BadInput, Fault
from ..location import LocationEvent, Movement
from ..wire import decode
from .amounts import Number, rfc3339_ms
from .coercions import Coercion, Unused
from .etsi import geo_of, id_of
from .harvest import LIMITS, Harvest, Raw
from .identity import terminal_of

DIALECT: Final = "camara"
_TYPE: Final = re.compile(r"org\.camaraproject\.([a-z-]{1,60})\.v[0-9a-z]{1,8}\.([a-z-]{1,60})\Z", re.ASCII)
_AREAS: Final = {"area-entered": Movement.ENTER, "area-left": Movement.LEAVE}
_LIVES: Final = ("subscription-started", "subscription-updated", "subscription-ended", "subscription-ends")
_QOD: Final = ("qod", "quality-on-demand")
_QOS: Final = ("REQUESTED", "AVAILABLE", "UNAVAILABLE")


class _Event(msgspec.Struct):
    specversion: str
    id: str
    source: str
    type: str
    time: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Ipv4(msgspec.Struct, rename="camel"):
    public_address: str = ""
    private_address: str = ""


class _Device(msgspec.Struct, rename="camel"):
    phone_number: Number = ""
    network_access_identifier: str = ""
    ipv4_address: _Ipv4 | None = msgspec.field(name="ipv4Address", default=None)
    ipv6_address: str = msgspec.field(name="ipv6Address", default="")


class _Center(msgspec.Struct):
    latitude: Any = None
    longitude: Any = None


class _Where(msgspec.Struct, rename="camel"):
    area_type: str = ""
    center: _Center | None = None
    radius: Number | None = None


class _Crossing(msgspec.Struct, rename="camel"):
    subscription_id: Number
    device: _Device
    area: _Where | None = None


class _Qos(msgspec.Struct, rename="camel"):
    session_id: str
    qos_status: str


def read(raw: Raw) -> Harvest:
    """The movement of an area event; BadInput for what is no CloudEvent of these two APIs."""
    harvest = Harvest(raw)
    event = decode(_Event, raw.value, LIMITS)
    if b"application/cloudevents" not in raw.headers.get("content-type", b"").lower():
        harvest.coerced(Coercion.BARE_CLOUDEVENT)
    named = _TYPE.match(event.type)
    api, what = (named[1], named[2]) if named else ("", "")
    if api.startswith("geofencing") and what in _AREAS:
        _cross(event, _AREAS[what], harvest)
    elif api.startswith("geofencing") and what in _LIVES:
        decode(dict[str, msgspec.Raw], bytes(event.data), LIMITS)
        harvest.pass_over(Unused.OTHER_EVENT)
    elif api in _QOD and what == "qos-status-changed":
        if decode(_Qos, bytes(event.data), LIMITS).qos_status not in _QOS:
            raise BadInput(Fault.SCHEMA, "qosStatus is none of REQUESTED, AVAILABLE, UNAVAILABLE")
        harvest.pass_over(Unused.OTHER_EVENT)
    else:
        raise BadInput(Fault.UNKNOWN_TYPE, "no event of CAMARA geofencing or quality on demand")
    return harvest.settled()


def _cross(event: _Event, movement: Movement, harvest: Harvest) -> None:
    told = decode(_Crossing, bytes(event.data), LIMITS)
    if not isinstance(told.subscription_id, str):
        harvest.coerced(Coercion.NUMBER_AS_NAME)
    harvest.coerced(Coercion.ZONE_FROM_SUBSCRIPTION)
    area = told.area
    centre = area.center if area and area.center else _Center()
    harvest.events.append(
        LocationEvent(
            terminal_id=terminal_of(_address(told.device, harvest), harvest),
            event=movement,
            zone_id=id_of(str(told.subscription_id), "subscriptionId"),
            observed_at_ms=_at_ms(event, harvest),
            time_source="payload" if event.time else "record",
            geo=geo_of([centre.latitude], [centre.longitude], area.radius if area else None, harvest),
            dialect=DIALECT,
        )
    )


def _address(device: _Device, harvest: Harvest) -> str:
    """The address by which other dialects know the device too, if it has one; else its number or identifier."""
    ipv4 = device.ipv4_address or _Ipv4()
    if address := ipv4.private_address or ipv4.public_address or device.ipv6_address:
        return address
    if not isinstance(device.phone_number, str):
        harvest.coerced(Coercion.NUMBER_AS_NAME)
    return str(device.phone_number) or device.network_access_identifier


def _at_ms(event: _Event, harvest: Harvest) -> int:
    if not event.time:
        harvest.coerced(Coercion.TIME_FROM_RECORD)
        return harvest.raw.at_ms
    at_ms = rfc3339_ms(event.time)
    if at_ms is None:
        raise BadInput(Fault.BAD_TIME, "time is no RFC 3339 time since 1970")
    return at_ms
