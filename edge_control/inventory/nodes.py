"""The nodes of a site, fused: the newest sample of each, whether it counts, and what they add up to.

A node is lost when its gateway reports without it, or on evidence; a silent gateway says nothing about nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from edge_control.inventory.amounts import NONE, plus
from edge_control.inventory.tables import Row
from schemas.apps import Resources
from schemas.inventory import NodeCounts, NodeInventory
from schemas.telemetry import NodeLifecycle, NodePhase, NodeSample

_FULL: Final = 1000


class AppOnNode(msgspec.Struct, frozen=True, array_like=True):
    """Replicas of one app that a node listed as ready, and the CPU they used."""

    ready: int
    cpu_used_milli: int


class NodeRow(Row):
    """One node as last heard of.

    `missed`: batches of its gateway without it. `lost`: suspect or proven dead: it carries nothing. `evidence`: the
    last word of the infrastructure, until a later sample proves it over.
    """

    site_id: str
    node_id: str
    gateway_id: str = ""
    boot_id: str = ""
    sequence: int = 0
    observed_ms: int = 0
    used: Resources = NONE
    allocatable: Resources = NONE
    ready: bool = True
    cordoned: bool = False
    admitted: bool = True
    missed: int = 0
    lost: bool = False
    evidence: str = ""
    evidence_ms: int = 0
    apps: dict[str, AppOnNode] = msgspec.field(default_factory=dict)
    generation: int = 0
    published_ms: int = 0
    published_condition: str = ""

    @property
    def condition(self) -> str:
        """One word for users: what the node is good for."""
        if not self.admitted:
            return "unadmitted"
        if self.lost:
            return self.evidence or "suspect"
        if self.cordoned:
            return "cordoned"
        return "ready" if self.ready else "not-ready"


class SiteTotals(Row):
    """What the nodes of a site add up to; only admitted nodes that are not lost count as room.

    `allocatable` is what may be granted: nodes that are ready and not cordoned. `hottest_permille` is the CPU use of
    the busiest node whose word is fresh.
    """

    admitted: int = 0
    reporting: int = 0
    ready: int = 0
    cordoned: int = 0
    capacity: Resources = NONE
    allocatable: Resources = NONE
    used: Resources = NONE
    unadmitted: tuple[str, ...] = ()
    hottest_permille: int = 0

    @property
    def counts(self) -> NodeCounts:
        """The counts as they are published."""
        return NodeCounts(admitted=self.admitted, reporting=self.reporting, ready=self.ready, cordoned=self.cordoned)

    @property
    def coverage_permille(self) -> int:
        """Share of the admitted nodes whose word is fresh."""
        return self.reporting * 1000 // self.admitted if self.admitted else 0


def is_newer(row: NodeRow, sample: NodeSample, at_ms: int) -> bool:
    """Whether a sample tells more than the row: a later sequence of the same boot, else a later time."""
    if sample.boot_id and sample.boot_id == row.boot_id:
        return sample.sequence > row.sequence
    return at_ms > row.observed_ms


def absorb(row: NodeRow, sample: NodeSample, at_ms: int) -> None:
    """Take a sample that is newer; evidence of death is over when a later sample speaks."""
    conditions = sample.conditions
    row.boot_id, row.sequence, row.observed_ms = sample.boot_id, sample.sequence, at_ms
    row.used = Resources(
        cpu_milli=sample.cpu_used_milli, mem_bytes=sample.mem_used_bytes, gpu_milli=sample.gpu_used_milli
    )
    row.allocatable = Resources(
        cpu_milli=sample.cpu_allocatable_milli,
        mem_bytes=sample.mem_allocatable_bytes,
        gpu_milli=sample.gpu_allocatable_milli,
        net_bps=sample.net_capacity_bps,
    )
    row.ready = conditions.ready and not conditions.net_unavailable
    row.cordoned = conditions.cordoned or row.evidence == NodePhase.MAINTENANCE
    row.missed = 0
    if at_ms > row.evidence_ms:
        row.lost = False
        row.evidence = row.evidence if row.evidence == NodePhase.MAINTENANCE else ""
    row.apps = _apps_of(sample)


def _apps_of(sample: NodeSample) -> dict[str, AppOnNode]:
    apps: dict[str, AppOnNode] = {}
    for replica in sample.replicas:
        if replica.ready:
            known = apps.get(replica.app_id, AppOnNode(0, 0))
            apps[replica.app_id] = AppOnNode(known.ready + 1, known.cpu_used_milli + replica.cpu_used_milli)
    return apps


def witness(row: NodeRow, evidence: NodeLifecycle, at_ms: int) -> None:
    """Take the infrastructure's word on a node, unless it is older than what is known."""
    if at_ms < max(row.evidence_ms, row.observed_ms if evidence.phase.proves_death else 0):
        return
    row.evidence_ms, row.evidence = at_ms, evidence.phase.value
    if evidence.phase.proves_death:
        row.lost = True
    elif evidence.phase is NodePhase.MAINTENANCE:
        row.cordoned = True
    else:
        row.evidence = ""
        row.cordoned = False
        row.missed = 0


def add_up(rows: Iterable[NodeRow], fresh_since_ms: int) -> SiteTotals:
    """The site's totals; a node whose word is older than `fresh_since_ms` is not reporting but keeps its room."""
    totals = SiteTotals()
    unadmitted: list[str] = []
    for row in rows:
        if not row.admitted:
            unadmitted.append(row.node_id)
            continue
        totals.admitted += 1
        totals.cordoned += row.cordoned
        if row.lost:
            continue
        if row.observed_ms >= fresh_since_ms:
            totals.reporting += 1
            totals.hottest_permille = max(totals.hottest_permille, _cpu_permille(row))
        totals.capacity = plus(totals.capacity, row.allocatable)
        totals.used = plus(totals.used, row.used)
        if row.ready and not row.cordoned:
            totals.ready += 1
            totals.allocatable = plus(totals.allocatable, row.allocatable)
    totals.unadmitted = tuple(sorted(unadmitted))
    return totals


def _cpu_permille(row: NodeRow) -> int:
    allocatable = row.allocatable.cpu_milli
    return min(_FULL, row.used.cpu_milli * _FULL // allocatable) if allocatable else 0


def published(row: NodeRow) -> NodeInventory:
    """The node's public row."""
    return NodeInventory(
        generation=row.generation,
        as_of_ms=row.published_ms,
        node_id=row.node_id,
        site_id=row.site_id,
        condition=row.published_condition,
        cpu_used_milli=row.used.cpu_milli,
        cpu_allocatable_milli=row.allocatable.cpu_milli,
        mem_used_bytes=row.used.mem_bytes,
        mem_allocatable_bytes=row.allocatable.mem_bytes,
        admitted=row.admitted,
    )
