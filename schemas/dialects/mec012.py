"""ETSI GS MEC 012: radio network information; a change of cell, its preparation, timing and signal of a terminal."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ..errors import BadInput, Fault
from ..location import RadioEvent
from ..wire import decode
from .coercions import Coercion, Unused
from .etsi import AssociateId, TimeStamp, either_stamp, terminal_of_ids
from .harvest import LIMITS, Harvest

_NO_HAND_OVER: Final = 0
_STATUSES: Final = ("", "IN_PREPARATION", "IN_EXECUTION", "COMPLETED", "REJECTED", "CANCELLED")
_FARTHEST: Final = 1_000_000
_OTHERS: Final = (
    "RabEstNotification",
    "RabModNotification",
    "RabRelNotification",
    "CaReconfNotification",
    "S1BearerNotification",
    "ExpiryNotification",
)


class _Plmn(msgspec.Struct):
    mcc: Annotated[str, msgspec.Meta(max_length=3)]
    mnc: Annotated[str, msgspec.Meta(max_length=3)]


class _Cell(msgspec.Struct, rename="camel"):
    plmn: _Plmn
    cell_id: Annotated[str, msgspec.Meta(max_length=40)]

    @property
    def name(self) -> str:
        return f"{self.plmn.mcc}{self.plmn.mnc}-{self.cell_id}"


class _Change(msgspec.Struct, rename="camel"):
    src_ecgi: _Cell
    trg_ecgi: Annotated[list[_Cell], msgspec.Meta(max_length=64)] | _Cell
    ho_status: int | str
    associate_id: list[AssociateId] | AssociateId | None = None
    time_stamp: TimeStamp | None = None
    timestamp: TimeStamp | None = None


class _Measured(msgspec.Struct, rename="camel"):
    """Timing advance (MeasTa) or signal (MeasRepUe) under one cell."""

    ecgi: _Cell | None = None
    timing_advance: int | None = None
    rsrp: int | None = None
    associate_id: list[AssociateId] | AssociateId | None = None
    time_stamp: TimeStamp | None = None
    timestamp: TimeStamp | None = None


def take(kind: str, body: bytes, harvest: Harvest) -> bool:
    """Read a notification of this type; False for a type that is not of this API."""
    if kind == "CellChangeNotification":
        _change(decode(_Change, body, LIMITS), harvest)
    elif kind in ("MeasTaNotification", "MeasRepUeNotification", "NrMeasRepUeNotification"):
        _measured(decode(_Measured, body, LIMITS), harvest)
    elif kind in _OTHERS:
        decode(dict[str, msgspec.Raw], body, LIMITS)
        harvest.pass_over(Unused.OTHER_EVENT)
    else:
        return False
    return True


def _change(told: _Change, harvest: Harvest) -> None:
    targets = told.trg_ecgi
    if isinstance(targets, _Cell):
        harvest.coerced(Coercion.ECGI_OBJECT_FOR_LIST)
        targets = [targets]
    at_ms = either_stamp(told.time_stamp, told.timestamp, harvest)
    harvest.events.append(
        RadioEvent(
            terminal_id=terminal_of_ids(told.associate_id, harvest),
            src_cell=told.src_ecgi.name,
            trg_cells=tuple(cell.name for cell in targets),
            ho_status=_status(told.ho_status, harvest),
            observed_at_ms=at_ms,
        )
    )


def _status(told: int | str, harvest: Harvest) -> int:
    if isinstance(told, str):
        harvest.coerced(Coercion.ENUM_AS_NAME)
        told = _STATUSES.index(told) if told in _STATUSES else 0
    if not 0 < told < len(_STATUSES):
        raise BadInput(Fault.SCHEMA, "hoStatus is none of 1 to 5")
    return told


def _measured(told: _Measured, harvest: Harvest) -> None:
    terminal_id = terminal_of_ids(told.associate_id, harvest)
    at_ms = either_stamp(told.time_stamp, told.timestamp, harvest)
    if told.ecgi is None:
        harvest.pass_over(Unused.OTHER_EVENT)
        return
    if any(abs(number or 0) > _FARTHEST for number in (told.timing_advance, told.rsrp)):
        raise BadInput(Fault.OUT_OF_RANGE, "timingAdvance or rsrp is beyond a million")
    harvest.events.append(
        RadioEvent(
            terminal_id=terminal_id,
            src_cell=told.ecgi.name,
            ho_status=_NO_HAND_OVER,
            ta=told.timing_advance,
            rsrp=told.rsrp,
            observed_at_ms=at_ms,
        )
    )
