"""The weights of a site's ingress: shares that other sites take, as the app controller asked, less drained peers.

One wanted state per ingress and app: all shares and their end. It ends by itself at the ingress, and here too.
"""

from __future__ import annotations

from typing import Final

from edge_control.controllers import outputs
from edge_control.controllers.site_rows import RouteRow, Shift, SpillAsk
from edge_control.controllers.site_turn import Turn
from edge_control.policies.facts import Proposal, facts_from_view
from edge_control.policies.governor import Ruling, judge
from schemas.commands import (
    Action,
    Command,
    CommandKind,
    Evidence,
    Fence,
    Share,
    SpillParams,
    Target,
)
from schemas.decisions import Decision, Expected, PolicyRef, Reason, Resource, Verdict
from schemas.policy import GovernorPolicy, OffloadPolicy
from schemas.requests import DrainSite, Spill, Spilled
from schemas.statuses import CommandState, Status
from topics.catalogue import Keyspace

_PATIENCE_MS: Final = 5_000
_MOST_PATIENCE_MS: Final = 60_000
_MOST_DOUBLINGS: Final = 4
_MOST_OPEN: Final = 8
_KIND: Final = "offload"


def spill(turn: Turn, ask: Spill) -> None:
    """Take the shares that an app's controller wants to leave this ingress, all of them, until a time."""
    turn.site(ask.site_id)
    key = f"{ask.app_id}@{ask.site_id}"
    row = turn.books.routes.get(key) or RouteRow(site_id=ask.site_id, app_id=ask.app_id)
    ruling = _rule(turn, row, ask.shares)
    late = ask.until_ms <= turn.now_ms or ask.expires_at_ms <= turn.at_ms
    if late or not ruling.allowed:
        _refuse(turn, ask, "expired" if late else str(ruling.reason))
        return
    changed = ask.shares != row.shares
    row.shares, row.until_ms = ask.shares, ask.until_ms if ask.shares else 0
    if changed:
        verdict, reason = (Verdict.OFFLOAD, Reason.OVERLOAD) if ask.shares else (Verdict.REVERT, Reason.RELIEF)
        _decide(turn, row, verdict, reason, ruling)
    row.asks = [one for one in row.asks if one.request_id != ask.request_id]
    row.asks.append(
        SpillAsk(
            request_id=ask.request_id,
            reply_key=ask.reply_key,
            reply_keyspace=ask.reply_keyspace,
            generation=row.generation + 1,
        )
    )
    turn.put_route(row)
    _send(turn, row)


def drain(turn: Turn, said: DrainSite, site_id: str) -> None:
    """Send nothing to a suspect peer, or send to it again; a site does not drain itself."""
    if said.site_id == site_id:
        return
    site = turn.site(site_id)
    if said.until_ms > turn.now_ms:
        site.drains[said.site_id] = said.until_ms
    elif site.drains.pop(said.site_id, None) is None:
        return
    turn.books.sites[site_id] = site
    _follow_drain(turn, site_id, said.site_id, Reason.SITE_SUSPECT)


def lift_drains(turn: Turn, site_id: str) -> None:
    """Forget drains whose time has passed: their peers get their share again."""
    site = turn.site(site_id)
    over = [peer for peer, until_ms in site.drains.items() if until_ms <= turn.now_ms]
    for peer in over:
        del site.drains[peer]
        turn.books.sites[site_id] = site
        _follow_drain(turn, site_id, peer, Reason.EXPIRED)


def say_anew(turn: Turn, site_id: str) -> None:
    """The ingress was started anew and knows no shares: it gets those that are wanted now."""
    for row in turn.books.routes_of(site_id):
        if row.until_ms > turn.now_ms:
            turn.put_route(row)
            _send(turn, row)


def take_status(turn: Turn, status: Status) -> None:
    """Follow a command on weights to its end, and answer who waits for it."""
    row = turn.books.routes[turn.books.shifts[status.command_id]]
    if not status.state.terminal:
        return
    done = next(shift for shift in row.open if shift.command_id == status.command_id)
    through = done.generation if status.state is CommandState.SUCCEEDED else 0
    over = [shift for shift in row.open if shift is done or shift.generation <= through]
    _forget(turn, row, over)
    if status.state is CommandState.SUCCEEDED:
        row.applied, row.failures = max(row.applied, through), 0
        _answer(turn, row)
    turn.put_route(row)


def keep(turn: Turn, row: RouteRow) -> None:
    """End shares whose time has passed, say again what was not confirmed; called on deadlines and changes."""
    if row.until_ms and row.until_ms <= turn.now_ms:
        row.shares, row.until_ms = (), 0
        _decide(turn, row, Verdict.REVERT, Reason.EXPIRED)
        _send(turn, row)
    newest = row.open[-1] if row.open else None
    unconfirmed = row.applied < row.generation
    if unconfirmed and (newest is None or newest.deadline_ms <= turn.now_ms):
        row.failures += 1
        _send(turn, row)
    times = [row.until_ms, *(shift.deadline_ms for shift in row.open[-1:])]
    row.due_ms = min((at_ms for at_ms in times if at_ms > turn.now_ms), default=0)


def _follow_drain(turn: Turn, site_id: str, peer: str, reason: Reason) -> None:
    for row in turn.books.routes_of(site_id):
        wanted = _effective(turn, row)
        if any(share.site_id == peer for share in row.shares) and wanted != row.sent:
            drained = peer in turn.books.sites[site_id].drains
            why = reason if drained or reason is Reason.EXPIRED else Reason.SITE_ALIVE
            _decide(turn, row, Verdict.DRAIN if drained else Verdict.REVERT, why)
            turn.put_route(row)
            _send(turn, row)


def _effective(turn: Turn, row: RouteRow) -> tuple[Share, ...]:
    """The shares to be applied: a drained peer gets nothing."""
    drains = turn.books.sites[row.site_id].drains
    return tuple(share for share in row.shares if drains.get(share.site_id, 0) <= turn.now_ms)


def _rule(turn: Turn, row: RouteRow, shares: tuple[Share, ...]) -> Ruling:
    known = {share.site_id: share.permille for share in row.shares}
    grown = [share for share in shares if share.permille > known.get(share.site_id, 0)]
    spec = turn.spec(row.app_id)
    proposal = Proposal(
        verdict=Verdict.OFFLOAD,
        kind=_KIND,
        resource_id=row.key,
        site_id=row.site_id,
        target_site=grown[0].site_id if grown else "",
        app_id=row.app_id,
        tenant=spec.tenant if spec else "",
        region=turn.view.region_of(row.site_id),
        raw=sum(share.permille for share in shares),
        current=sum(known.values()),
        opening=bool(grown),
    )
    facts = facts_from_view(proposal, turn.view, turn.now_ms)
    scope = turn.scope(row.site_id, row.app_id, proposal.tenant)
    return judge(proposal, facts, turn.view.policies.of(GovernorPolicy, scope))


def _refuse(turn: Turn, ask: Spill, reason: str) -> None:
    body = Spilled(request_id=ask.request_id, granted=False, reason=reason, site_id=ask.site_id, app_id=ask.app_id)
    turn.tell(Keyspace(ask.reply_keyspace), ask.reply_key, body, ask.request_id, correlation_id=ask.request_id)


def _answer(turn: Turn, row: RouteRow) -> None:
    for ask in row.asks:
        if ask.generation <= row.applied:
            body = Spilled(
                request_id=ask.request_id,
                granted=True,
                site_id=row.site_id,
                app_id=row.app_id,
                generation=row.applied,
            )
            turn.tell(
                Keyspace(ask.reply_keyspace),
                ask.reply_key,
                body,
                ask.request_id,
                correlation_id=ask.request_id,
            )
    row.asks = [ask for ask in row.asks if ask.generation > row.applied]


def _send(turn: Turn, row: RouteRow) -> None:
    """Command all shares as a new generation."""
    renewal = _is_renewal(row, _effective(turn, row))
    row.generation += 1
    row.sent = _effective(turn, row)
    patience_ms = min(_MOST_PATIENCE_MS, _PATIENCE_MS << min(row.failures, _MOST_DOUBLINGS))
    by_ms = turn.now_ms + patience_ms
    until_ms = row.until_ms or turn.now_ms
    body = Command(
        command_id=turn.new_id("spill", row.key, row.generation),
        kind=CommandKind.OFFLOAD,
        action=Action.OFFLOAD if row.sent else Action.REVERT,
        resource=Resource(type="ingress", id=row.key),
        target=Target(site_id=row.site_id),
        reply_key=row.site_id,
        reply_keyspace=Keyspace.SITE,
        params=SpillParams(app_id=row.app_id, shares=row.sent, until_ms=until_ms, renewal=renewal),
        generation=row.generation,
        fence=Fence(owner=f"{Keyspace.SITE}/{turn.partition}", revision=row.generation),
        issued_at_ms=turn.now_ms,
        decision_id=row.decision_id,
        start_by_ms=min(by_ms, until_ms) if row.sent else by_ms,
        complete_by_ms=by_ms,
        reason=Evidence(code=Reason.OVERLOAD if row.sent else Reason.RELIEF),
    )
    turn.outputs.append(outputs.command(body))
    _forget(turn, row, row.open[: -_MOST_OPEN + 1])
    row.open.append(Shift(generation=row.generation, command_id=body.command_id, deadline_ms=by_ms))
    turn.books.shifts[body.command_id] = row.key


def _is_renewal(row: RouteRow, shares: tuple[Share, ...]) -> bool:
    """Whether the ingress has confirmed at least these shares."""
    confirmed = {share.site_id: share.permille for share in row.sent} if row.applied == row.generation else {}
    return all(share.permille <= confirmed.get(share.site_id, 0) for share in shares)


def _forget(turn: Turn, row: RouteRow, shifts: list[Shift]) -> None:
    for shift in shifts:
        row.open.remove(shift)
        turn.books.shifts.pop(shift.command_id, None)


def _decide(turn: Turn, row: RouteRow, verdict: Verdict, reason: Reason, ruling: Ruling | None = None) -> None:
    spec = turn.spec(row.app_id)
    scope = turn.scope(row.site_id, row.app_id, spec.tenant if spec else "")
    ref: PolicyRef = turn.view.policies.find(OffloadPolicy, scope)[1]
    permille = sum(share.permille for share in _effective(turn, row))
    before = sum(share.permille for share in row.sent)
    body = Decision(
        decision_id=turn.new_id(f"decision/{verdict}", row.key, row.generation),
        kind=_KIND,
        verdict=verdict,
        resource=Resource(type="ingress", id=row.key),
        cause=turn.cause.cause,
        decided_at_ms=turn.now_ms,
        reason=reason,
        policy=ref,
        site_id=row.site_id,
        app_id=row.app_id,
        raw=sum(share.permille for share in row.shares),
        final=permille,
        gates=ruling.notes if ruling else (),
        expected=Expected(metric="share-applied-permille", value=permille, by_ms=turn.now_ms + _PATIENCE_MS),
        expires_at_ms=row.until_ms,
        supersedes=(row.decision_id,) if row.decision_id else (),
        command_id=turn.new_id("spill", row.key, row.generation + 1),
        text=f"share sent away {before} -> {permille} permille: {reason}",
    )
    row.decision_id = body.decision_id
    turn.outputs.append(outputs.decision(body))
