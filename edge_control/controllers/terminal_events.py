"""What terminals, ingresses and devices say, folded into a terminal's row: place, sessions, twin."""

from __future__ import annotations

from enum import Enum
from typing import Final

from edge_control.controllers.procedures import NEVER_MS
from edge_control.controllers.terminal_rows import Debt, Session, Terminal, is_news
from edge_control.inventory import twin as twins
from edge_control.inventory.twin import Twin
from edge_control.inventory.view import View
from schemas.apps import AppKind
from schemas.location import (
    LocationEvent,
    Movement,
    RadioEvent,
    SessionEvent,
    SessionState,
    TwinDesired,
    TwinReported,
)
from schemas.policy import MigrationPolicy, Scope

HAND_OVER_PREPARED: Final = 1
_FORMER_KEPT: Final = 8
HAND_OVER_ENDED: Final = (4, 5)
"""MEC 012 hoStatus: 1 in preparation, 4 rejected, 5 cancelled."""


class Seen(Enum):
    """What a location event told: nothing new, nothing at all (old), another zone, or another serving site."""

    DOUBLED = "doubled"
    LATE = "late"
    STAYED = "stayed"
    OTHER_ZONE = "other zone"
    OTHER_SITE = "other site"


def located(terminal: Terminal, event: LocationEvent, view: View, now_ms: int) -> Seen:
    """Take a place; a zone that nobody declared leaves the serving site as it was."""
    at_ms = min(event.observed_at_ms, now_ms)
    if not is_news(terminal, "location", event.boot_id, event.sequence):
        return Seen.DOUBLED
    if at_ms < terminal.located_at_ms:
        return Seen.LATE
    if event.event is Movement.LEAVE:
        if terminal.zone != event.zone_id:
            return Seen.STAYED
        terminal.zone = ""
        return Seen.OTHER_ZONE
    terminal.located_at_ms = at_ms
    if event.zone_id == terminal.zone:
        return Seen.STAYED
    _note_return(terminal, event.zone_id, view, at_ms)
    terminal.zone, terminal.since_ms = event.zone_id, at_ms
    former, site = terminal.site, view.site_of_zone(event.zone_id)
    terminal.site = site or former
    return Seen.OTHER_SITE if site and site != former else Seen.OTHER_ZONE


def _note_return(terminal: Terminal, zone: str, view: View, at_ms: int) -> None:
    """A return to a zone left a moment ago makes moves dearer for a while (ping-pong)."""
    policy = view.policies.of(MigrationPolicy, Scope(site=view.site_of_zone(zone)))
    if terminal.zone:
        terminal.former.pop(terminal.zone, None)
        terminal.former[terminal.zone] = at_ms
    for left in [z for z, left_ms in terminal.former.items() if at_ms - left_ms > policy.ping_pong_ms]:
        del terminal.former[left]
    if len(terminal.former) > _FORMER_KEPT:
        del terminal.former[next(iter(terminal.former))]
    if terminal.former.pop(zone, None) is not None:
        terminal.ping_pong_until_ms = at_ms + policy.ping_pong_hold_ms


def expected_place(event: RadioEvent, view: View) -> tuple[str, str]:
    """Site and zone of the first declared target cell of a hand-over in preparation; empty when there is none."""
    for cell in event.trg_cells:
        ap = view.aps.get(cell)
        if ap is not None and (site := view.site_of_zone(ap.body.zone)):
            return site, ap.body.zone
    return "", ""


def session_said(terminal: Terminal, event: SessionEvent, view: View, now_ms: int) -> Session | None:
    """Take the beginning, confirmation or end of a session; the session if it changed."""
    if not is_news(terminal, "session", event.boot_id, event.sequence):
        return None
    session = terminal.sessions.get(event.session_id)
    if event.state is SessionState.ENDED:
        if session is not None:
            session.ended = True
        return session
    if session is None:
        return _begun(terminal, event, view, now_ms)
    session.confirmed = session.confirmed or event.state is SessionState.CONFIRMED
    if event.state is SessionState.STARTED:
        _note_stray(session, event.at_site)
    return session


def _begun(terminal: Terminal, event: SessionEvent, view: View, now_ms: int) -> Session | None:
    """A new session. Its first copy has no lease until the first `Renew` is confirmed: silence never ends it before."""
    host = event.at_site or terminal.site
    if event.state is not SessionState.STARTED or not host:
        return None
    terminal.site = terminal.site or host
    seen = view.apps.get(event.app_id)
    spec = seen.body if seen else None
    device = spec is not None and spec.kind is AppKind.DEVICE
    session = Session(
        session_id=event.session_id,
        app_id=event.app_id,
        host=host,
        began_at_ms=min(event.observed_at_ms, now_ms),
        type="device" if device else "session",
        mobility=event.mobility,
        exactly_once=spec is not None and spec.exactly_once,
        state_bytes=event.state_bytes,
        excess_at_ms=now_ms,
        leases={host: NEVER_MS},
    )
    terminal.sessions[event.session_id] = session
    return session


def _note_stray(session: Session, at_site: str) -> None:
    """An ingress that did not know the host started a second copy: it is dropped once the rule stands."""
    if not at_site or session.ended or at_site in session.sites:
        return
    session.debts.append(Debt(site_id=at_site))


def twin_said(terminal: Terminal, event: TwinReported | TwinDesired) -> str:
    """Take what a device is or shall be; the reason when it is refused."""
    terminal.twin = terminal.twin or Twin()
    if isinstance(event, TwinReported):
        return twins.report(terminal.twin, event)
    return twins.desire(terminal.twin, event)
