"""How each kind of expectation is judged, one function per kind: what was decided, carried out, and measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from edgeweir.dev.expect import Found, Ground, Verdict, doubled, unanswered, verdict
from edgeweir.dev.expect_share import share_of_spill
from edgeweir.dev.facts import Decided, Ordered
from edgeweir.dev.scenario import Expected
from schemas.commands import Action, MoveParams, MoveStep, ScaleParams

_ANSWER_MS: Final = 15_000
_AFTER_HEAL_MS: Final = 5_000
_MOVES: Final = (Action.MIGRATE_SESSION, Action.MOVE_DEVICE, Action.MIGRATE_INSTANCE)


def judge(ground: Ground, now_ms: int) -> list[Verdict]:
    """Every line of the play's expectations as it stands now."""
    return [verdict(e, KINDS[e.kind](e, ground, now_ms), ground) for e in ground.play.expect]


def first(expected: Expected, ground: Ground, now_ms: int) -> Found:  # noqa: ARG001  # one signature for all kinds
    """The first decision carried out, counted from the command and not from the kick-off."""
    done = [(at, o) for o in ground.facts.commands.values() if (at := o.done_ms()) is not None]
    if not done:
        return Found(fault="nothing was carried out")
    done_ms, ordered = min(done, key=lambda pair: pair[0])
    took_s = (done_ms - ground.command_ms) / 1000
    what = f"{ordered.command.action} {ordered.command.resource.id}"
    return Found(
        made_ms=ordered.at_ms,
        done_ms=done_ms,
        effect=f"{what}, {took_s:.1f} s after the command",
        fault=f"bound is {expected.at_most} s after the command" if took_s > expected.at_most else "",
    )


def scale(expected: Expected, ground: Ground, now_ms: int) -> Found:  # noqa: ARG001  # one signature for all kinds
    """A scaling decision whose command succeeded; the effect is what the executor read back."""
    partial = Found()
    for decided in _scalings(expected, ground):
        ordered = _order_of(decided, ground)
        status = ordered.success() if ordered is not None else None
        if ordered is None or status is None:
            partial = partial if partial.made_ms else Found(made_ms=decided.at_ms)
            continue
        observed = status.result.observed if status.result is not None else None
        wanted = ordered.command.params.replicas if isinstance(ordered.command.params, ScaleParams) else 0
        return Found(
            made_ms=decided.at_ms,
            done_ms=ordered.done_ms(),
            effect=f"{observed} replicas answer ({decided.decision.reason})",
            fault="" if observed == wanted else f"{wanted} wanted, {observed} answer",
            decision_id=decided.decision.decision_id,
        )
    return partial


def spill(expected: Expected, ground: Ground, now_ms: int) -> Found:  # noqa: ARG001  # one signature for all kinds
    """Traffic sent away as ordered, measured at the ingress."""
    return share_of_spill(expected, ground)


def moves(expected: Expected, ground: Ground, now_ms: int) -> Found:  # noqa: ARG001  # one signature for all kinds
    """So many sessions moved to a site with their state, and every counter goes on."""
    found = _activated(expected, ground, _MOVES)
    line = ground.crowd.newest
    wrong = f"{line.gaps} gaps, {line.repeats} repeats" if line.gaps or line.repeats else ""
    return Found(
        made_ms=found.made_ms, done_ms=found.done_ms, effect=f"{found.effect}, no gap", fault=wrong or found.fault
    )


def rescue(expected: Expected, ground: Ground, now_ms: int) -> Found:  # noqa: ARG001  # one signature for all kinds
    """So many sessions of a dead site went on elsewhere, each from the checkpoint that its order names."""
    found = _activated(expected, ground, (Action.EVACUATE,))
    line = ground.crowd.newest
    effect = f"{found.effect}; {line.rollbacks} clients saw their checkpoint, {line.rolled_back} requests lost in all"
    return Found(made_ms=found.made_ms, done_ms=found.done_ms, effect=effect, fault=found.fault)


def health(expected: Expected, ground: Ground, now_ms: int) -> Found:  # noqa: ARG001  # one signature for all kinds
    """A site's health changed; a suspect's users must be steered away."""
    for at_ms, said in ground.facts.healths:
        early = at_ms < ground.at_ms(expected.from_s) or said.site_id != expected.site
        if early or said.health != expected.to or expected.reason not in ("", said.reason):
            continue
        evidence = f"{said.reason}: {'; '.join(_freshest(said.evidence))}"
        done_ms = _steered_ms(expected, ground, at_ms) if said.health == "suspect" else at_ms
        return Found(made_ms=at_ms, done_ms=done_ms, effect=evidence, decision_id=said.decision_id)
    return Found()


def quiet(expected: Expected, ground: Ground, now_ms: int) -> Found:
    """From the cut until a while after the heal nothing of the site is stopped, moved or evacuated."""
    from_ms, until_ms = _cut(expected, ground)
    harm = [o for o in ground.facts.commands.values() if from_ms <= o.at_ms <= until_ms and _harms(o, expected.site)]
    names = ", ".join(f"{o.command.action} {o.command.resource.id}" for o in harm[:3])
    if harm:
        return Found(made_ms=from_ms, fault=f"{len(harm)} against it: {names}")
    return Found(
        made_ms=from_ms, done_ms=until_ms if now_ms >= until_ms else None, effect="nothing stopped, moved or evacuated"
    )


def hello(expected: Expected, ground: Ground, now_ms: int) -> Found:
    """After the heal the executor says hello, and few new orders follow: no burst."""
    healed_ms = ground.act_ms("heal", expected.site)
    said = [at for at, h in ground.facts.hellos if h.site_id == expected.site and at >= healed_ms]
    if not said:
        return Found()
    until_ms = said[0] + _AFTER_HEAL_MS
    fresh = [o for o in _orders_to(expected.site, ground) if said[0] <= o.at_ms <= until_ms and o.command.opening]
    return Found(
        made_ms=said[0],
        done_ms=until_ms if now_ms >= until_ms else None,
        effect=f"{len(fresh)} opening orders within 5 s of its hello",
        fault=f"a burst: {len(fresh)} opening orders, at most {expected.at_most}"
        if len(fresh) > expected.at_most
        else "",
    )


def served(expected: Expected, ground: Ground, now_ms: int) -> Found:
    """No request failed in the time, but for a killed site's: until its users were steered, its sessions rescued."""
    from_ms, until_ms = ground.at_ms(expected.from_s), ground.at_ms(expected.made_by_s)
    spared_ms = ground.act_ms("kill-site", expected.site) if expected.site else until_ms
    spared_until_ms = spared_ms + expected.at_most * 1000
    failed = [f for f in ground.crowd.failures if from_ms <= f.at_ms <= until_ms]
    sessions = ground.play.walkers.app
    bad = [
        f
        for f in failed
        if not (spared_ms <= f.at_ms <= spared_until_ms and (f.site == expected.site or f.app == sessions))
    ]
    asked = ground.crowd.newest.asked
    excused = f", {len(failed) - len(bad)} while {expected.site} was dying" if len(failed) > len(bad) else ""
    first_bad = f" (first: {bad[0].app} at {bad[0].site}: {bad[0].why})" if bad else ""
    return Found(
        made_ms=from_ms,
        done_ms=min(now_ms, until_ms),
        effect=f"{asked} asked, {len(bad)} failed{excused}",
        fault=f"{len(bad)} requests failed{first_bad}" if bad or not asked else "",
    )


def once(expected: Expected, ground: Ground, now_ms: int) -> Found:
    """Nothing was ordered or done twice, and every order was acknowledged."""
    twice = doubled(ground.facts)
    dead = [act.site for act in ground.play.acts if act.do == "kill-site"]
    open_ = unanswered(ground.facts, dead, now_ms, _ANSWER_MS)
    fault = f"{len(twice)} doubled: {twice[0]}" if twice else ""
    if not fault and open_:
        fault = f"{len(open_)} never acknowledged: {open_[0]}"
    done = sum(o.done_ms() is not None for o in ground.facts.commands.values())
    return Found(
        made_ms=ground.at_ms(expected.from_s),
        done_ms=min(now_ms, ground.at_ms(expected.done_by_s)),
        effect=f"{len(ground.facts.commands)} orders, {done} done, none twice",
        fault=fault,
    )


def _scalings(expected: Expected, ground: Ground) -> Iterator[Decided]:
    for decided in ground.facts.decisions.values():
        said = decided.decision
        right = said.verdict == expected.verdict and fnmatchcase(said.resource.id, expected.resource)
        sized = said.final >= expected.at_least if not expected.at_most else said.final <= expected.at_most
        if right and sized and expected.reason in ("", said.reason) and decided.at_ms >= ground.at_ms(expected.from_s):
            yield decided


def _order_of(decided: Decided, ground: Ground) -> Ordered | None:
    wanted = decided.decision.decision_id
    return next((o for o in ground.facts.commands.values() if o.command.decision_id == wanted), None)


def _orders_to(site_id: str, ground: Ground) -> Iterator[Ordered]:
    return (o for o in ground.facts.commands.values() if o.command.target.site_id == site_id)


def _activated(expected: Expected, ground: Ground, actions: tuple[Action, ...]) -> Found:
    """When the last of so many sessions was ordered, and was active, away from `site` or (`to`) at a site."""
    orders = [o for o in ground.facts.commands.values() if _is_activation(o, expected, actions, ground)]
    done = sorted(at for o in orders if (at := o.done_ms()) is not None)
    made = sorted(o.at_ms for o in orders)
    count = expected.at_least
    return Found(
        made_ms=made[count - 1] if len(made) >= count else None,
        done_ms=done[count - 1] if len(done) >= count else None,
        effect=f"{len(done)} sessions with their state",
        fault=f"{len(made)} of {count} sessions ordered" if len(made) < count else "",
    )


def _is_activation(ordered: Ordered, expected: Expected, actions: tuple[Action, ...], ground: Ground) -> bool:
    params = ordered.command.params
    if not isinstance(params, MoveParams) or params.step is not MoveStep.ACTIVATE:
        return False
    there = expected.to in ("", params.target_site) and expected.site in ("", params.source_site)
    return there and ordered.command.action in actions and ordered.at_ms >= ground.at_ms(expected.from_s)


def _steered_ms(expected: Expected, ground: Ground, since_ms: int) -> int | None:
    zones = [zone for zone, site in ground.zones.items() if site == expected.site]
    for at_ms, row in ground.facts.steering:
        if at_ms >= since_ms and row.zone_id in zones and row.sites and row.sites[0].site_id != expected.site:
            return at_ms
    return None


def _freshest(evidence: tuple[str, ...]) -> list[str]:
    """The site's own reports first, then the two newest words of others (`... 85 ms ago`)."""

    def age_ms(words: str) -> int:
        found = re.search(r"(\d+) ms ago$", words)
        return int(found[1]) if found else 0

    return [*evidence[:1], *sorted(evidence[1:], key=age_ms)[:2]]


def _cut(expected: Expected, ground: Ground) -> tuple[int, int]:
    return ground.act_ms("cut", expected.site), ground.act_ms("heal", expected.site) + _AFTER_HEAL_MS


def _harms(ordered: Ordered, site_id: str) -> bool:
    """Whether an order stops or takes away what runs at the site."""
    command, params = ordered.command, ordered.command.params
    if isinstance(params, MoveParams):
        return params.source_site == site_id
    return command.action is Action.SCALE_IN and command.target.site_id == site_id


KINDS: Final[dict[str, Callable[[Expected, Ground, int], Found]]] = {
    "first": first,
    "scale": scale,
    "spill": spill,
    "moves": moves,
    "rescue": rescue,
    "health": health,
    "quiet": quiet,
    "hello": hello,
    "served": served,
    "once": once,
}
