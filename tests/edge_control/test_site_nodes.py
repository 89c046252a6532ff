"""Nodes fused, lost, replaced and returned; what a hello shows; what the region hears."""

from __future__ import annotations

from typing import Any

from edge_control.controllers.outputs import Output
from schemas.apps import Bounds, LocationConstraint
from schemas.commands import Command, ScaleParams
from schemas.decisions import Decision, Reason, Verdict
from schemas.estate import Node
from schemas.inventory import NodeInventory, SiteInventory
from schemas.policy import AdmissionPolicy, Policy
from schemas.requests import SiteBeat, Witness
from schemas.statuses import Observed
from schemas.telemetry import (
    Conditions,
    LinkProbe,
    NodeLifecycle,
    NodePhase,
    NodeSample,
    NodeTelemetry,
    ReplicaSample,
    ServedBy,
)
from tests.edge_control.site_world import GIB, SiteWorld, app, bodies, node, scalings
from topics import catalogue as cat

PINNED = app(bounds=Bounds(site_min=2, site_max=9), location=LocationConstraint(sites=("a",)))


def carrying(name: str, at_ms: int, replicas: int = 1) -> NodeSample:
    """A node that lists ready replicas of the app."""
    listed = tuple(ReplicaSample(app_id="video", instance_id=f"{name}-{n}") for n in range(replicas))
    return node(name, at_ms, replicas=listed)


def both(site: SiteWorld) -> tuple[NodeSample, NodeSample]:
    """Both nodes, each with one replica."""
    return carrying("a1", site.now_ms), carrying("a2", site.now_ms)


def evidence(site: SiteWorld, phase: NodePhase, node_id: str = "a2", *, whole: bool = False) -> NodeLifecycle:
    """The infrastructure speaks."""
    return NodeLifecycle(node_id=node_id, site_id="a", phase=phase, at_ms=site.now_ms, source="bmc", whole_site=whole)


def settled() -> SiteWorld:
    """Two nodes with one replica each."""
    site = SiteWorld(PINNED)
    site.obey(site.batch(*both(site)))
    site.wait(1_000)
    site.batch(*both(site))
    return site


def test_a_batch_heard_twice_counts_once() -> None:
    site = SiteWorld(app())
    site.batch()
    before = site.controller.books.nodes["a/a1"]
    site.batch(node("a1", site.now_ms + 50, cpu_used_milli=7), sequence=1)
    assert site.controller.books.nodes["a/a1"] == before
    assert site.controller.books.sites["a"].duplicates == 1


def test_batches_in_the_wrong_order_end_in_the_same_node() -> None:
    def fused(order: tuple[int, ...]) -> bytes | None:
        site = SiteWorld(app())
        start = site.now_ms
        site.now_ms += 10_000
        for number in order:
            at_ms = start + number * 1_000
            sample = node("a1", at_ms, cpu_used_milli=number * 100, boot_id="n", sequence=number)
            site.batch(sample, sequence=number, observed_at_ms=at_ms)
        return site.rows()["nodes/a/a1"]

    assert fused((1, 2, 3, 4)) == fused((2, 1, 4, 3)) == fused((1, 1, 4, 2, 3, 3))


def test_a_node_missing_from_three_batches_is_suspect_and_its_replicas_are_replaced() -> None:
    site = settled()
    said: list[Output] = []
    for _ in range(3):
        assert scalings(said) == []
        site.wait(1_000)
        said = site.batch(carrying("a1", site.now_ms))
    (command,) = bodies(said, Command)
    (decision,) = [d for d in bodies(said, Decision) if d.verdict is Verdict.SCALE_OUT]
    assert isinstance(command.params, ScaleParams)
    assert (command.params.replicas, command.params.avoid_nodes) == (2, ("a2",))
    assert (decision.reason, site.row().observed) == (Reason.NODE_LOST, 1)
    assert [row.condition for row in bodies(said, NodeInventory)] == ["suspect"]
    assert site.controller.books.sites["a"].totals.allocatable.cpu_milli == 8_000


def test_a_node_that_returns_counts_again_and_surplus_is_an_ordinary_scale_in() -> None:
    site = settled()
    said: list[Output] = []
    for _ in range(3):
        site.wait(1_000)
        said = site.batch(carrying("a1", site.now_ms))
    site.answer(bodies(said, Command)[0], observed=2)
    site.wait(1_000)
    site.batch(*both(site))
    assert site.controller.books.sites["a"].totals.allocatable.cpu_milli == 16_000
    site.wait(1_000)
    (command,) = bodies(site.hello(Observed(resource_id="video@a", generation=2, replicas=3)), Command)
    assert (command.action, site.row().wanted) == ("ScaleIn", 2)


def test_a_silent_gateway_kills_no_node() -> None:
    site = settled()
    site.wait(120_000)
    assert site.row().observed == 2
    assert not any(row.lost for row in site.controller.books.nodes_of("a"))


def test_evidence_takes_a_node_at_once_and_a_later_sample_brings_it_back() -> None:
    site = settled()
    site.wait(1_000)
    said = site.give(evidence(site, NodePhase.POWERED_OFF), cat.NODE_TELEMETRY)
    assert scalings(said) == [("ScaleOut", 2)]
    assert [row.condition for row in bodies(said, NodeInventory)] == ["powered-off"]
    site.wait(1_000)
    assert [row.condition for row in bodies(site.batch(*both(site)), NodeInventory)] == ["ready"]


def test_evidence_older_than_a_sample_is_no_evidence() -> None:
    site = settled()
    late = evidence(site, NodePhase.POWERED_OFF)
    site.wait(1_000)
    site.batch(*both(site))
    assert scalings(site.give(late, cat.NODE_TELEMETRY)) == []


def test_a_removed_node_leaves_no_row() -> None:
    site = settled()
    site.wait(1_000)
    said = site.give(evidence(site, NodePhase.REMOVED), cat.NODE_TELEMETRY)
    assert [(output.key, output.body) for output in said if output.topic is cat.INVENTORY_NODE][-1] == ("a2", None)
    assert "a/a2" not in site.controller.books.nodes


def test_a_site_proven_dead_is_told_to_the_region_and_gets_no_orders() -> None:
    site = settled()
    site.wait(1_000)
    said = site.give(evidence(site, NodePhase.FENCED, whole=True), cat.NODE_TELEMETRY)
    (witness,) = bodies(said, Witness)
    assert (witness.site_id, witness.kind, witness.alive, witness.region_id) == ("a", "lifecycle", False, "bay")
    assert site.row().observed == 0
    assert scalings(said + site.wait(20_000)) == []
    back = site.batch(*both(site))
    assert scalings(back) == [("ScaleOut", 2)]


def test_a_batch_from_before_the_proof_of_death_does_not_make_the_region_believe_in_life() -> None:
    site = settled()
    site.wait(1_000)
    late = both(site)
    taken_ms = site.now_ms
    site.wait(1_000)
    site.give(evidence(site, NodePhase.FENCED, whole=True), cat.NODE_TELEMETRY)
    site.wait(1_000)
    assert bodies(site.batch(*late, observed_at_ms=taken_ms), SiteBeat) == []
    assert len(bodies(site.batch(*both(site)), SiteBeat)) == 1


def test_a_cordoned_node_keeps_its_replicas_but_gives_no_new_room() -> None:
    site = settled()
    site.wait(1_000)
    cordoned = Conditions(ready=True, cordoned=True)
    site.batch(carrying("a1", site.now_ms), node("a2", site.now_ms, conditions=cordoned))
    totals = site.controller.books.sites["a"].totals
    assert (totals.capacity.cpu_milli, totals.allocatable.cpu_milli, totals.cordoned) == (16_000, 8_000, 1)
    assert site.row().observed == 2


def test_an_unknown_node_waits_for_admission_where_policy_says_so() -> None:
    policy = Policy(id="p", version=1, admission=AdmissionPolicy(mode="approve"))
    site = SiteWorld(app(), policy=policy)
    site.declare(cat.ESTATE, "node/a1", Node(id="a1", site="a"))
    said = site.batch()
    (row,) = bodies(said, SiteInventory)
    assert (row.nodes.admitted, row.unadmitted, row.rooms[0].allocatable) == (1, ("a2",), 8_000)
    site.declare(cat.ESTATE, "node/a2", Node(id="a2", site="a"))
    site.wait(1_000)
    (row,) = bodies(site.batch(), SiteInventory)
    assert (row.nodes.admitted, row.unadmitted) == (2, ())


def test_a_record_for_another_site_than_its_key_changes_nothing_and_is_counted() -> None:
    site = SiteWorld(app())
    site.give(NodeTelemetry(site_id="b", **_fields(site)), cat.NODE_TELEMETRY, "a")
    assert len(site.controller.books.nodes) == 0
    assert site.controller.books.sites["a"].misdirected == 1


def test_one_event_of_a_newcomer_at_a_prepared_site_leads_to_an_order() -> None:
    hello = app("hello", bounds=Bounds(site_min=1, site_max=9), location=LocationConstraint(sites=("try",)))
    site = SiteWorld(hello, sites=("try",))
    site.hello(site="try")
    body = NodeTelemetry(site_id="try", **{**_fields(site), "cpu_used_milli": 3_880, "cpu_allocatable_milli": 4_000})
    said = site.give(body, cat.NODE_TELEMETRY, "try")
    (decision,) = [d for d in bodies(said, Decision) if d.verdict is Verdict.SCALE_OUT]
    assert scalings(said) == [("ScaleOut", 2)]
    assert decision.inputs[0].values["demand_nodes_milli"] == 1_212
    site.obey(said)
    assert scalings(site.wait(60_000)) == []
    assert site.row("hello@try").observed == 2


def test_one_event_of_a_newcomer_lifts_an_app_that_runs_at_its_minimum() -> None:
    hello = app("hello", bounds=Bounds(site_min=1, site_max=9), location=LocationConstraint(sites=("try",)))
    site = SiteWorld(hello, sites=("try",))
    site.obey(site.give(NodeTelemetry(site_id="try", **_fields(site)), cat.NODE_TELEMETRY, "try"))
    assert site.row("hello@try").observed == 1
    site.wait(60_000)
    hot = {**_fields(site), "node_id": "my-1", "cpu_used_milli": 3_900, "cpu_allocatable_milli": 4_000}
    said = site.give(NodeTelemetry(site_id="try", **hot), cat.NODE_TELEMETRY, "try")
    assert scalings(said) == [("ScaleOut", 2)]


def test_an_event_without_a_stamp_is_of_the_records_own_time() -> None:
    hello = app("hello", bounds=Bounds(site_min=1, site_max=9), location=LocationConstraint(sites=("try",)))
    site = SiteWorld(hello, sites=("try",))
    hot = {**_fields(site), "observed_at_ms": 0, "cpu_used_milli": 3_900, "cpu_allocatable_milli": 4_000}
    assert scalings(site.give(NodeTelemetry(site_id="try", **hot), cat.NODE_TELEMETRY, "try")) == [("ScaleOut", 2)]


def _fields(site: SiteWorld) -> dict[str, Any]:
    return {
        "node_id": "n1",
        "observed_at_ms": site.now_ms,
        "cpu_used_milli": 500,
        "cpu_allocatable_milli": 8_000,
        "mem_used_bytes": GIB,
        "mem_allocatable_bytes": 64 * GIB,
    }


def test_a_hello_of_a_newer_boot_counts_and_what_is_missing_is_ordered_anew() -> None:
    site = settled()
    site.hello(Observed(resource_id="video@a", generation=1, replicas=2))
    site.wait(1_000)
    said = site.hello(boot="x2")
    assert scalings(said) == [("ScaleOut", 2)]
    assert site.row().observed == 0
    late = site.hello(Observed(resource_id="video@a", generation=9, replicas=7))
    assert (scalings(late), site.row().observed) == ([], 0)


def test_a_hello_that_has_not_seen_the_newest_order_says_nothing_about_it() -> None:
    site = settled()
    site.hello(Observed(resource_id="video@a", generation=1, replicas=2))
    site.wait(1_000)
    site.load(400)
    assert site.row().wanted > 2
    site.hello(Observed(resource_id="video@a", generation=1, replicas=2))
    assert len(site.row().orders) == 1


def test_what_ran_before_us_is_adopted_as_it_is() -> None:
    site = SiteWorld(app())
    site.batch()
    said = site.hello(Observed(resource_id="video@a", kind="replicas", replicas=3))
    row = site.row()
    assert (row.own, row.observed) == (3, 3)
    assert {action for action, _ in scalings(said)} <= {"ScaleOut"}
    site.obey(said)
    assert scalings(site.traffic(10, 30)) == []


def test_an_ingress_of_the_same_name_is_not_taken_for_replicas() -> None:
    site = settled()
    site.hello(
        Observed(resource_id="video@a", kind="replicas", generation=1, replicas=2),
        Observed(resource_id="video@a", kind="ingress", generation=40),
    )
    assert (site.row().observed, site.row().generation) == (2, 1)


def test_the_region_hears_beats_once_a_second_and_peers_on_change() -> None:
    site = SiteWorld(app())
    seen = LinkProbe(to_site="b", rtt_us=900)
    first = site.batch(links=(seen,))
    (beat,) = bodies(first, SiteBeat)
    assert (beat.region_id, beat.nodes, beat.reporting) == ("bay", 2, 2)
    assert [(w.site_id, w.alive, w.by) for w in bodies(first, Witness)] == [("b", True, "a")]
    site.wait(500)
    assert bodies(site.batch(links=(seen,)), SiteBeat) == []
    lost = site.batch(links=(LinkProbe(to_site="b"),))
    assert [(w.site_id, w.alive) for w in bodies(lost, Witness)] == [("b", False)]
    site.wait(1_000)
    assert bodies(site.batch(buffered=True), SiteBeat) == []


def test_traffic_served_by_another_site_and_answers_of_an_executor_are_witnesses() -> None:
    site = settled()
    said = site.load(100, served_by=(ServedBy(site_id="b", requests=5), ServedBy(site_id="a", requests=9)))
    assert [(w.site_id, w.kind) for w in bodies(said, Witness)] == [("b", "user-plane")]
    site.wait(6_000)
    assert [(w.site_id, w.kind) for w in bodies(site.hello(), Witness)] == [("a", "ack")]
    assert bodies(site.hello(), Witness) == []
