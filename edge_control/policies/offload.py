"""Which neighbours take the overflow of an ingress, with which shares of its traffic (DECISIONS 5).

Greedy by cost over the room that is there, cloud last: within 2-4 % of the optimum; cloud-only costs 18 times as much.
Weights move only by steps that matter or after a while, and reverts are slower than spills.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from edge_control.inventory.view import View
from edge_control.policies.ranking import Need, Order, Ranking, SiteOption, rank, strangers, survey
from schemas.commands import Share
from schemas.estate import Tier
from schemas.policy import OffloadPolicy


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """What one host of an ingress's overflow may carry: replicas that answer, where, and whether it is drained."""

    site_id: str
    endpoint: str
    replicas: int
    drained: bool = False


class Pick(msgspec.Struct, frozen=True, kw_only=True):
    """So many replicas to hire at this site."""

    site_id: str
    replicas: int


def neighbours(view: View, need: Need, policy: OffloadPolicy, now_ms: int, limit: int) -> Ranking:
    """Sites that could help the ingress at `need.near`, cheapest first; traffic of real sites stays with real sites."""
    within = msgspec.structs.replace(
        need, avoid={**strangers(view, need.near), **need.avoid, need.near: "itself"}, max_age_ms=policy.max_view_age_ms
    )
    return rank(survey(view, need.spec, need.near, now_ms), within, order_for(policy), limit)


def order_for(policy: OffloadPolicy) -> Order:
    """Cloud last, then rows too old to lean on, then cost (round trip and price)."""

    def order(option: SiteOption) -> tuple[int, ...]:
        weak = option.age_ms > policy.weak_view_age_ms
        return (int(option.site.tier is Tier.CLOUD), int(weak), cost(option), option.price_milli)

    return order


def cost(option: SiteOption) -> int:
    """What one replica's worth of traffic costs there: microseconds of round trip plus thousandths of money."""
    return option.rtt_us + option.price_milli


def plan(missing: int, options: Iterable[SiteOption]) -> list[Pick]:
    """Greedy: fill the cheapest first until nothing is missing or nobody has room."""
    picks: list[Pick] = []
    for option in options:
        take = min(missing, option.room)
        if take > 0:
            picks.append(Pick(site_id=option.site.id, replicas=take))
            missing -= take
    return picks


def shares(permille: int, missing: int, bearers: Sequence[Bearer]) -> tuple[Share, ...]:
    """The ingress's overflow over its bearers by their replicas; what nobody carries stays at the ingress.

    `permille` is the share of the ingress's traffic that `missing` replicas would carry. Drained bearers get none.
    """
    able = [bearer for bearer in bearers if not bearer.drained and bearer.replicas > 0]
    whole = max(missing, sum(bearer.replicas for bearer in able), 1)
    wanted: dict[str, Share] = {}
    covered = 0
    for bearer in able:
        before, covered = covered, covered + bearer.replicas
        part = min(permille, 1000) * covered // whole - min(permille, 1000) * before // whole
        known = wanted.get(bearer.site_id)
        part += known.permille if known else 0
        wanted[bearer.site_id] = Share(site_id=bearer.site_id, permille=part, endpoint=bearer.endpoint)
    return tuple(share for share in wanted.values() if share.permille > 0)


def is_worth_telling(old: tuple[Share, ...], new: tuple[Share, ...], since_ms: int, policy: OffloadPolicy) -> bool:
    """Whether new shares replace the old ones now: another host, a big step, or long enough after the last change.

    A host that falls out is told at once: that is a drain or the end of a hire.
    """
    if old == new:
        return False
    before, after = ({s.site_id: s.permille for s in row} for row in (old, new))
    if before.keys() != after.keys():
        return True
    step = max(abs(after[name] - before[name]) for name in after)
    return step >= policy.min_change_permille or since_ms >= policy.min_change_ms


def surplus(missing: int, hires: Sequence[Pick]) -> list[int]:
    """Which hires to end (their places in `hires`, oldest first): the newest, as long as the rest still covers."""
    ended: list[int] = []
    covered = sum(hire.replicas for hire in hires)
    for place in range(len(hires) - 1, -1, -1):
        if covered - hires[place].replicas < missing:
            break
        covered -= hires[place].replicas
        ended.append(place)
    return ended
