"""The share of an ingress's traffic that other sites answered, as the ingress measured it, against what was ordered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from edgeweir.dev.expect import Found, Ground
from edgeweir.dev.facts import Ordered
from edgeweir.dev.scenario import Expected
from schemas.commands import SpillParams
from schemas.telemetry import AppLoad

WITHIN_PERMILLE: Final = 50
_SETTLE_MS: Final = 1_000
_LEAST_MS: Final = 3_000


class Span(msgspec.Struct, frozen=True):
    """From when to when an ingress was told to send these shares away, and by which order first."""

    from_ms: int
    to_ms: int
    shares: tuple[tuple[str, int], ...]
    ordered: Ordered


def share_of_spill(expected: Expected, ground: Ground) -> Found:
    """The first order, its success, and the share measured over the longest time in which the order stood."""
    spans = [s for s in _spans(expected, ground) if s.shares and s.ordered.at_ms >= ground.at_ms(expected.from_s)]
    if not spans:
        return Found()
    first, best = spans[0], max(spans, key=lambda span: span.to_ms - span.from_ms)
    site_id = best.ordered.command.target.site_id
    ordered = sum(permille for _, permille in best.shares)
    loads = ground.facts.loads.get((site_id, expected.resource.partition("@")[0]), [])
    measured = measured_permille(loads, best.from_ms + _SETTLE_MS, best.to_ms, [name for name, _ in best.shares])
    effect = f"{_words(best.shares)}; ordered {ordered / 10:.1f} %"
    if measured is None or best.to_ms - best.from_ms < _LEAST_MS:
        return Found(made_ms=first.ordered.at_ms, done_ms=first.from_ms, effect=effect, fault="share not yet measured")
    off = abs(measured - ordered)
    return Found(
        made_ms=first.ordered.at_ms,
        done_ms=first.from_ms,
        effect=f"{effect}, measured {measured / 10:.1f} %",
        fault=f"{off / 10:.1f} points off" if off > WITHIN_PERMILLE else "",
        decision_id=first.ordered.command.decision_id,
    )


def measured_permille(loads: Sequence[AppLoad], from_ms: int, to_ms: int, sites: Sequence[str]) -> int | None:
    """Of the requests of the ingress's own users in the time, how many those sites answered; None without any."""
    within = [
        load for load in loads if from_ms <= load.observed_at_ms - load.interval_ms and load.observed_at_ms <= to_ms
    ]
    own = sum(max(0, load.requests - load.hosted_for_others) for load in within)
    away = sum(part.requests for load in within for part in load.served_by if part.site_id in sites)
    return away * 1000 // own if own else None


def _spans(expected: Expected, ground: Ground) -> list[Span]:
    """What the ingress was told, from each success to the next that said something else."""
    told = [
        (done_ms, o, _shares(o.command.params))
        for o in ground.facts.commands.values()
        if isinstance(o.command.params, SpillParams) and o.command.resource.id == expected.resource
        if (done_ms := o.done_ms()) is not None
    ]
    told.sort(key=lambda entry: entry[0])
    spans: list[Span] = []
    for done_ms, ordered, shares in told:
        if spans and spans[-1].shares == shares:
            continue
        if spans:
            spans[-1] = msgspec.structs.replace(spans[-1], to_ms=done_ms)
        spans.append(Span(done_ms, ground.newest_load_ms(), shares, ordered))
    return spans


def _shares(params: SpillParams) -> tuple[tuple[str, int], ...]:
    return tuple((share.site_id, share.permille) for share in params.shares if share.permille)


def _words(shares: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{site} {permille / 10:.1f} %" for site, permille in shares)
