"""What a site tells its region and its apps' controllers, each at its own limited rate."""

from __future__ import annotations

from typing import Final

from edge_control.controllers.site_rows import AppRow, SiteRow
from edge_control.controllers.site_turn import Turn
from schemas.requests import SiteBeat, SiteReport, Witness, WitnessKind
from schemas.telemetry import AppLoad, LinkProbe, NodeLifecycle, NodePhase, NodeTelemetryBatch
from topics.catalogue import Keyspace

BEAT_MS: Final = 1_000
WITNESS_MS: Final = 5_000
REPORT_MS: Final = 1_000
REPORT_AGAIN_MS: Final = 5_000


def beat(turn: Turn, site: SiteRow, batch: NodeTelemetryBatch) -> None:
    """Tell the region that the site reports.

    A batch that waited in a buffer proves nothing about now; nor does one from before the proof that all is dead.
    """
    region_id = turn.view.region_of(site.site_id)
    if not region_id or batch.buffered or site.dead_ms or not _is_due(turn, site, "beat", BEAT_MS):
        return
    body = SiteBeat(
        site_id=site.site_id,
        region_id=region_id,
        at_ms=turn.observed_ms(batch.observed_at_ms),
        nodes=site.totals.admitted,
        reporting=site.totals.reporting,
        interval_ms=site.interval_ms,
    )
    turn.tell(Keyspace.REGION, region_id, body, site.site_id)


def peers(turn: Turn, site: SiteRow, links: tuple[LinkProbe, ...], at_ms: int) -> None:
    """Tell the peers' regions whether this site's gateway reaches them; a change is told at once."""
    for link in links:
        alive = link.rtt_us is not None
        name = f"peer/{link.to_site}"
        if site.seen.get(name) is not alive:
            site.told.pop(name, None)
        site.seen[name] = alive
        _witness(turn, site, link.to_site, name, WitnessKind.PEER, alive=alive, at_ms=at_ms)


def acknowledge(turn: Turn, site: SiteRow) -> None:
    """An executor of the site spoke: its control link works."""
    _witness(turn, site, site.site_id, "ack", WitnessKind.ACK, alive=True, at_ms=turn.at_ms)


def served_elsewhere(turn: Turn, site: SiteRow, load: AppLoad) -> None:
    """Other sites answered requests of this ingress: users are served there."""
    at_ms = turn.observed_ms(load.observed_at_ms)
    for served in load.served_by:
        if served.requests and served.site_id != site.site_id:
            name = f"user/{served.site_id}"
            _witness(turn, site, served.site_id, name, WitnessKind.USER_PLANE, alive=True, at_ms=at_ms)


def lifecycle(turn: Turn, site: SiteRow, proven: bool, evidence: NodeLifecycle, at_ms: int) -> None:
    """Tell the region what the infrastructure proved about the whole site: dead, or back."""
    back = evidence.whole_site and evidence.phase is NodePhase.RETURNED
    if proven or back:
        site.told.pop("lifecycle", None)
        kind = WitnessKind.LIFECYCLE
        _witness(turn, site, site.site_id, "lifecycle", kind, alive=back, at_ms=at_ms)


def report(turn: Turn, row: AppRow, body: SiteReport) -> None:
    """Tell the app's controller about its app here: on change, or as a repeat when something was measured since."""
    last = row.report
    if last is not None:
        waited_ms = turn.now_ms - last.at_ms
        if waited_ms < REPORT_MS or (waited_ms < REPORT_AGAIN_MS and not _says_more(last, body)):
            return
    row.report = body
    turn.tell(Keyspace.APP, row.app_id, body, row.key)


def report_due_ms(row: AppRow, body: SiteReport) -> int:
    """When a report that was held back by its rate should be said; 0: none is held back."""
    last = row.report
    return last.at_ms + REPORT_MS if last is not None and _says_more(last, body) else 0


def _says_more(last: SiteReport, body: SiteReport) -> bool:
    same = (last.desired, last.ready, last.own, last.placed) == (body.desired, body.ready, body.own, body.placed)
    return not same or abs(last.demand_milli - body.demand_milli) * 100 > last.demand_milli


def _witness(turn: Turn, site: SiteRow, about: str, name: str, kind: WitnessKind, *, alive: bool, at_ms: int) -> None:
    region_id = turn.view.region_of(about)
    if region_id and _is_due(turn, site, name, WITNESS_MS):
        body = Witness(site_id=about, region_id=region_id, kind=kind, alive=alive, at_ms=at_ms, by=site.site_id)
        turn.tell(Keyspace.REGION, region_id, body, f"{kind}/{site.site_id}/{about}")


def _is_due(turn: Turn, site: SiteRow, name: str, every_ms: int) -> bool:
    if turn.now_ms < site.told.get(name, 0) + every_ms and name in site.told:
        return False
    site.told[name] = turn.now_ms
    turn.books.sites[site.site_id] = site
    return True
