"""An ingress's weights: spilled, renewed, drained, lifted, expired, said again."""

from __future__ import annotations

from edge_control.controllers.outputs import Output
from schemas.commands import Command, Share, SpillParams
from schemas.decisions import Decision, GateResult, Reason, Verdict
from schemas.inventory import Health, RegionInventory, SiteHealth, SiteInventory
from schemas.policy import Pause
from schemas.requests import DrainSite, Spilled
from schemas.statuses import CommandState
from tests.edge_control.site_world import SiteWorld, app, bodies
from topics import catalogue as cat

TO_B = Share(site_id="b", permille=300, endpoint="http://b")
TO_C = Share(site_id="c", permille=200, endpoint="http://c")


def sent(outputs: list[Output]) -> list[tuple[str, tuple[Share, ...]]]:
    """The spill commands as (action, shares)."""
    commands = bodies(outputs, Command)
    return [(c.action.value, c.params.shares) for c in commands if isinstance(c.params, SpillParams)]


def ready() -> SiteWorld:
    site = SiteWorld(app(), sites=("a", "b", "c"))
    site.batch()
    return site


def drain(site: SiteWorld, peer: str, for_ms: int) -> list[Output]:
    until_ms = site.now_ms + for_ms if for_ms else 0
    return site.give(DrainSite(site_id=peer, until_ms=until_ms, at_ms=site.now_ms))


def test_a_spill_is_commanded_and_answered_once_the_ingress_has_applied_it() -> None:
    site = ready()
    said = site.spill("s1", TO_B)
    (command,) = bodies(said, Command)
    (decision,) = bodies(said, Decision)
    assert isinstance(command.params, SpillParams)
    assert (command.action, command.params.shares, command.params.until_ms) == (
        "Offload",
        (TO_B,),
        site.now_ms + 60_000,
    )
    assert (decision.verdict, decision.final, decision.command_id) == (Verdict.OFFLOAD, 300, command.command_id)
    assert {note.result for note in decision.gates} == {GateResult.PASS}
    (reply,) = bodies(site.answer(command), Spilled)
    assert (reply.request_id, reply.granted, reply.generation) == ("s1", True, 1)


def test_a_renewal_says_the_same_shares_with_a_later_end_and_decides_nothing() -> None:
    site = ready()
    site.obey(site.spill("s1", TO_B))
    site.wait(20_000)
    said = site.spill("s2", TO_B)
    assert bodies(said, Decision) == []
    assert sent(said) == [("Offload", (TO_B,))]
    assert [reply.request_id for reply in bodies(site.obey(said), Spilled)] == ["s2"]


def test_a_pause_withholds_growth_but_lets_a_renewal_pass() -> None:
    site = ready()
    (first,) = bodies(site.spill("s1", TO_B), Command)
    site.answer(first)
    (again,) = bodies(site.spill("s2", TO_B), Command)
    (unconfirmed,) = bodies(site.spill("s3", TO_B), Command)
    site.answer(unconfirmed)
    (grown,) = bodies(site.spill("s4", TO_B, TO_C), Command)
    assert [command.opening for command in (first, again, unconfirmed, grown)] == [True, False, True, True]


def test_a_later_generation_answers_the_requests_before_it() -> None:
    site = ready()
    site.spill("s1", TO_B)
    (command,) = bodies(site.spill("s2", TO_B, TO_C), Command)
    assert [reply.request_id for reply in bodies(site.answer(command), Spilled)] == ["s1", "s2"]


def test_a_spill_that_nobody_renews_is_reverted_at_its_end() -> None:
    site = ready()
    site.obey(site.spill("s1", TO_B))
    assert sent(site.wait(59_750)) == []
    said = site.wait(500)
    assert sent(said) == [("Revert", ())]
    (decision,) = bodies(said, Decision)
    assert (decision.verdict, decision.reason, decision.final) == (Verdict.REVERT, Reason.EXPIRED, 0)


def test_an_unanswered_spill_is_said_again_until_it_ends() -> None:
    site = ready()
    (first,) = bodies(site.spill("s1", TO_B), Command)
    (again,) = bodies(site.wait(5_500), Command)
    assert (first.generation, again.generation) == (1, 2)
    (after_failure,) = bodies(site.answer(again, CommandState.FAILED), Command)
    assert after_failure.generation == 3


def test_a_suspect_peer_gets_nothing_and_its_share_comes_back_when_it_is_alive() -> None:
    site = ready()
    site.obey(site.spill("s1", TO_B, TO_C))
    drained = drain(site, "b", 60_000)
    assert sent(drained) == [("Offload", (TO_C,))]
    assert [d.verdict for d in bodies(drained, Decision)] == [Verdict.DRAIN]
    assert drain(site, "b", 60_000) == [], "a renewed drain changes nothing"
    lifted = drain(site, "b", 0)
    assert sent(lifted) == [("Offload", (TO_B, TO_C))]
    assert [d.reason for d in bodies(lifted, Decision)] == [Reason.SITE_ALIVE]


def test_a_drain_that_is_not_renewed_ends_by_itself() -> None:
    site = ready()
    site.obey(site.spill("s1", TO_B))
    site.obey(drain(site, "b", 10_000))
    assert sent(site.wait(9_750)) == []
    assert sent(site.wait(500)) == [("Offload", (TO_B,))]


def test_a_new_spill_respects_the_drain_in_force() -> None:
    site = ready()
    drain(site, "b", 60_000)
    assert sent(site.spill("s1", TO_B, TO_C)) == [("Offload", (TO_C,))]


def test_a_site_does_not_drain_itself() -> None:
    site = ready()
    assert drain(site, "a", 60_000) == []
    assert site.controller.books.sites["a"].drains == {}


def test_more_traffic_to_a_sick_site_or_in_a_pause_is_refused_and_less_always_passes() -> None:
    site = ready()
    site.obey(site.spill("s1", TO_B, TO_C))
    sick = SiteHealth(site_id="b", health=Health.SUSPECT, since_ms=1)
    site.declare(cat.INVENTORY, "bay", RegionInventory(region_id="bay", generation=1, as_of_ms=1, sites=(sick,)))
    more = Share(site_id="b", permille=400)
    (refused,) = bodies(site.spill("s2", more), Spilled)
    assert (refused.granted, refused.reason) == (False, "unhealthy-target")
    site.declare(cat.POLICY, "pause/all", Pause(scope="all", until_ms=site.now_ms + 9_000, why="w", by="b"))
    assert sent(site.spill("s3", TO_C)) == [("Offload", (TO_C,))]


def test_the_site_row_shows_what_leaves_the_ingress() -> None:
    site = ready()
    site.spill("s1", TO_B)
    site.wait(1_000)
    (row,) = bodies(site.wait(250) + site.batch(), SiteInventory) or bodies(site.said, SiteInventory)[-1:]
    assert [(spill.app_id, spill.to_site, spill.permille) for spill in row.spill] == [("video", "b", 300)]


def test_an_ingress_that_was_started_anew_gets_its_shares_again_at_its_hello() -> None:
    site = ready()
    site.hello(boot="x1")
    site.obey(site.spill("s1", TO_B))
    assert sent(site.hello(boot="x1")) == []
    said = site.hello(boot="x2")
    assert sent(said) == [("Offload", (TO_B,))]
    site.obey(said)
    assert site.controller.books.routes["video@a"].applied == 2
    site.wait(70_000)
    assert sent(site.hello(boot="x3")) == []
