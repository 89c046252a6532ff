"""Room at a site: granted, committed, released, expired; replicas placed for the app controller."""

from __future__ import annotations

from typing import Any

from edge_control.controllers.outputs import Output
from schemas.apps import PerReplica, Resources
from schemas.commands import Command
from schemas.decisions import Decision, Reason, Verdict
from schemas.inventory import SiteInventory
from schemas.policy import Pause
from schemas.requests import Committed, Placed, Purpose, Reserved
from schemas.statuses import CommandState
from tests.edge_control.site_world import GIB, SiteWorld, app, bodies, node, scalings
from topics import catalogue as cat


def ready() -> SiteWorld:
    """A site of 16 cores; two are kept for evacuations."""
    site = SiteWorld(app())
    site.batch()
    return site


def granted(site: SiteWorld, name: str, replicas: int, **changes: Any) -> bool:
    """Whether so many replicas' room is granted."""
    (reply,) = bodies(site.reserve(name, replicas=replicas, **changes), Reserved)
    return reply.granted


def test_room_is_granted_once_and_asked_again_the_answer_is_the_same() -> None:
    site = ready()
    (first,) = bodies(site.reserve("r1", replicas=10), Reserved)
    (again,) = bodies(site.reserve("r1", replicas=10), Reserved)
    assert (first.granted, first.until_ms) == (True, site.now_ms + 10_000)
    assert again == first
    assert not granted(site, "r2", 5)
    assert granted(site, "r3", 4)


def test_a_refusal_says_how_much_room_there_is() -> None:
    site = ready()
    (reply,) = bodies(site.reserve("r1", replicas=15), Reserved)
    assert (reply.granted, reply.reason, reply.room.cpu_milli) == (False, "no-room", 16_000)


def test_only_an_evacuation_may_use_the_headroom() -> None:
    site = ready()
    assert granted(site, "r1", 14)
    assert not granted(site, "r2", 1)
    assert granted(site, "r3", 2, purpose=Purpose.EVACUATE)
    assert not granted(site, "r4", 1, purpose=Purpose.EVACUATE)


def test_a_reservation_ends_by_itself_and_its_commit_is_then_refused() -> None:
    site = ready()
    assert granted(site, "r1", 14)
    site.wait(10_000)
    (late,) = bodies(site.commit("c1", "r1"), Committed)
    assert (late.granted, late.reason) == (False, "expired")
    assert not granted(site, "r2", 14), "kept for a second, for commits that are on their way"
    site.wait(1_000)
    assert granted(site, "r3", 14)


def test_committed_room_stays_until_it_is_released_even_twice() -> None:
    site = ready()
    assert granted(site, "r1", 14)
    (reply,) = bodies(site.commit("c1", "r1"), Committed)
    assert reply.granted
    site.wait(60_000)
    assert not granted(site, "r2", 1)
    site.release("r1")
    site.release("r1")
    assert granted(site, "r3", 14)


def test_orders_and_grants_never_promise_more_than_there_is() -> None:
    site = ready()
    assert granted(site, "r1", 10)
    site.commit("c1", "r1")
    site.traffic(2_000, 40)
    assert site.row().own == 4
    assert not granted(site, "r2", 1)


def test_after_a_loss_nothing_is_granted_until_it_fits() -> None:
    site = ready()
    assert granted(site, "r1", 10)
    site.commit("c1", "r1")
    said: list[Output] = []
    for _ in range(3):
        site.wait(1_000)
        said = site.batch(node("a1", site.now_ms))
    (row,) = bodies(said, SiteInventory)
    cpu = row.rooms[0]
    assert (cpu.resource, cpu.allocatable, cpu.used, cpu.free) == ("cpu", 8_000, 10_000, 0)
    assert not granted(site, "r2", 1, purpose=Purpose.EVACUATE)
    site.release("r1")
    assert granted(site, "r3", 1)


def test_a_seat_needs_no_room_of_its_own_but_replicas_that_carry_it() -> None:
    per = PerReplica(cpu_milli=4_000, mem_bytes=GIB, requests_per_s=100, sessions=10)
    site = SiteWorld(app(per_replica=per))
    site.batch()
    said = site.reserve("s1", seats=1, purpose=Purpose.MOVE)
    (reply,) = bodies(said, Reserved)
    assert reply.granted
    assert site.controller.books.ledger.sums("a").reserved == Resources()
    (refused,) = bodies(site.reserve("s2", seats=40, purpose=Purpose.MOVE), Reserved)
    assert (refused.granted, refused.reason) == (False, "no-room")


def test_a_granted_seat_makes_the_site_start_a_replica_for_it() -> None:
    per = PerReplica(cpu_milli=1_000, mem_bytes=GIB, sessions=10)
    site = SiteWorld(app(per_replica=per))
    site.batch()
    site.load(0)
    said = site.reserve("s1", seats=1, purpose=Purpose.MOVE)
    assert scalings(said) == [("ScaleOut", 1)]
    site.obey(said)
    site.commit("c1", "s1")
    said = []
    for number in range(12):
        said += site.reserve(f"s{number + 2}", seats=1, purpose=Purpose.MOVE)
    assert scalings(said)[-1] == ("ScaleOut", 2)


def test_an_expired_request_is_refused_and_a_pause_closes_the_site() -> None:
    site = ready()
    (late,) = bodies(site.reserve("r1", replicas=1, expires_at_ms=site.now_ms), Reserved)
    assert late.reason == "expired"
    pause = Pause(scope="site/a", until_ms=site.now_ms + 1_000, why="w", by="b")
    site.declare(cat.POLICY, "pause/site/a", pause)
    (paused,) = bodies(site.reserve("r2", replicas=1), Reserved)
    assert paused.reason == "paused"
    site.wait(1_000)
    assert granted(site, "r3", 1)


def test_an_overflowing_site_is_never_hired() -> None:
    site = ready()
    site.traffic(2_000, 40)
    (reply,) = bodies(site.reserve("r1", replicas=1), Reserved)
    assert (reply.granted, reply.reason) == (False, "overflowing")


def test_a_reservation_becomes_an_order_and_the_asker_hears_when_replicas_answer() -> None:
    site = ready()
    site.reserve("r1", replicas=2)
    said = site.place("p1", 2, reservation="r1")
    (command,) = bodies(said, Command)
    (decision,) = [d for d in bodies(said, Decision) if d.verdict is Verdict.PLACE]
    assert (command.action, decision.reason, decision.final) == ("ScaleOut", Reason.PLACED, 2)
    assert "r1" not in site.controller.books.ledger.table
    (progress,) = bodies(site.answer(command, observed=1), Placed)
    assert (progress.request_id, progress.granted, progress.ready) == ("p1", True, 1)
    (again,) = bodies(site.wait(5_000), Command)
    (done,) = bodies(site.answer(again), Placed)
    assert done.ready == 2
    assert site.row().asks == []


def test_placed_and_own_replicas_add_up_in_every_order() -> None:
    site = ready()
    site.traffic(160, 16)
    site.reserve("r1", replicas=3)
    said = site.place("p1", 3, reservation="r1")
    assert scalings(said) == [("ScaleOut", 5)]
    site.obey(said)
    assert (site.row().own, site.row().placed, site.row().ready_for_others) == (2, 3, 3)
    said = site.place("p2", 0)
    assert scalings(said) == [("ScaleIn", 2)]
    assert [(reply.request_id, reply.ready) for reply in bodies(said, Placed)] == [("p2", 0)]


def test_an_expired_reservation_places_only_what_fits_without_it() -> None:
    site = ready()
    site.reserve("r1", replicas=4)
    site.wait(12_000)
    site.reserve("r2", replicas=12)
    (refused,) = bodies(site.place("p1", 4, reservation="r1"), Placed)
    assert (refused.granted, refused.reason) == (False, "expired")
    assert scalings(site.place("p2", 2)) == [("ScaleOut", 2)]


def test_a_place_asked_again_after_its_reservation_was_used_is_granted() -> None:
    site = ready()
    site.reserve("r1", replicas=14)
    said = site.place("p1", 14, reservation="r1")
    site.obey(said)
    (again,) = bodies(site.place("p1.2", 14, reservation="r1"), Placed)
    assert (again.granted, again.ready) == (True, 14)


def test_room_is_freed_when_the_executor_reports_and_not_when_it_is_ordered_to_stop() -> None:
    site = ready()
    site.reserve("r1", replicas=14)
    site.obey(site.place("p1", 14, reservation="r1"))
    said = site.place("p2", 0)
    assert not granted(site, "r2", 1)
    site.answer(bodies(said, Command)[0], CommandState.SUCCEEDED)
    assert granted(site, "r3", 14)


def test_an_order_that_is_no_longer_wanted_waits_for_no_answer() -> None:
    site = ready()
    site.place("p1", 3)
    site.place("p1.2", 3)
    assert [ask.request_id for ask in site.row().asks] == ["p1.2"]
    site.place("p2", 1)
    said = site.place("p3", 2)
    assert [ask.request_id for ask in site.row().asks] == ["p2", "p3"]
    assert [reply.request_id for reply in bodies(site.obey(said), Placed)] == ["p2", "p3"]
    assert site.row().asks == []
