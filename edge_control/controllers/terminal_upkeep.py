"""What is wanted beside procedures, said until it is so: rules at ingresses, leases, debts (PROCEDURES 3).

The rule of a session stands at the ingress of its user and nowhere else; the lease is renewed at the host whenever no
procedure may be changing it; what is left of former copies is dropped once no ingress sends traffic there.
"""

from __future__ import annotations

from typing import Final

from edge_control.controllers import terminal_orders as orders
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import NEVER_MS
from edge_control.controllers.terminal_decisions import breakout
from edge_control.controllers.terminal_moves import release
from edge_control.controllers.terminal_orders import Act
from edge_control.controllers.terminal_rows import Debt, Rule, Session
from schemas.base import derive_id
from schemas.inventory import Health

HELLO_WITHIN_MS: Final = 30_000
"""A site that came back says hello within this time."""


def keep_up(act: Act) -> list[Output]:
    """Say what is wanted and not yet so: new wishes at once, repeats only while ticking."""
    if act.session.ended:
        _wind_up(act)
    outputs = [*_keep_rules(act), *_keep_lease(act)]
    return [*outputs, *_pay_debts(act)]


def _wind_up(act: Act) -> None:
    """An ended session wants no rule, and its copy gone; its row goes when both are so."""
    session = act.session
    session.wants_original = ""
    if session.moving is None and session.host:
        if session.debt_at(session.host) is None:
            session.debts.append(Debt(site_id=session.host, reservation_id=session.room_id))
        session.host = session.room_id = ""


def is_over(session: Session) -> bool:
    """Whether nothing is left of an ended session."""
    return session.ended and not (session.host or session.debts or session.rules or session.moving)


def _keep_rules(act: Act) -> list[Output]:
    session, ingress = act.session, act.terminal.site
    told: list[Output] = []
    if not session.ended and _needs_rule(act):
        present = session.rule_at(ingress)
        if present is None or present.host != session.host:
            present = Rule(ingress=ingress, host=session.host)
            _replace(session, present)
            told.append(breakout(act, present))
    for rule in list(session.rules):
        if rule.host and (session.ended or rule.ingress != ingress):
            _replace(session, Rule(ingress=rule.ingress, host="", until_ms=rule.until_ms))
    return [*told, *(output for rule in list(session.rules) for output in _keep_rule(act, rule))]


def _needs_rule(act: Act) -> bool:
    """A session at its user's own site that never moved is found there without a rule."""
    session, ingress = act.session, act.terminal.site
    return bool(ingress and session.host) and (session.host != ingress or bool(session.rules or session.moved_at_ms))


def _replace(session: Session, rule: Rule) -> None:
    session.rules = [*(known for known in session.rules if known.ingress != rule.ingress), rule]


def _keep_rule(act: Act, rule: Rule) -> list[Output]:
    if not rule.host and rule.until_ms + act.skew_ms < act.now_ms:
        act.session.rules.remove(rule)
        return []
    due = act.ticking and act.now_ms >= rule.again_at_ms
    if rule.command_id and not due:
        return []
    if rule.host and (not rule.command_id or rule.confirmed or rule.until_ms <= act.now_ms):
        rule.until_ms, rule.command_id, rule.attempt = act.now_ms + act.policy.rule_ttl_ms, "", 0
    rule.confirmed = False
    return [orders.rule(act, rule)]


def rule_confirmed(act: Act, rule: Rule) -> None:
    """The ingress has it: a present one is renewed before it ends, an absent one is forgotten."""
    if not rule.host:
        act.session.rules.remove(rule)
        return
    rule.confirmed = True
    rule.again_at_ms = max(act.now_ms, rule.until_ms - act.policy.rule_ttl_ms // 2)


def _keep_lease(act: Act) -> list[Output]:
    session, renewal = act.session, act.session.renewal
    wanted = session.exactly_once or session.probe
    if not wanted or session.ended or not session.host or act.view.health_of(session.host) is Health.DEAD:
        return []
    if session.moving is not None and session.moving.is_past_commit:
        return []
    known = renewal is not None and renewal.site_id == session.host
    if known and renewal is not None and not (act.ticking and act.now_ms >= renewal.again_at_ms):
        return []
    return [orders.renew(act, act.now_ms + act.policy.lease_ms if session.exactly_once else 0)]


def lease_confirmed(act: Act) -> None:
    """The host's copy is active until then: renewed in time."""
    session, renewal = act.session, act.session.renewal
    assert renewal is not None
    session.probe = session.gone = False
    renewal.confirmed = True
    if session.leases.get(renewal.site_id) == NEVER_MS:
        session.leases[renewal.site_id] = renewal.until_ms
    lasts_ms = act.policy.lease_ms - act.policy.lease_renew_ms
    renewal.again_at_ms = renewal.until_ms - lasts_ms if session.exactly_once else NEVER_MS


def _pay_debts(act: Act) -> list[Output]:
    session = act.session
    waits = not session.ended and not _traffic_is_right(act)
    outputs: list[Output] = []
    for debt in session.debts:
        _sleep_or_wake(act, debt)
        due = not debt.command_id or (act.ticking and act.now_ms >= debt.again_at_ms)
        if due and not (waits or debt.asleep or _is_in_use(session, debt)):
            outputs.append(orders.drop(act, debt))
    return outputs


def _sleep_or_wake(act: Act, debt: Debt) -> None:
    """Nothing is asked of a dead site; normally its hello wakes the debt, else that it lives for a while."""
    row = act.view.health.get(debt.site_id)
    if row is None or (not debt.asleep and row.health is not Health.DEAD):
        return
    if debt.asleep and (not act.ticking or act.now_ms < debt.again_at_ms):
        return
    lives = row.health is Health.ALIVE and act.now_ms - row.since_ms >= HELLO_WITHIN_MS
    debt.asleep, debt.again_at_ms = not lives, act.now_ms + (0 if lives else HELLO_WITHIN_MS)


def _is_in_use(session: Session, debt: Debt) -> bool:
    """A return to the original, or a rescue that may need the frozen copy's state, comes before the drop."""
    moving = session.moving
    return debt.site_id == session.wants_original or (moving is not None and moving.kind in ("original", "rescue"))


def _traffic_is_right(act: Act) -> bool:
    """Whether every reachable ingress has confirmed what it shall do with this session's traffic."""
    session = act.session
    if _needs_rule(act) and session.rule_at(act.terminal.site) is None:
        return False
    return all(rule.confirmed or not _is_reachable(act, rule.ingress) for rule in session.rules)


def _is_reachable(act: Act, site_id: str) -> bool:
    return act.view.health_of(site_id) in (Health.ALIVE, Health.UNKNOWN)


def debt_paid(act: Act, debt: Debt) -> list[Output]:
    """The copy is gone: only now its room is free, and the site a candidate again."""
    act.session.debts.remove(debt)
    act.session.look_at_ms = act.now_ms + 1
    saved = act.session.saved
    if saved is not None and saved.site_id == debt.site_id and saved.is_frozen_copy:
        act.session.saved = None
    if not debt.reservation_id:
        return []
    event_id = derive_id("release", debt.reservation_id, act.cause.event_id)
    return [release(act, debt.site_id, debt.reservation_id, event_id)]


def due_ms(session: Session) -> int:
    """When wanted state must be looked at again, by the rows alone."""
    at_ms = NEVER_MS
    for rule in session.rules:
        at_ms = min(at_ms, rule.again_at_ms)
    for debt in session.debts:
        at_ms = min(at_ms, debt.again_at_ms)
    if session.renewal is not None and (session.exactly_once or session.probe):
        at_ms = min(at_ms, session.renewal.again_at_ms)
    return at_ms
