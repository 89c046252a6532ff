"""How a demo is told in lines: seconds since the command, what sort of thing, what; every row says live or emulated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from edgeweir.dev.expect import Verdict as Judged
from edgeweir.dev.facts import Decided, Facts, Ordered
from schemas.commands import MoveParams, ScaleParams, SpillParams
from schemas.decisions import Decision, HealthDecision, Verdict

_QUIET = (Verdict.HOLD, Verdict.BREAKOUT)


class Teller:
    """Turns what happened into lines; `live` sites are told of and `named` ones, all but the live are emulated."""

    def __init__(self, facts: Facts, live: tuple[str, ...], named: tuple[str, ...] = ()) -> None:
        self._facts = facts
        self._live = live
        self._told_of = (*live, *named)
        self._told: dict[str, None] = {}
        self._healths = 0

    def news(self) -> Iterator[tuple[int, str, str]]:
        """What is new since the last look, as (when, sort, text): decisions that act, their effects, sites' health."""
        fresh = [*self._new_decisions(), *self._new_effects(), *self._new_healths()]
        return iter(sorted(fresh))

    def _new_decisions(self) -> Iterator[tuple[int, str, str]]:
        for decided in tuple(self._facts.decisions.values()):
            said = decided.decision
            is_told = said.verdict not in _QUIET and self._is_told_of(said.site_id, said.resource.id.rpartition("@")[2])
            if self._is_new(f"d/{said.decision_id}") and is_told:
                yield decided.at_ms, "decision", self.decision(decided)

    def _new_effects(self) -> Iterator[tuple[int, str, str]]:
        for ordered in tuple(self._facts.commands.values()):
            done_ms, command = ordered.done_ms(), ordered.command
            is_told = isinstance(command.params, ScaleParams | SpillParams) and self._is_told_of(command.target.site_id)
            if is_told and done_ms is not None and self._is_new(f"c/{command.command_id}"):
                yield done_ms, "applied", self.applied(ordered)

    def _new_healths(self) -> Iterator[tuple[int, str, str]]:
        fresh, self._healths = self._facts.healths[self._healths :], len(self._facts.healths)
        for at_ms, said in fresh:
            if self._is_told_of(said.site_id):
                yield at_ms, "health", self.health(said)

    def _is_told_of(self, *names: str) -> bool:
        return any(name in self._told_of for name in names)

    def world(self, *names: str) -> str:
        """`live` when any of the sites is; else `emulated`."""
        return "live" if any(name in self._live for name in names) else "emulated"

    def decision(self, decided: Decided) -> str:
        """One decision: what, about what, how much, why, how long after its event, in which world."""
        said = decided.decision
        lag = f"  {decided.at_ms - decided.event_ms} ms after its event" if decided.event_ms else ""
        return f"{said.verdict:<10} {said.resource.id:<24} {_amount(said):<12} {said.reason}{lag}  {self._of(said)}"

    def applied(self, ordered: Ordered) -> str:
        """One effect: what is there now, and how long after the command."""
        command, done_ms = ordered.command, ordered.done_ms() or 0
        status = ordered.success()
        observed = status.result.observed if status is not None and status.result is not None else None
        took = f"{(done_ms - ordered.at_ms) / 1000:.1f} s after the command"
        what = _effect(ordered, observed)
        return f"{command.action:<10} {command.resource.id:<24} {what}, {took}  {self.world(command.target.site_id)}"

    def health(self, said: HealthDecision) -> str:
        """One change of a site's health."""
        change = f"{said.previous} -> {said.health}"
        return f"{'Health':<10} {said.site_id:<24} {change:<22} {said.reason}  {self.world(said.site_id)}"

    def _of(self, said: Decision) -> str:
        return self.world(said.site_id, said.resource.id.rpartition("@")[2], *(c.id for c in said.candidates[:1]))

    def _is_new(self, name: str) -> bool:
        is_new = name not in self._told
        self._told[name] = None
        return is_new


def summary(facts: Facts, seconds: float, records_before: int) -> str:
    """One line about the last seconds: records, decisions by kind, how long effects took, dead letters."""
    kinds = Counter(str(decided.decision.verdict) for decided in facts.decisions.values())
    told = " ".join(f"{name} {count}" for name, count in sorted(kinds.items()))
    rate = (facts.records - records_before) / max(seconds, 0.001)
    return f"{rate:.0f} records/s   {told}   command -> done p99 {p99_ms(facts)} ms   {facts.dead_letters} dead letters"


def p99_ms(facts: Facts) -> int:
    """How long 99 % of the commands took from their record to the status of their success."""
    took = sorted(done - o.at_ms for o in facts.commands.values() if (done := o.done_ms()) is not None)
    return took[len(took) * 99 // 100] if took else 0


def table(judged: list[Judged]) -> Iterator[str]:
    """The table of expectations, one line each."""
    yield f"{'':4} {'what was expected':<40} {'made':>7} {'by':>5} {'done':>7} {'by':>5}  effect"
    for line in judged:
        mark = "ok" if line.holds else "NOT"
        made, done = _at(line.made_s), _at(line.done_s)
        want = line.expected
        effect = line.effect if line.holds else f"{line.fault}{': ' + line.effect if line.effect else ''}"
        yield f"{mark:4} {want.say:<40} {made:>7} {want.made_by_s:>5.0f} {done:>7} {want.done_by_s:>5.0f}  {effect}"


def _at(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}"


def _amount(said: Decision) -> str:
    if said.verdict in (Verdict.SCALE_OUT, Verdict.SCALE_IN, Verdict.PLACE, Verdict.RELEASE):
        return f"to {said.final}" if said.raw == said.final else f"to {said.final} of {said.raw}"
    return f"{said.final / 10:.0f} %" if said.verdict is Verdict.OFFLOAD else ""


def _effect(ordered: Ordered, observed: int | None) -> str:
    params = ordered.command.params
    if isinstance(params, ScaleParams):
        return f"{observed if observed is not None else params.replicas} replicas answer"
    if isinstance(params, SpillParams):
        shares = ", ".join(f"{share.site_id} {share.permille / 10:.0f} %" for share in params.shares)
        return f"shares: {shares or 'none'}"
    return str(params.step) if isinstance(params, MoveParams) else ""
