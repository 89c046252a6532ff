"""The twin of a device: desired, reported and what differs; versions only grow, and a conflict changes nothing."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from edge_control.inventory.tables import Row
from schemas.inventory import TwinView
from schemas.location import TwinDesired, TwinReported
from schemas.wire import encode_json

MAX_PART_BYTES: Final = 8 * 1024
"""Size of each of the two parts, as JSON (CONTRACTS 3)."""


class Twin(Row, kw_only=True, array_like=True):
    """What a device is, what it shall be, and with whom it travels."""

    kind: str = ""
    app_id: str = ""
    power: str = ""
    attached_to: str = ""
    desired: dict[str, Any] = msgspec.field(default_factory=dict)
    desired_version: int = 0
    reported: dict[str, Any] = msgspec.field(default_factory=dict)
    reported_version: int = 0
    reported_at_ms: int = 0


def report(twin: Twin, said: TwinReported) -> str:
    """Take what the device says it is; the reason when it is old news or too large, else empty."""
    if said.version <= twin.reported_version:
        return f"reported version {said.version}, current is {twin.reported_version}"
    if (size := len(encode_json(said.reported))) > MAX_PART_BYTES:
        return f"reported part of {size} bytes, at most {MAX_PART_BYTES}"
    twin.reported, twin.reported_version, twin.reported_at_ms = said.reported, said.version, said.observed_at_ms
    twin.kind, twin.power = said.kind, said.power or twin.power
    twin.app_id, twin.attached_to = said.app_id or twin.app_id, said.attached_to
    return ""


def desire(twin: Twin, wish: TwinDesired) -> str:
    """Take what an operator wants; the reason when somebody else was first (optimistic) or it is too large."""
    if wish.version != twin.desired_version + 1:
        return f"desired version {wish.version}, current is {twin.desired_version}"
    if (size := len(encode_json(wish.desired))) > MAX_PART_BYTES:
        return f"desired part of {size} bytes, at most {MAX_PART_BYTES}"
    twin.desired, twin.desired_version = wish.desired, wish.version
    return ""


def delta(twin: Twin) -> dict[str, Any]:
    """What is desired and not (yet) so, field by field."""
    return {name: value for name, value in twin.desired.items() if twin.reported.get(name) != value}


def shown(twin: Twin | None) -> TwinView:
    """The twin as the public row of its terminal shows it."""
    if twin is None:
        return TwinView()
    return TwinView(
        desired=twin.desired,
        reported=twin.reported,
        delta=delta(twin),
        desired_version=twin.desired_version,
        reported_version=twin.reported_version,
    )
