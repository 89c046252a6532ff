"""ETSI GS MEC 021: an app instance registers the terminals it serves and how they may be moved.

A registration is a session of each of its terminals with the app; a completed context transfer confirms it. Mobility
procedures and adjacent apps are read, checked and left: our own controllers decide on moves.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ..errors import BadInput, Fault
from ..location import Mobility, SessionEvent, SessionState
from ..wire import decode
from .coercions import Coercion, Unused
from .etsi import AssociateId, TimeStamp, id_of, stamp_ms, terminal_of_ids
from .harvest import LIMITS, Harvest

_LEVELS: Final = {
    "APP_MOBILITY_NOT_ALLOWED": Mobility.NOT_ALLOWED,
    "APP_MOBILITY_WITH_CONFIRMATION": Mobility.WITH_CONFIRMATION,
    "APP_MOBILITY_WITHOUT_CONFIRMATION": Mobility.WITHOUT_CONFIRMATION,
}
_BY_NUMBER: Final = {str(number): level for number, level in enumerate(_LEVELS.values(), 1)}
_TRANSFERRED: Final = ("USER_CONTEXT_TRANSFER_COMPLETED", "2")
_STATUSES: Final = (
    "1",
    "2",
    "3",
    "INTERHOST_MOVEOUT_TRIGGERED",
    "INTERHOST_MOVEOUT_COMPLETED",
    "INTERHOST_MOVEOUT_FAILED",
)


class _Consumer(msgspec.Struct, rename="camel"):
    app_instance_id: str = ""
    mep_id: str = ""


class _Device(msgspec.Struct, rename="camel"):
    associate_id: AssociateId | list[AssociateId]
    app_mobility_service_level: int | str = "APP_MOBILITY_WITHOUT_CONFIRMATION"
    context_transfer_state: int | str = ""


class _Registration(msgspec.Struct, rename="camel"):
    service_consumer_id: _Consumer
    device_information: list[_Device]
    app_mobility_service_id: str = ""


class _Procedure(msgspec.Struct, rename="camel"):
    mobility_status: int | str
    associate_id: list[AssociateId] | AssociateId | None = None
    time_stamp: TimeStamp | None = None


class _AdjacentApp(msgspec.Struct, rename="camel"):
    app_instance_id: str = ""


class _Adjacent(msgspec.Struct, rename="camel"):
    adjacent_app_info: list[_AdjacentApp]
    time_stamp: TimeStamp | None = None


def take(kind: str, body: bytes, harvest: Harvest) -> bool:
    """Read a notification of this type; False for a type that is not of this API."""
    if kind == "MobilityProcedureNotification":
        told = decode(_Procedure, body, LIMITS)
        if str(told.mobility_status) not in _STATUSES:
            raise BadInput(Fault.SCHEMA, "mobilityStatus is none of 1 to 3")
        stamp_ms(told.time_stamp, harvest)
    elif kind == "AdjacentAppInfoNotification":
        stamp_ms(decode(_Adjacent, body, LIMITS).time_stamp, harvest)
    else:
        return False
    harvest.pass_over(Unused.OTHER_EVENT)
    return True


def register(body: bytes, harvest: Harvest) -> None:
    """Sessions of all terminals of a registration; it names no time, so the record's counts."""
    told = decode(_Registration, body, LIMITS)
    app_id = id_of(told.service_consumer_id.app_instance_id, "appInstanceId")
    mep_id = told.service_consumer_id.mep_id
    for device in told.device_information:
        ids = device.associate_id if isinstance(device.associate_id, list) else [device.associate_id]
        is_moved = str(device.context_transfer_state) in _TRANSFERRED
        harvest.events.append(
            SessionEvent(
                terminal_id=terminal_of_ids(ids, harvest),
                session_id=id_of(told.app_mobility_service_id or app_id, "appMobilityServiceId"),
                app_id=app_id,
                state=SessionState.CONFIRMED if is_moved else SessionState.STARTED,
                at_site=id_of(mep_id, "mepId") if mep_id else "",
                mobility=_level(device.app_mobility_service_level, harvest),
                observed_at_ms=stamp_ms(None, harvest),
            )
        )


def _level(told: int | str, harvest: Harvest) -> Mobility:
    if isinstance(told, int):
        harvest.coerced(Coercion.ENUM_AS_NUMBER)
    level = _LEVELS.get(str(told)) or _BY_NUMBER.get(str(told))
    if level is None:
        raise BadInput(Fault.SCHEMA, "appMobilityServiceLevel is none of the three")
    return level
