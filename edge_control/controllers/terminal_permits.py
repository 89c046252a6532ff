"""Tokens of the session budget: asked for as many moves as wait for one target, given to them in order of their asking.

One question per target is on its way at a time; who comes meanwhile is in the next one. A budget that is spent makes
moves wait, up to the patience of their step; any other refusal ends them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edge_control.controllers import outputs as out
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Ask
from edge_control.controllers.terminal_orders import Act
from edge_control.controllers.terminal_rows import Permit, Terminal
from edge_control.inventory.tables import Table
from schemas.base import derive_id
from schemas.decisions import Reason
from schemas.requests import AskLease, Budget, Lease
from topics.catalogue import Keyspace

ANSWER_MS: Final = 2_000
"""How long a region may take to answer before it is asked again."""
_ATTEMPTS: Final = 2
_EMPTY_FOR_MS: Final = 200
"""How long a spent budget is left to grow."""


Waiter = tuple[int, str, str]
"""When a session first asked for its permit, its terminal, its id: who waits longest goes first."""


def key_for(act: Act) -> str:
    """Under which tokens for moves to this target are kept."""
    return f"{act.view.region_of(act.procedure.target)}/{act.procedure.target}"


def wait_for_token(act: Act, _ask: Ask) -> list[Output]:
    """Stand in line; the line is asked for as a whole. Who comes early waits for the user first."""
    row = act.procedure
    row.awaits = "" if row.early or not act.view.region_of(row.target) else key_for(act)
    return []


def take_token(act: Act) -> bool:
    """Pass with a token in hand, once the user has arrived."""
    row = act.procedure
    key = row.awaits or key_for(act)
    permit = act.permits.get(key)
    if row.early or permit is None or permit.tokens <= 0 or permit.until_ms <= act.now_ms:
        return False
    permit.tokens -= 1
    act.permits[key] = permit
    row.permit_until_ms = permit.until_ms
    return True


def waiters(key: str, terminals: Iterable[Terminal]) -> list[Waiter]:
    """Who of these terminals' sessions waits for a token of this row, first come first."""
    return sorted(
        (moving.asked_at_ms, terminal.terminal_id, name)
        for terminal in terminals
        for name, session in terminal.sessions.items()
        if (moving := session.moving) is not None and moving.waits_at == key
    )


def may_ask(permits: Table[Permit], key: str, now_ms: int) -> bool:
    """Whether no question is on its way, and the budget had time to grow."""
    permit = permits.get(key)
    return permit is None or now_ms >= permit.again_at_ms


def ask_for(permits: Table[Permit], key: str, line: list[Waiter], now_ms: int) -> list[Output]:
    """Ask the region for as many tokens as sessions stand in line; a question without an answer is put again."""
    region_id, _, target = key.partition("/")
    permit = permits.get(key) or Permit(region_id=region_id)
    if not line:
        return []
    _, terminal_id, session_id = line[0]
    if not permit.asked or permit.attempt >= _ATTEMPTS:
        permit.lots += 1
        permit.asked = derive_id("tokens", f"{key}/{session_id}", f"{terminal_id}/{now_ms}", permit.lots)
        permit.asked_at_ms, permit.attempt = now_ms, 0
    permit.attempt, permit.again_at_ms = permit.attempt + 1, now_ms + ANSWER_MS
    permits[key] = permit
    body = AskLease(
        request_id=permit.asked,
        reply_key=terminal_id,
        reply_keyspace=Keyspace.TERMINAL,
        expires_at_ms=permit.asked_at_ms + _ATTEMPTS * ANSWER_MS,
        region_id=region_id,
        budget=Budget.SESSIONS,
        amount=len(line),
        target_site=target,
        resource_id=session_id,
    )
    event_id = f"{permit.asked}/{permit.attempt}"
    return [out.message(Keyspace.REGION, region_id, event_id, body, correlation_id=permit.asked)]


def keep(permits: Table[Permit], lease: Lease, now_ms: int) -> str | None:
    """Put the tokens of the slice that was asked for into our hand; the row's key, None if nobody asked for this."""
    key = next((name for name, permit in permits.items() if permit.asked == lease.request_id), None)
    if key is None:
        return None
    permit = permits[key]
    permit.asked, permit.attempt, permit.again_at_ms = "", 0, 0
    left = permit.tokens if permit.until_ms > now_ms else 0
    if lease.granted:
        permit.until_ms = min(lease.until_ms, permit.until_ms) if left else lease.until_ms
        permit.tokens = left + lease.amount
    elif is_spent(lease):
        permit.again_at_ms = now_ms + _EMPTY_FOR_MS
    permits[key] = permit
    return key


def is_spent(lease: Lease) -> bool:
    """Whether waiting helps: the budget grows again, and a late question may be put anew."""
    return not lease.granted and lease.reason in (Reason.BUDGET, Reason.EXPIRED)
