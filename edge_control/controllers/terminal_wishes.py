"""What a session should do next, judged and begun: rescue before restart before return before move (DECISIONS 4, 6).

One procedure per session. The view prompts; what permits are the target's grant and the region's lease.
"""

from __future__ import annotations

import itertools
from typing import Final

import msgspec

from edge_control.controllers import outputs as out
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Kind, Run
from edge_control.controllers.terminal_decisions import Told, decide, hold, is_told
from edge_control.controllers.terminal_orders import Act
from edge_control.controllers.terminal_rows import MoveProcedure, Saved
from edge_control.inventory.geography import distance_m
from edge_control.policies.governor import Proposal, Ruling, facts_from_view, judge
from edge_control.policies.migration import (
    NEVER_MS,
    Choice,
    Option,
    Situation,
    Survey,
    choose,
    model_for,
    rescue_target,
    survey,
)
from schemas.base import derive_id
from schemas.decisions import Decision, Reason, Verdict
from schemas.inventory import Health
from schemas.location import Mobility
from schemas.policy import GovernorPolicy, MigrationPolicy, Mode

LOOK_AGAIN_MS: Final = 5_000
"""When a wish that could not be begun is looked at again."""
AWAY_MS: Final = 30_000
"""At most so long a session away from its user waits for another look at its options."""
HOUR_MS: Final = 3_600_000
_REACHABLE: Final = (Health.ALIVE, Health.UNKNOWN)
_STRICT: Final = {Mobility.NOT_ALLOWED: 0, Mobility.WITH_CONFIRMATION: 1, Mobility.WITHOUT_CONFIRMATION: 2}


def wish(act: Act, kinds: dict[str, Kind[Act]]) -> list[Output]:
    """Begin what the session needs most, or say why not; only for a session without a procedure."""
    session = act.session
    if session.ended or not session.host or session.moving is not None:
        return []
    dead = act.view.health_of(session.host) is Health.DEAD
    if dead and (act.spec is None or not act.ticking):
        session.look_at_ms = session.look_at_ms or act.now_ms + LOOK_AGAIN_MS
    if act.spec is None:
        return hold(act, Told(verdict=Verdict.HOLD, reason=Reason.NO_SPEC))
    if dead:
        return _rescue(act, kinds) if act.ticking else []
    if session.gone:
        return _restart(act, kinds) if act.ticking else []
    if session.wants_original:
        return _return_to_original(act, kinds)
    return _follow(act, kinds)


def situation(act: Act, user_site: str = "", user_zone: str = "") -> Situation:
    """The session and its user as the policy sees them; optionally as if the user were elsewhere."""
    session, terminal, spec = act.session, act.terminal, act.spec
    assert spec is not None
    avoid = {site: "refused-lately" for site, until_ms in sorted(session.avoid.items()) if until_ms > act.now_ms}
    avoid |= {debt.site_id: "debt" for debt in session.debts}
    return Situation(
        host=session.host,
        user_site=user_site or terminal.site,
        user_zone=user_zone or terminal.zone,
        excess=session.excess,
        ping_pong=act.now_ms < terminal.ping_pong_until_ms,
        mobility=min(spec.mobility, session.mobility, key=_STRICT.__getitem__),
        confirmed=session.confirmed,
        avoid=avoid,
    )


def accrue(act: Act) -> None:
    """Let the session pay for its distance until now (rent)."""
    session = act.session
    session.excess += session.excess_rate_m * max(0, act.now_ms - session.excess_at_ms)
    session.excess_at_ms = act.now_ms


def options_for(act: Act, now: Situation) -> list[Option]:
    """The sites that could host the session of a user there."""
    assert act.spec is not None
    over = Survey(view=act.view, atlas=act.atlas, spec=act.spec, policy=act.policy, now_ms=act.now_ms)
    return survey(over, now)


def best_choice(act: Act, now: Situation) -> Choice:
    """Stay or move, by the policy that counts here; at the user's own site nothing can be better without a model."""
    assert act.spec is not None
    model = model_for(act.view, act.session.app_id)
    if model is None and now.host == now.user_site and now.host in act.view.sites:
        return Choice(target=now.host, reason=Reason.ALREADY_RIGHT)
    return choose(now, options_for(act, now), act.spec, act.policy, model)


def _follow(act: Act, kinds: dict[str, Kind[Act]]) -> list[Output]:
    session = act.session
    if not act.terminal.site:
        return []
    accrue(act)
    choice = best_choice(act, situation(act))
    session.excess_rate_m = choice.excess_rate_m
    session.look_at_ms = _next_look(act, choice)
    if choice.moves(session.host):
        return _move(act, choice, kinds)
    if is_told(act, choice.reason):
        return []
    return hold(act, Told(verdict=Verdict.HOLD, reason=choice.reason, candidates=choice.candidates))


def _next_look(act: Act, choice: Choice) -> int:
    if choice.reason is Reason.ALREADY_RIGHT and act.terminal.site == act.session.host:
        return 0
    nearer = itertools.takewhile(lambda option: option.site_id != act.session.host, choice.options)
    blocked = choice.reason is Reason.NO_CANDIDATE or any(option.refused_by for option in nearer)
    again_ms = LOOK_AGAIN_MS if blocked else AWAY_MS
    return act.now_ms + max(1, min(choice.due_in_ms, again_ms))


def _move(act: Act, choice: Choice, kinds: dict[str, Kind[Act]]) -> list[Output]:
    session, target = act.session, choice.target
    act.session.look_at_ms = act.now_ms + LOOK_AGAIN_MS
    ruling = _judge(act, Verdict.MIGRATE, target)
    told = Told(
        verdict=Verdict.MIGRATE,
        reason=choice.reason,
        target=target,
        candidates=choice.candidates,
        gates=ruling.notes,
        text=f"user at {act.terminal.site}, host {session.host} -> {target}",
    )
    if act.view.health_of(session.host) not in _REACHABLE:
        return hold(act, msgspec.structs.replace(told, verdict=Verdict.HOLD, reason=Reason.SITE_SUSPECT, target=""))
    if ruling.reason is not None:
        return hold(act, msgspec.structs.replace(told, verdict=Verdict.HOLD, reason=ruling.reason, target=""))
    return _begin_if_active(act, told, kinds)


def prepare_early(act: Act, target: str, zone: str, kinds: dict[str, Kind[Act]]) -> list[Output]:
    """A hand-over is being prepared (MEC 012 hoStatus 1): reserve and copy now what would move on arrival."""
    session = act.session
    if session.ended or session.moving is not None or act.spec is None or not session.host:
        return []
    accrue(act)
    choice = best_choice(act, situation(act, target, zone))
    if choice.target != target or target == session.host:
        return []
    outputs = _move(act, choice, kinds)
    begun = session.procedure
    if begun is not None and begun.state.open:
        begun.early = True
    return outputs


def _begin_if_active(act: Act, told: Told, kinds: dict[str, Kind[Act]]) -> list[Output]:
    """Policies in other modes than active decide without acting, or wait for a yes."""
    session = act.session
    _, _, mode = act.view.policies.find(MigrationPolicy, act.scope)
    if mode is Mode.OFF:
        return hold(act, msgspec.structs.replace(told, verdict=Verdict.HOLD, reason=Reason.POLICY_OFF, target=""))
    if mode is Mode.SHADOW:
        return hold(act, msgspec.structs.replace(told, reason=Reason.SHADOW, mode=mode, acts=False))
    if mode is Mode.APPROVE and not _is_approved(act, told.target):
        waiting = msgspec.structs.replace(told, reason=Reason.AWAITING_APPROVAL, mode=mode, acts=False)
        if told.target == session.approved_target and session.approval:
            return []
        body = decide(act, waiting)
        session.approval, session.approved_target = body.decision_id, told.target
        return [out.decision(body)]
    session.approval = session.approved_target = ""
    body = decide(act, told)
    return [out.decision(body), *_begin(act, kinds["move"], session.host, told.target, body)]


def _is_approved(act: Act, target: str) -> bool:
    session = act.session
    seen = act.view.approvals.get(session.approval)
    return target == session.approved_target and seen is not None and seen.body.granted


def _rescue(act: Act, kinds: dict[str, Kind[Act]]) -> list[Output]:
    session, spec = act.session, act.spec
    assert spec is not None
    if act.now_ms < session.look_at_ms <= act.now_ms + LOOK_AGAIN_MS:
        return []  # a later look than that was set while the host lived, for a session away from its user
    session.look_at_ms = act.now_ms + LOOK_AGAIN_MS
    told = Told(verdict=Verdict.HOLD, reason=Reason.NO_CHECKPOINT, text=f"{session.host} is dead")
    if session.saved is None and spec.stateful and not spec.empty_start_ok:
        return hold(act, told)
    options = options_for(act, situation(act))
    target = rescue_target(options, session.host)
    if target is None:
        return hold(act, msgspec.structs.replace(told, reason=Reason.NO_CANDIDATE))
    ruling = _judge(act, Verdict.EVACUATE, target.site_id)
    if ruling.reason is not None:
        return hold(act, msgspec.structs.replace(told, reason=ruling.reason, gates=ruling.notes))
    text = f"{session.host} is dead; {_loss(act, session.saved)}"
    reason = Reason.SITE_DEAD
    body = decide(
        act, Told(verdict=Verdict.EVACUATE, reason=reason, target=target.site_id, gates=ruling.notes, text=text)
    )
    return [out.decision(body), *_begin(act, kinds["rescue"], session.host, target.site_id, body)]


def _loss(act: Act, saved: Saved | None) -> str:
    if saved is None:
        return "no checkpoint, starts empty"
    return f"checkpoint {saved.ref.ref} version {saved.ref.version}, rpo_ms={max(0, act.now_ms - saved.at_ms)}"


def _restart(act: Act, kinds: dict[str, Kind[Act]]) -> list[Output]:
    session, spec = act.session, act.spec
    assert spec is not None
    if act.now_ms < session.look_at_ms or act.view.health_of(session.host) not in _REACHABLE:
        return []
    session.look_at_ms = act.now_ms + LOOK_AGAIN_MS
    if session.saved is None and spec.stateful and not spec.empty_start_ok:
        return hold(act, Told(verdict=Verdict.HOLD, reason=Reason.NO_CHECKPOINT, text=f"copy gone at {session.host}"))
    text = f"copy gone at {session.host}; {_loss(act, session.saved)}"
    body = decide(act, Told(verdict=Verdict.EVACUATE, reason=Reason.REPLICA_LOST, target=session.host, text=text))
    return [out.decision(body), *_begin(act, kinds["restart"], session.host, session.host, body)]


def _return_to_original(act: Act, kinds: dict[str, Kind[Act]]) -> list[Output]:
    session = act.session
    target, debt = session.wants_original, session.debt_at(session.wants_original)
    if debt is None or act.view.health_of(target) is Health.DEAD:
        session.wants_original = ""
        return []
    if act.view.health_of(target) not in _REACHABLE:
        return []
    text = f"{target} is back with its own copy"
    body = decide(act, Told(verdict=Verdict.MIGRATE, reason=Reason.SITE_ALIVE, target=target, text=text))
    outputs = _begin(act, kinds["original"], session.host, target, body)
    act.procedure.reservation_id = debt.reservation_id
    return [out.decision(body), *outputs]


def _begin(act: Act, kind: Kind[Act], source: str, target: str, body: Decision) -> list[Output]:
    session, spec = act.session, act.spec
    assert spec is not None
    revision = act.terminal.next_revision()
    saved = session.saved if kind.name in ("rescue", "restart") else None
    session.procedure = MoveProcedure(
        procedure_id=derive_id(kind.name, session.session_id, act.cause.event_id, revision),
        kind=kind.name,
        resource_id=session.session_id,
        spec_version=spec.version,
        source=source,
        target=target,
        exactly_once=session.exactly_once,
        decision_id=body.decision_id,
        final=saved.ref if saved else None,
        rpo_ms=max(0, act.now_ms - saved.at_ms) if saved else 0,
        committed=kind.name == "original",
        distance_m=distance_m(act.view, act.terminal.site, target),
    )
    session.hold = ""
    return Run(session.procedure, kind, act, act.now_ms).begin()


def _judge(act: Act, verdict: Verdict, target: str) -> Ruling:
    """Through the six gates: with what the view knows, and what only this row knows."""
    session, spec = act.session, act.spec
    assert spec is not None
    proposal = Proposal(
        verdict=verdict,
        kind="migration",
        resource_id=session.session_id,
        site_id=session.host,
        target_site=target,
        app_id=session.app_id,
        tenant=spec.tenant,
        raw=1,
        voluntary=verdict is Verdict.MIGRATE,
    )
    lately = [at_ms for at_ms in session.moved_at_ms if at_ms > act.now_ms - HOUR_MS]
    row = act.view.site_rows.get(target)
    facts = msgspec.structs.replace(
        facts_from_view(proposal, act.view, act.now_ms),
        acts_last_hour=len(lately),
        quiet_for_ms=act.now_ms - max(lately, default=0),
        input_age_ms=row.age_ms(act.now_ms) if row else NEVER_MS,
        max_input_age_ms=act.policy.max_view_age_ms,
    )
    return judge(proposal, facts, act.view.policies.of(GovernorPolicy, act.scope))
