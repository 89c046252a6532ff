"""Fuses what gateways, single nodes and the infrastructure say of a site's nodes, and finds the lost ones."""

from __future__ import annotations

from typing import Final

from edge_control.controllers import outputs, site_load, site_presence, site_reports
from edge_control.controllers.site_rows import SiteRow
from edge_control.controllers.site_turn import Turn
from edge_control.inventory import nodes
from edge_control.inventory.guard import Guard, hear, is_newest
from edge_control.inventory.nodes import NodeRow
from schemas.policy import AdmissionPolicy, FailoverPolicy, ScalingPolicy
from schemas.telemetry import NodeLifecycle, NodePhase, NodeSample, NodeTelemetry, NodeTelemetryBatch
from topics import catalogue as cat

NODE_ROW_MS: Final = 30_000
_USUAL_INTERVAL_MS: Final = 5_000


def fuse_batch(turn: Turn, batch: NodeTelemetryBatch) -> None:
    """Take all nodes of one gateway in one interval; nodes missing from it come closer to being suspect."""
    site = turn.site(batch.site_id)
    guard = site.gateways.setdefault(batch.gateway_id, Guard())
    newest = is_newest(guard, batch.boot_id, batch.sequence)
    turn.books.sites[site.site_id] = site
    if not hear(guard, batch.boot_id, batch.sequence):
        site.duplicates += 1
        return
    at_ms = turn.observed_ms(batch.observed_at_ms)
    for sample in batch.nodes:
        _fuse(turn, site, sample, batch.gateway_id)
    if newest:
        site.interval_ms = max(1, batch.interval_ms)
        _miss(turn, site, batch, at_ms)
        site_presence.compare(turn, site)
    else:
        site.late += 1
    _conclude(turn, site, at_ms)
    site_reports.beat(turn, site, batch)
    site_reports.peers(turn, site, batch.links, at_ms)


def fuse_single(turn: Turn, sample: NodeTelemetry) -> None:
    """Take one node's own word; nobody counts intervals for it, so its silence only makes it stale."""
    site = turn.site(sample.site_id)
    turn.books.sites[site.site_id] = site
    if not _fuse(turn, site, sample, ""):
        site.duplicates += 1
        return
    _conclude(turn, site, turn.observed_ms(sample.observed_at_ms))


def take_evidence(turn: Turn, evidence: NodeLifecycle) -> None:
    """Take the infrastructure's word on a node, or on all nodes of its site."""
    site = turn.site(evidence.site_id)
    turn.books.sites[site.site_id] = site
    at_ms = turn.observed_ms(evidence.at_ms)
    rows = turn.books.nodes_of(site.site_id)
    if not evidence.whole_site:
        rows = [row for row in rows if row.node_id == evidence.node_id]
    for row in rows:
        was_lost = row.lost
        nodes.witness(row, evidence, at_ms)
        if row.lost and not was_lost:
            _lose(turn, row)
        if evidence.phase is NodePhase.REBOOTED:
            _take_replicas(turn, row)
        _keep(turn, row)
    if evidence.phase is NodePhase.REMOVED and not evidence.whole_site:
        for row in rows:
            _forget(turn, row)
    alive = [row for row in turn.books.nodes_of(site.site_id) if row.admitted and not row.lost]
    proven = evidence.phase.proves_death and (evidence.whole_site or (bool(rows) and not alive))
    site.dead_ms = at_ms if proven else site.dead_ms if not alive else 0
    if proven:
        _empty(turn, site)
    _add_up(turn, site, site.batch_ms)
    site_reports.lifecycle(turn, site, proven, evidence, at_ms)
    _judge_apps(turn, site)


def _fuse(turn: Turn, site: SiteRow, sample: NodeSample, gateway_id: str) -> bool:
    key = f"{site.site_id}/{sample.node_id}"
    at_ms = turn.observed_ms(sample.observed_at_ms)
    row = turn.books.nodes.get(key)
    if row is None:
        row = NodeRow(site_id=site.site_id, node_id=sample.node_id, generation=turn.now_ms)
        turn.books.nodes_at.setdefault(site.site_id, {})[key] = None
    elif not nodes.is_newer(row, sample, at_ms):
        return False
    nodes.absorb(row, sample, at_ms)
    row.gateway_id = gateway_id or row.gateway_id
    row.admitted = _is_admitted(turn, row)
    _keep(turn, row)
    return True


def _is_admitted(turn: Turn, row: NodeRow) -> bool:
    declared = turn.view.nodes.get(row.node_id)
    if declared is not None and declared.body.site == row.site_id:
        return declared.body.admitted
    return turn.view.policies.of(AdmissionPolicy, turn.scope(row.site_id)).mode == "auto"


def _miss(turn: Turn, site: SiteRow, batch: NodeTelemetryBatch, at_ms: int) -> None:
    limit = turn.view.policies.of(FailoverPolicy, turn.scope(site.site_id)).node_silent_intervals
    heard = {sample.node_id for sample in batch.nodes}
    for row in turn.books.nodes_of(site.site_id):
        silent = row.gateway_id == batch.gateway_id and row.node_id not in heard
        if silent and not row.lost and at_ms > row.observed_ms:
            row.missed += 1
            if row.missed >= limit:
                row.lost = True
                _lose(turn, row)
            _keep(turn, row)


def _lose(turn: Turn, row: NodeRow) -> None:
    _take_replicas(turn, row)
    row.ready = False


def _take_replicas(turn: Turn, row: NodeRow) -> None:
    for app_id, on_node in row.apps.items():
        app = turn.app(app_id, row.site_id)
        app.observed = max(0, app.observed - on_node.ready)
        turn.put_app(app)
    row.apps = {}


def _empty(turn: Turn, site: SiteRow) -> None:
    for app in turn.books.apps_of(site.site_id):
        app.observed, app.endpoints = 0, ()
        turn.put_app(app)


def _keep(turn: Turn, row: NodeRow) -> None:
    condition = row.condition
    if condition != row.published_condition or turn.now_ms >= row.published_ms + NODE_ROW_MS:
        row.generation += 1
        row.published_ms, row.published_condition = turn.now_ms, condition
        turn.outputs.append(outputs.row(nodes.published(row)))
    turn.books.nodes[f"{row.site_id}/{row.node_id}"] = row


def _forget(turn: Turn, row: NodeRow) -> None:
    key = f"{row.site_id}/{row.node_id}"
    del turn.books.nodes[key]
    turn.books.nodes_at[row.site_id].pop(key, None)
    turn.outputs.append(outputs.tombstone(cat.INVENTORY_NODE, row.node_id, row.generation + 1))


def _conclude(turn: Turn, site: SiteRow, at_ms: int) -> None:
    site.batch_ms = max(site.batch_ms, at_ms)
    _add_up(turn, site, site.batch_ms)
    if site.totals.reporting and at_ms > site.dead_ms:
        site.dead_ms = 0
    site_load.measure_cpu(turn, site, site.batch_ms)
    _judge_apps(turn, site)


def _add_up(turn: Turn, site: SiteRow, at_ms: int) -> None:
    policy = turn.view.policies.of(ScalingPolicy, turn.scope(site.site_id))
    fresh_since_ms = at_ms - policy.stale_intervals * max(site.interval_ms, _USUAL_INTERVAL_MS)
    site.totals = nodes.add_up(turn.books.nodes_of(site.site_id), fresh_since_ms)
    turn.books.sites[site.site_id] = site


def _judge_apps(turn: Turn, site: SiteRow) -> None:
    turn.touched_apps.update(turn.books.apps_at.get(site.site_id, {}))
