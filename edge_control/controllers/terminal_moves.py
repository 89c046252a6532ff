"""The kinds of procedures that move a session or device, as data (PROCEDURES 3).

Make-first: a thaw does not wait for the discard (a fork of seconds without traffic). Break-first (`exactly_once`): thaw
only after the discard is answered or moot, because the lease that the target got has lapsed and clocks have caught up.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from edge_control.controllers import outputs as out
from edge_control.controllers import terminal_orders as orders
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Ask, Kind, Step
from edge_control.controllers.terminal_orders import Act
from edge_control.controllers.terminal_permits import take_token, wait_for_token
from edge_control.controllers.terminal_rows import Debt
from edge_control.inventory.view import View
from schemas.commands import MoveStep, StateRef
from schemas.inventory import Health
from schemas.requests import AskLease, Budget, Commit, Purpose, ReleaseRoom, Reserve
from topics.catalogue import Keyspace

_PERMIT_TRIES: Final = 5
"""A crowd waits for a spent budget up to 10 s; the reservation and the prepared copy last longer."""
_SITE_MS: Final = 2_000
_PREPARE_MS: Final = 10_000
_ACTIVATE_MS: Final = 3_000
_EARLY_MS: Final = 8_000
_COPY_ENDS_BEFORE_MS: Final = 5_000
_DISCARDS_BEFORE_DEBT: Final = 3


def is_evidenced(view: View, site_id: str) -> bool:
    """Whether there is proof that nothing can run at the site (silence is none)."""
    row = view.health.get(site_id)
    return row is not None and row.health is Health.DEAD and row.evidenced


def _reserve(act: Act, ask: Ask) -> list[Output]:
    row = act.procedure
    row.reservation_id = ask.id
    body = Reserve(
        request_id=ask.id,
        reply_key=act.terminal.terminal_id,
        reply_keyspace=Keyspace.TERMINAL,
        expires_at_ms=ask.at_ms + 3 * _SITE_MS,
        site_id=row.target,
        app_id=act.session.app_id,
        resource_id=act.session.session_id,
        purpose=Purpose.EVACUATE if row.kind == "rescue" else Purpose.MOVE,
        for_ms=act.policy.reserve_for_ms,
        seats=1,
    )
    return [out.message(Keyspace.SITE, row.target, f"{ask.id}/{ask.attempt}", body, correlation_id=ask.id)]


def _release(act: Act, ask: Ask) -> list[Output]:
    row = act.procedure
    if row.in_debt:
        return []
    return [release(act, row.target, row.reservation_id, ask.id)]


def release(act: Act, site_id: str, reservation_id: str, event_id: str) -> Output:
    """Give room back; said once, since a request is never lost and room is never freed twice."""
    body = ReleaseRoom(site_id=site_id, reservation_id=reservation_id, resource_id=act.session.session_id)
    return out.message(Keyspace.SITE, site_id, event_id, body, correlation_id=reservation_id)


def _prepare(act: Act, ask: Ask) -> list[Output]:
    row = act.procedure
    row.prepared_until_ms = row.reserved_until_ms
    source = act.view.sites.get(row.source)
    url = source.body.state_url if source else ""
    # As the executors' state endpoint serves it: ids may hold slashes, so they are quoted whole.
    ref = f"{url}/running/{quote(act.session.session_id, safe='')}"
    state = StateRef(ref=ref, bytes=act.session.state_bytes)
    start_by_ms = max(1, min(ask.at_ms + 2 * _PREPARE_MS, row.prepared_until_ms - _COPY_ENDS_BEFORE_MS))
    return [orders.move(act, ask, MoveStep.PREPARE, row.target, state=state, start_by_ms=start_by_ms)]


def _discard(act: Act, ask: Ask) -> list[Output]:
    return [orders.move(act, ask, MoveStep.DISCARD, act.procedure.target)]


def _no_copy_can_be_there(act: Act) -> bool:
    """The prepared copy has deleted itself, or a debt sees to it; a dead target may come back to a waiting order."""
    row = act.procedure
    if row.in_debt:
        return True
    if row.start_by_ms:
        return row.tries >= _DISCARDS_BEFORE_DEBT
    return row.prepared_until_ms + act.skew_ms < act.now_ms


def _commit(act: Act, ask: Ask) -> list[Output]:
    row = act.procedure
    row.committed = True
    body = Commit(
        request_id=ask.id,
        reply_key=act.terminal.terminal_id,
        reply_keyspace=Keyspace.TERMINAL,
        expires_at_ms=ask.at_ms + 3 * _SITE_MS,
        site_id=row.target,
        reservation_id=row.reservation_id,
        resource_id=act.session.session_id,
    )
    return [out.message(Keyspace.SITE, row.target, f"{ask.id}/{ask.attempt}", body, correlation_id=ask.id)]


def _ask_rescue(act: Act, ask: Ask) -> list[Output]:
    region_id = act.view.region_of(act.procedure.source)
    if not region_id:
        return []
    body = AskLease(
        request_id=ask.id,
        reply_key=act.terminal.terminal_id,
        reply_keyspace=Keyspace.TERMINAL,
        expires_at_ms=ask.at_ms + 2 * _SITE_MS,
        region_id=region_id,
        budget=Budget.WORKLOADS,
        amount=1,
        site_id=act.procedure.source,
        resource_id=act.session.session_id,
    )
    return [out.message(Keyspace.REGION, region_id, f"{ask.id}/{ask.attempt}", body, correlation_id=ask.id)]


def _freeze(act: Act, ask: Ask) -> list[Output]:
    row = act.procedure
    start_by_ms = min(ask.at_ms + 2 * _SITE_MS, row.permit_until_ms)
    return [orders.move(act, ask, MoveStep.FREEZE, row.source, start_by_ms=start_by_ms)]


def _thaw(act: Act, ask: Ask) -> list[Output]:
    """Be active again; only for a moment where leases count, so that a lost answer does not delay a rescue."""
    row = act.procedure
    lease_until_ms = ask.at_ms + act.policy.first_lease_ms if row.exactly_once else 0
    return [orders.move(act, ask, MoveStep.THAW, row.source, lease_until_ms=lease_until_ms)]


def _source_is_dead(act: Act) -> bool:
    """A late thaw at a dead site is covered by the wait of the rescue that follows."""
    return act.view.health_of(act.procedure.source) is Health.DEAD


def _activate(act: Act, ask: Ask) -> list[Output]:
    row = act.procedure
    row.start_by_ms = ask.at_ms + 2 * _ACTIVATE_MS
    row.lease_until_ms = ask.at_ms + act.policy.first_lease_ms if row.exactly_once else 0
    return [
        orders.move(
            act,
            ask,
            MoveStep.ACTIVATE,
            row.target,
            state=row.final,
            start_by_ms=row.start_by_ms,
            lease_until_ms=row.lease_until_ms,
        )
    ]


def _activation_cannot_count(act: Act) -> bool:
    """What was ordered is too late to start, and proof says that nothing runs there or its lease is over everywhere."""
    row = act.procedure
    if row.start_by_ms + act.skew_ms >= act.now_ms:
        return False
    lapsed = row.exactly_once and row.lease_until_ms + act.skew_ms < act.now_ms
    return lapsed or is_evidenced(act.view, row.target)


def _rescue_cannot_count(act: Act) -> bool:
    """As `_activation_cannot_count`; a silent target without leases is left to a debt after a few questions."""
    row = act.procedure
    return _activation_cannot_count(act) or (not row.exactly_once and row.tries >= _DISCARDS_BEFORE_DEBT)


def _book_debt(act: Act) -> None:
    """What the target may still hold is dropped later; until then its room stays taken."""
    row, session = act.procedure, act.session
    if not row.committed or row.in_debt:
        return
    row.in_debt = True
    if session.debt_at(row.target) is None:
        dead = act.view.health_of(row.target) is Health.DEAD
        session.debts.append(Debt(site_id=row.target, reservation_id=row.reservation_id, asleep=dead))


def _lease_is_over(act: Act) -> bool:
    """Whether no copy at the dead site can be or become active: no lease counts, or the last one sent has lapsed.

    With proof of death it is enough that no order sent before can still wake a copy if the site comes back.
    """
    row, session = act.procedure, act.session
    if not row.exactly_once:
        return True
    last = session.wakes if is_evidenced(act.view, row.source) else session.leases
    return last.get(row.source, 0) + act.skew_ms < act.now_ms


def _is_break_first(act: Act) -> bool:
    return act.procedure.exactly_once


def _never(_act: Act) -> bool:
    return False


RESERVE: Final = Step[Act](
    name="reserve", to="target site", do=_reserve, undo=_release, deadline_ms=_SITE_MS, tries=3, undo_waits=_never
)
PREPARE: Final = Step[Act](
    name="prepare",
    to="target executor",
    do=_prepare,
    undo=_discard,
    deadline_ms=_PREPARE_MS,
    tries=2,
    moot=_no_copy_can_be_there,
    settle=_book_debt,
)
COMMIT: Final = Step[Act](name="commit", to="target site", do=_commit, deadline_ms=_SITE_MS, tries=3)
PERMIT: Final = Step[Act](
    name="permit",
    to="region",
    do=wait_for_token,
    deadline_ms=lambda act: _EARLY_MS if act.procedure.early else _SITE_MS,
    tries=_PERMIT_TRIES,
    passes=take_token,
)
RESCUE_PERMIT: Final = Step[Act](name="permit", to="region", do=_ask_rescue, deadline_ms=_SITE_MS, tries=2)
WAIT: Final = Step[Act](name="wait", to="", passes=_lease_is_over)
FREEZE: Final = Step[Act](
    name="freeze", to="source executor", do=_freeze, undo=_thaw, deadline_ms=_SITE_MS, tries=2, moot=_source_is_dead
)
ACTIVATE: Final = Step[Act](
    name="activate",
    to="target executor",
    do=_activate,
    undo=_discard,
    deadline_ms=_ACTIVATE_MS,
    tries=2,
    moot=_activation_cannot_count,
    settle=_book_debt,
    undo_waits=_is_break_first,
)
TAKE_OVER: Final = Step[Act](
    name="activate",
    to="target executor",
    do=_activate,
    undo=_discard,
    deadline_ms=_ACTIVATE_MS,
    tries=2,
    moot=_rescue_cannot_count,
    settle=_book_debt,
)
BEGIN_AGAIN: Final = Step[Act](name="activate", to="target executor", do=_activate, deadline_ms=_ACTIVATE_MS, tries=2)
"""In place: never undone, for it may be running; `Renew` finds out."""
MOVE: Final = Kind[Act](name="move", steps=(RESERVE, PREPARE, COMMIT, PERMIT, FREEZE, ACTIVATE))
RESCUE: Final = Kind[Act](name="rescue", steps=(RESERVE, COMMIT, WAIT, RESCUE_PERMIT, TAKE_OVER))
RESTART: Final = Kind[Act](name="restart", steps=(PERMIT, BEGIN_AGAIN))
ORIGINAL: Final = Kind[Act](name="original", steps=(PERMIT, FREEZE, ACTIVATE))
KINDS: Final = {kind.name: kind for kind in (MOVE, RESCUE, RESTART, ORIGINAL)}
