"""Where terminals are, what sessions they hold and what their twins want (CONTRACTS 3, ETSI MEC 012 / 013)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec

from .base import Amount, Count, Id, IdOrNone, Message, Millis, Natural, Version


class Movement(StrEnum):
    """How a terminal crossed a zone's border (MEC 013 v2 userEventType)."""

    ENTER = "ENTER"
    LEAVE = "LEAVE"
    TRANSFER = "TRANSFER"


class Geo(Message, frozen=True, kw_only=True):
    """A point on the earth, in units of 1e-7 degree."""

    lat_e7: Annotated[int, msgspec.Meta(ge=-900_000_000, le=900_000_000)]
    lon_e7: Annotated[int, msgspec.Meta(ge=-1_800_000_000, le=1_800_000_000)]
    accuracy_m: Count = 0


class LocationEvent(Message, frozen=True, kw_only=True):
    """A terminal entered, left or changed a zone or access point; its name is a keyed hash of its address."""

    terminal_id: Id
    event: Movement
    zone_id: Id
    observed_at_ms: Millis
    ap_id: IdOrNone = ""
    prev_ap_id: IdOrNone = ""
    boot_id: str = ""
    sequence: Natural = 0
    buffered: bool = False
    time_source: str = "payload"
    geo: Geo | None = None
    dialect: str = ""
    derived: bool = False


class RadioEvent(Message, frozen=True, kw_only=True):
    """A cell change of a terminal (MEC 012 CellChange); hand-over status 1 is preparation."""

    terminal_id: Id
    src_cell: str
    ho_status: Count
    observed_at_ms: Millis
    trg_cells: tuple[str, ...] = ()
    ta: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)] | None = None
    rsrp: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)] | None = None


class Flow(Message, frozen=True, kw_only=True):
    """The packets of a session."""

    src: str = ""
    dst: str = ""
    dst_port: Count = 0
    protocol: str = "tcp"


class Mobility(StrEnum):
    """Whether a session may be moved (MEC 021 appMobilityServiceLevel)."""

    NOT_ALLOWED = "NOT_ALLOWED"
    WITH_CONFIRMATION = "WITH_CONFIRMATION"
    WITHOUT_CONFIRMATION = "WITHOUT_CONFIRMATION"


class SessionState(StrEnum):
    """The life of a session as its ingress or app tells it."""

    STARTED = "started"
    CONFIRMED = "confirmed"
    ENDED = "ended"


class SessionEvent(Message, frozen=True, kw_only=True):
    """A terminal's session with an app began, was confirmed (for a move) or ended."""

    terminal_id: Id
    session_id: Id
    app_id: Id
    state: SessionState
    observed_at_ms: Millis
    at_site: IdOrNone = ""
    boot_id: str = ""
    sequence: Natural = 0
    buffered: bool = False
    flow: Flow | None = None
    mobility: Mobility = Mobility.WITHOUT_CONFIRMATION
    state_bytes: Amount = 0


class TwinReported(Message, frozen=True, kw_only=True):
    """What a device says it is; versions only grow."""

    terminal_id: Id
    kind: str
    version: Version
    reported: dict[str, Any]
    observed_at_ms: Millis
    app_id: IdOrNone = ""
    power: str = ""
    attached_to: IdOrNone = ""


class TwinDesired(Message, frozen=True, kw_only=True):
    """What an operator wants a device to be; `version` must be one above the current or it is refused."""

    terminal_id: Id
    version: Version
    desired: dict[str, Any]
    observed_at_ms: Millis
