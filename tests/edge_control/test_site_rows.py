"""What a site publishes and reports, and how seldom."""

from __future__ import annotations

from itertools import pairwise

from edge_control.controllers.site import SiteController
from schemas.inventory import NodeInventory, SiteInventory
from schemas.requests import SiteReport
from tests.edge_control.site_world import SiteWorld, app, bodies, node, rows_of


def test_the_site_row_adds_up_and_names_its_apps() -> None:
    site = SiteWorld(app())
    site.traffic(160, 20)
    site.wait(2_000)
    row = bodies(site.said, SiteInventory)[-1]
    cpu = row.rooms[0]
    assert (cpu.capacity, cpu.allocatable, cpu.used, cpu.reserved, cpu.free) == (16_000, 16_000, 2_000, 0, 14_000)
    assert [(a.app_id, a.desired, a.ready, a.own, a.demand_milli) for a in row.apps] == [("video", 2, 2, 2, 2_000)]
    assert (row.region_id, row.tier, row.coverage_permille, row.nodes.ready) == ("bay", "access", 1_000, 2)


def test_rows_and_reports_come_at_most_once_a_second_and_their_generation_grows() -> None:
    site = SiteWorld(app())
    for step in range(40):
        site.batch()
        site.load(100 + 10 * step, sequence=step + 1)
        site.wait(250)
    rows = bodies(site.said, SiteInventory)
    assert 8 <= len(rows) <= 11
    assert [row.generation for row in rows] == list(range(1, len(rows) + 1))
    times = [report.at_ms for report in bodies(site.said, SiteReport)]
    assert all(later - sooner >= 1_000 for sooner, later in pairwise(times))


def test_a_quiet_site_repeats_its_row_every_five_seconds_only_while_it_reports() -> None:
    site = SiteWorld()
    for _ in range(20):
        site.batch()
        site.wait(1_000)
    assert 4 <= len(bodies(site.said, SiteInventory)) <= 6
    before = len(site.said)
    site.wait(5_000)
    site.wait(60_000)
    assert len(bodies(site.said[before:], SiteInventory)) <= 1


def test_nodes_are_published_twice_a_minute_and_when_their_condition_changes() -> None:
    site = SiteWorld()
    for _ in range(60):
        site.batch(node("a1", site.now_ms))
        site.wait(1_000)
    assert len(bodies(site.said, NodeInventory)) == 2


def test_a_report_says_demand_in_thousandths_of_a_replica_and_what_others_serve() -> None:
    site = SiteWorld(app())
    site.batch()
    (report,) = bodies(site.load(160, served_elsewhere=40), SiteReport)
    assert (report.demand_milli, report.desired, report.ready) == (2_000, 2, 0)
    assert (report.served_elsewhere_permille, report.coverage_permille) == (250, 1_000)


def test_all_public_rows_can_be_said_again_after_a_takeover() -> None:
    site = SiteWorld(app())
    site.traffic(160, 6)
    fresh = SiteController(0)
    for old, new in zip(site.controller.tables, fresh.tables, strict=True):
        for key in old:
            new.load(key, old.encoded(key))
    fresh.rebuild()
    assert rows_of(fresh) == site.rows()
    said = [(output.key, output.event_id) for output in fresh.public_rows()]
    assert said == [(output.key, output.event_id) for output in site.controller.public_rows()]
    assert [key for key, _ in said] == ["a", "a1", "a2"]
