"""What a change of health makes known: the decision with its witnesses, drains, evacuation prompts, the row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge_control.controllers import outputs as out
from edge_control.controllers.events import Input
from edge_control.controllers.outputs import Output
from edge_control.controllers.region_rows import RegionRow, SiteRow
from edge_control.inventory.view import View
from edge_control.policies.failover import Assessment
from schemas.base import Message, derive_id
from schemas.decisions import HealthDecision
from schemas.inventory import BudgetRow, Health, RegionInventory
from schemas.policy import FailoverPolicy
from schemas.requests import DrainSite, EvacuateSite
from topics.catalogue import Keyspace


def announce(  # noqa: PLR0917  # the one place that turns a change of health into words
    site: SiteRow,
    previous: Health,
    found: Assessment,
    event: Input,
    view: View,
    neighbours: Iterable[str],
    policy: FailoverPolicy,
) -> list[Output]:
    """Decision, and what neighbours and apps must do now; marks when the drain was last said."""
    outputs: list[Output] = []
    if found.health is not previous:
        outputs.append(out.decision(_decision(site, previous, found, event)))
    drained = site.drained_at_ms > 0
    if found.health is Health.SUSPECT:
        site.drained_at_ms = event.now_ms
        outputs += _say_drain(site, event.now_ms + policy.drain_ttl_ms, event, view, neighbours)
    elif drained and found.health is not Health.DEAD:
        site.drained_at_ms = 0
        outputs += _say_drain(site, 0, event, view, neighbours)
    if found.health is Health.DEAD and previous is not Health.DEAD:
        outputs += _say_evacuate(site, event, view)
    return outputs


def published(region: RegionRow, sites: list[SiteRow]) -> RegionInventory:
    """The region's public row as of its last publication."""
    at_ms = region.published_at_ms
    return RegionInventory(
        region_id=region.region_id,
        generation=region.generation,
        as_of_ms=at_ms,
        cut=region.cut,
        sites=tuple(site.published(at_ms) for site in sites),
        budgets=tuple(
            BudgetRow(name=name, rate_milli_per_s=bucket.rate_milli_per_s, used=bucket.leased, leased=bucket.leased)
            for name, bucket in region.buckets.items()
        ),
    )


def evidence_of(site: SiteRow, now_ms: int) -> tuple[str, ...]:
    """The witnesses in words: who says what, and how long ago."""
    silent_ms = max(0, now_ms - site.beat_at_ms)
    words = [f"own reports: none for {silent_ms} ms" if silent_ms > site.interval_ms else "own reports: fresh"]
    words += [f"peer {by}: {_says(w.alive)} {max(0, now_ms - w.at_ms)} ms ago" for by, w in site.peers.items()]
    words += [f"{kind}: {_says(w.alive)} {max(0, now_ms - w.at_ms)} ms ago" for kind, w in site.kinds.items()]
    return tuple(words)


def _says(alive: bool) -> str:
    return "alive" if alive else "no answer"


def _decision(site: SiteRow, previous: Health, found: Assessment, event: Input) -> HealthDecision:
    return HealthDecision(
        decision_id=derive_id("health", site.site_id, event.cause_id),
        site_id=site.site_id,
        region_id=site.region_id,
        previous=str(previous),
        health=str(found.health),
        decided_at_ms=event.now_ms,
        reason=found.reason,
        evidence=evidence_of(site, event.now_ms),
        cause=event.cause,
    )


def _say_drain(site: SiteRow, until_ms: int, event: Input, view: View, neighbours: Iterable[str]) -> Iterator[Output]:
    body = DrainSite(
        site_id=site.site_id,
        until_ms=until_ms,
        evidence=evidence_of(site, event.now_ms) if until_ms else (),
        at_ms=event.now_ms,
    )
    for other in sorted(neighbours):
        if other != site.site_id:
            yield _said(Keyspace.SITE, other, f"drain-{site.site_id}", event, body)
    for app_id in sorted(view.apps):
        yield _said(Keyspace.APP, app_id, f"drain-{site.site_id}", event, body)


def _say_evacuate(site: SiteRow, event: Input, view: View) -> Iterator[Output]:
    body = EvacuateSite(site_id=site.site_id, at_ms=event.now_ms, evidence=evidence_of(site, event.now_ms))
    for app_id in sorted(view.apps):
        yield _said(Keyspace.APP, app_id, f"evacuate-{site.site_id}", event, body)


def _said(keyspace: Keyspace, key: str, kind: str, event: Input, body: Message) -> Output:
    return out.message(keyspace, key, derive_id(kind, f"{keyspace}/{key}", event.cause_id), body)
