"""Where the crowd is at a moment: rates by zone between knots, and the zone of each walker. Pure: time is given."""

from __future__ import annotations

from itertools import pairwise

from edgeweir.dev.scenario import Crowd, Walkers


def rates_at(crowd: Crowd, at_s: float) -> dict[str, float]:
    """Requests per second by zone: straight from one knot to the next, held before the first and after the last."""
    knots = crowd.knots
    for before, after in pairwise(knots):
        if before.at_s <= at_s < after.at_s:
            share = (at_s - before.at_s) / (after.at_s - before.at_s)
            return {z: _between(before.rates.get(z, 0), after.rates.get(z, 0), share) for z in _zones(crowd)}
    edge = knots[0] if at_s < knots[0].at_s else knots[-1]
    return {zone: edge.rates.get(zone, 0) for zone in _zones(crowd)}


def terminal_id(number: int) -> str:
    """The name of a walker's terminal."""
    return f"ue-{number:03d}"


def session_id(number: int, app: str) -> str:
    """The name of a walker's session."""
    return f"{app}-{number:03d}"


def steps_of(walkers: Walkers, number: int) -> list[tuple[float, str]]:
    """When this walker enters which zone, in order of time."""
    share = number / max(1, walkers.count)
    return [(leg.at_s + leg.over_s * share, leg.zone) for leg in walkers.path]


def zone_at(walkers: Walkers, number: int, at_s: float) -> str:
    """The zone in which a walker is; empty before it came."""
    entered = [zone for when_s, zone in steps_of(walkers, number) if when_s <= at_s]
    return entered[-1] if entered else ""


def is_in_handover(walkers: Walkers, number: int, at_s: float) -> bool:
    """Whether the walker's radio is changing zones, in which time it asks for nothing."""
    changes = [when_s for when_s, _ in steps_of(walkers, number)][1:]
    return any(when_s <= at_s < when_s + walkers.handover_ms / 1000 for when_s in changes)


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share


def _zones(crowd: Crowd) -> list[str]:
    return list(dict.fromkeys(zone for knot in crowd.knots for zone in knot.rates))
