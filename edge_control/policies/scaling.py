"""How many replicas of an app a site should hold, before room and gates are asked (DECISIONS 2).

Demand is in thousandths of a replica at target use. Stabilization works on raw recommendations: going down, the
largest of the release time counts (so the 5-minute maximum of the load is held); going up, the newest does.
"""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.apps import Cost
from schemas.decisions import Reason
from schemas.policy import ScalingPolicy

_MILLI: Final = 1_000
_USUAL: Final = Cost()


class Memory(msgspec.Struct, frozen=True):
    """What earlier recommendations leave behind.

    `peaks`: (time, raw) descending in raw: the running maximum of raw recommendations. `panic_until_ms`: no shrink
    before. `step_at_ms`, `step_base`: since when and from what the current 15 s step of growth counts.
    """

    peaks: tuple[tuple[int, int], ...] = ()
    panic_until_ms: int = 0
    step_at_ms: int = 0
    step_base: int = 0


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one app at one site.

    `own`: replicas it holds for its own ingress. `ready`: those that answer. `sampled_at_ms`: when demand was last
    measured (0: never). `panic_milli`: the demand of the last seconds at full use. `release_ms`: how long a replica is
    kept before it is cheaper to start it again.
    """

    own: int
    ready: int
    demand_milli: int
    panic_milli: int
    forecast_milli: int
    sampled_at_ms: int
    age_ms: int
    stale_after_ms: int
    coverage_permille: int
    minimum: int
    maximum: int
    release_ms: int
    in_flight: bool = False


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """Replicas to hold for the own ingress, and why.

    `needed`: what the demand asks for, before velocity and maximum (None: unknown): what does not fit is overflow.
    """

    replicas: int
    reason: Reason
    needed: int | None
    raw: int
    memory: Memory
    history: tuple[Reason, ...] = ()


def recommend(s: Situation, memory: Memory, policy: ScalingPolicy, now_ms: int) -> Recommendation:
    """Replicas this app should hold at this site, before room and gates."""
    if s.sampled_at_ms == 0:
        return _by_bounds(s, memory, Reason.TELEMETRY_MISSING)
    memory = _panicking(s, memory, policy)
    raw = _raw(s, memory, policy, now_ms)
    memory = _remembering(s, memory, raw)
    if s.age_ms > s.stale_after_ms:
        lost = s.age_ms > policy.fallback_after_ms
        return _by_bounds(s, memory, Reason.TELEMETRY_MISSING if lost else Reason.TELEMETRY_STALE)
    since = now_ms - s.release_ms
    needed = max([raw, s.minimum, *(peak for at_ms, peak in memory.peaks if at_ms > since)])
    wanted, reason = _direction(s, memory, policy, raw=raw, needed=needed, now_ms=now_ms)
    bounded, reason = _bounded(s, wanted, reason)
    return Recommendation(
        replicas=bounded, reason=reason, needed=needed, raw=raw, memory=memory, history=_history(s, raw, needed)
    )


def release_ms(policy: ScalingPolicy, cost: Cost, idle_after_ms: int, demand_milli: int) -> int:
    """How long to keep a replica that is not needed: rent or buy (DECISIONS 2.4).

    The policy's time holds for the usual costs (a start is worth 20 steps of 15 s: 300 s); an app whose starts are
    dearer keeps longer in proportion. An idle app with `idle_after_ms` is released after that.
    """
    if demand_milli == 0 and idle_after_ms:
        return idle_after_ms
    return policy.release_ms * cost.start * _USUAL.hold // (_USUAL.start * max(1, cost.hold))


def stepped(memory: Memory, own_before: int, policy: ScalingPolicy, now_ms: int) -> Memory:
    """The memory after growth was carried out: it counts against the speed limit of this step."""
    if now_ms - memory.step_at_ms < policy.up_step_ms:
        return memory
    return msgspec.structs.replace(memory, step_at_ms=now_ms, step_base=own_before)


def _by_bounds(s: Situation, memory: Memory, reason: Reason) -> Recommendation:
    held = max(s.own, s.minimum)
    why = Reason.AT_MINIMUM if held > s.own else reason
    return Recommendation(replicas=held, reason=why, needed=None, raw=held, memory=memory)


def _panicking(s: Situation, memory: Memory, policy: ScalingPolicy) -> Memory:
    held = max(s.own, s.ready)
    if held == 0 or s.panic_milli < held * policy.panic_permille:
        return memory
    until_ms = max(memory.panic_until_ms, s.sampled_at_ms + policy.panic_hold_ms)
    return msgspec.structs.replace(memory, panic_until_ms=until_ms)


def _raw(s: Situation, memory: Memory, policy: ScalingPolicy, now_ms: int) -> int:
    demand = max(s.demand_milli, s.forecast_milli)
    if now_ms < memory.panic_until_ms:
        demand = max(demand, s.panic_milli * _MILLI // max(1, policy.target_use_permille))
    return -(-demand // _MILLI)


def _remembering(s: Situation, memory: Memory, raw: int) -> Memory:
    if memory.peaks and memory.peaks[-1] == (s.sampled_at_ms, raw):
        return memory
    since = s.sampled_at_ms - s.release_ms
    kept = [(at_ms, peak) for at_ms, peak in memory.peaks if peak > raw and at_ms > since]
    return msgspec.structs.replace(memory, peaks=(*kept, (s.sampled_at_ms, raw)))


def _direction(
    s: Situation, memory: Memory, policy: ScalingPolicy, *, raw: int, needed: int, now_ms: int
) -> tuple[int, Reason]:
    if needed > s.own:
        panicking = now_ms < memory.panic_until_ms
        if raw == needed > s.minimum and not panicking and _within_band(s, policy):
            return s.own, Reason.WITHIN_DEAD_BAND
        return _paced(s, memory, policy, needed, now_ms), _why_up(s, memory, raw, now_ms)
    if needed == s.own:
        return s.own, _why_same(s, raw)
    if now_ms < memory.panic_until_ms:
        return s.own, Reason.PANIC
    if s.coverage_permille < policy.min_coverage_permille:
        return s.own, Reason.TELEMETRY_INCOMPLETE
    if _within_band(s, policy):
        return s.own, Reason.WITHIN_DEAD_BAND
    return needed, Reason.IDLE if raw == 0 else Reason.DEMAND_DOWN


def _within_band(s: Situation, policy: ScalingPolicy) -> bool:
    demand = max(s.demand_milli, s.forecast_milli)
    band = policy.dead_band_permille
    return s.own > 0 and s.own * (_MILLI - band) < demand <= s.own * (_MILLI + band)


def _paced(s: Situation, memory: Memory, policy: ScalingPolicy, needed: int, now_ms: int) -> int:
    open_step = now_ms - memory.step_at_ms < policy.up_step_ms
    base = memory.step_base if open_step else s.own
    limit = base + max(base * policy.up_step_permille // _MILLI, policy.up_step_min)
    return max(s.own, min(needed, max(limit, s.minimum)))


def _why_up(s: Situation, memory: Memory, raw: int, now_ms: int) -> Reason:
    if raw < s.minimum or (raw == 0 and s.minimum):
        return Reason.AT_MINIMUM
    if s.own == 0:
        return Reason.WAKE
    if now_ms < memory.panic_until_ms:
        return Reason.PANIC
    return Reason.FORECAST if s.forecast_milli > s.demand_milli else Reason.DEMAND_UP


def _why_same(s: Situation, raw: int) -> Reason:
    if s.in_flight:
        return Reason.ALREADY_ORDERED
    if raw < s.own:
        return Reason.AT_MINIMUM if s.own <= s.minimum else Reason.STABILIZING
    return Reason.ALREADY_RIGHT


def _bounded(s: Situation, wanted: int, reason: Reason) -> tuple[int, Reason]:
    bounded = min(max(wanted, s.minimum), max(s.maximum, s.minimum))
    if bounded < wanted:
        return (s.own if bounded == s.own else bounded), Reason.AT_MAXIMUM
    return bounded, reason


def _history(s: Situation, raw: int, needed: int) -> tuple[Reason, ...]:
    steps: list[Reason] = []
    if s.forecast_milli > s.demand_milli:
        steps.append(Reason.FORECAST)
    if needed > raw:
        steps.append(Reason.AT_MINIMUM if needed == s.minimum else Reason.STABILIZING)
    return tuple(steps)
