"""Sites fall silent, are seen by others, die with evidence, come back: what the region controller says and permits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import pytest

from edge_control.controllers.events import Event, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.region import RegionController
from edge_control.controllers.region_rows import SiteRow
from edge_control.inventory.view import View
from schemas.apps import AppKind, AppSpec, PerReplica
from schemas.base import Message
from schemas.decisions import HealthDecision, Reason
from schemas.inventory import Health, RegionInventory
from schemas.policy import FailoverPolicy, GovernorPolicy, Pause, Policy
from schemas.requests import AskLease, Budget, DrainSite, EvacuateSite, Lease, SiteBeat, Witness, WitnessKind
from topics import catalogue as cat

M = TypeVar("M", bound=Message)
FAILOVER = FailoverPolicy(beat_ms=1000, evict_after_ms=20_000, witness_fresh_ms=3000, drain_ttl_ms=9000)


class World:
    """A region controller with a clock that the test moves."""

    def __init__(self, sites: int = 6) -> None:
        self.region, self.view, self.offset = RegionController(0), View(), 0
        self.beating = [f"s{n}" for n in range(sites)]
        self.put(cat.POLICY, "policy/p", Policy(id="p", version=1, failover=FAILOVER, governor=GovernorPolicy()))
        spec = AppSpec(app_id="game", tenant="t", kind=AppKind.SERVICE, version=1, per_replica=PerReplica())
        self.put(cat.APP, "game", spec)
        self.now_ms, self.said = 0, list[Output]()
        self.run(2000)

    def put(self, topic: cat.Topic, key: str, body: Message) -> None:
        self.view.apply(topic, key, body, 0)

    def fold(self, body: Message) -> list[Message | None]:
        self.offset += 1
        cause = f"m{self.offset}"
        event = Event(body, "bay", cat.REQUEST.name, 0, self.offset, cause, self.now_ms, self.now_ms)
        return self.keep(self.region.handle(event, self.view))

    def keep(self, outputs: list[Output]) -> list[Message | None]:
        self.region.validate()
        self.said += outputs
        return [output.body for output in outputs]

    def run(self, ms: int, *, tick: Tick | None = None, witness: Witness | None = None) -> None:
        for _ in range(ms // 1000):
            self.now_ms += 1000
            for site in self.beating:
                self.fold(SiteBeat(site_id=site, region_id="bay", at_ms=0, nodes=1, reporting=1, interval_ms=1000))
            if witness is not None:
                self.fold(witness)
            lag_ms = tick.lag_ms if tick else 0
            self.keep(self.region.handle(Tick(now_ms=self.now_ms, partition=0, lag_ms=lag_ms), self.view))

    def silence(self, *sites: str) -> None:
        self.beating = [site for site in self.beating if site not in sites]

    def health(self, site: str = "s0") -> Health:
        rows = [output.body for output in self.said if isinstance(output.body, RegionInventory)]
        return next(row.health for row in rows[-1].sites if row.site_id == site)

    def bodies(self, kind: type[M]) -> Iterator[M]:
        return (output.body for output in self.said if isinstance(output.body, kind))


def peer(*, alive: bool, by: str = "s1") -> Witness:
    return Witness(site_id="s0", region_id="bay", kind=WitnessKind.PEER, alive=alive, at_ms=0, by=by)


def test_sites_that_report_are_alive_and_ticks_that_change_nothing_say_nothing() -> None:
    world = World()
    assert world.health() is Health.ALIVE
    for table in world.region.tables:
        table.take_changes()
    assert world.region.handle(Tick(now_ms=world.now_ms + 500, partition=0), world.view) == []
    assert not any(table.dirty for table in world.region.tables)


def test_a_silent_site_that_peers_still_see_is_cut_off_and_nothing_is_drained() -> None:
    world = World()
    world.silence("s0")
    world.run(10_000, witness=peer(alive=True))
    assert world.health() is Health.CUT_OFF
    assert not list(world.bodies(DrainSite))
    assert not list(world.bodies(EvacuateSite))


def test_a_silent_site_whose_users_are_served_is_cut_off_however_long() -> None:
    world = World()
    world.silence("s0")
    served = Witness(site_id="s0", region_id="bay", kind=WitnessKind.USER_PLANE, alive=True, at_ms=0)
    world.run(60_000, witness=served)
    assert world.health() is Health.CUT_OFF


def test_a_silent_site_that_nobody_sees_is_suspect_after_three_beats_and_drained_at_once() -> None:
    world = World()
    world.silence("s0")
    world.run(4000, witness=peer(alive=False))
    assert world.health() is Health.SUSPECT
    drains = [(output.key, output.body) for output in world.said if isinstance(output.body, DrainSite)]
    assert {key for key, _ in drains} == {"s1", "s2", "s3", "s4", "s5", "game"}
    assert all(body.until_ms > world.now_ms for _, body in drains)


def test_a_drain_is_renewed_while_suspect_and_ended_when_the_site_is_back() -> None:
    world = World()
    world.silence("s0")
    world.run(12_000)
    assert len({output.event_id for output in world.said if isinstance(output.body, DrainSite)}) >= 12
    world.beating.append("s0")
    world.run(1000)
    assert world.health() is Health.ALIVE
    assert list(world.bodies(DrainSite))[-1].until_ms == 0


def test_a_suspect_is_dead_only_after_our_own_watching_of_evict_after() -> None:
    world = World()
    world.silence("s0")
    world.run(20_000)
    assert world.health() is Health.SUSPECT
    world.run(6000)
    assert world.health() is Health.DEAD
    assert len(list(world.bodies(EvacuateSite))) == 1


def test_time_in_which_we_did_not_tick_does_not_ripen_a_suspicion() -> None:
    world = World()
    world.silence("s0")
    world.run(4000)
    world.now_ms += 600_000
    for site in world.beating:
        world.fold(SiteBeat(site_id=site, region_id="bay", at_ms=0, nodes=1, reporting=1, interval_ms=1000))
    world.run(10_000)
    assert world.health() is Health.SUSPECT


def test_a_sick_observer_judges_nobody() -> None:
    world = World()
    world.silence("s0")
    world.run(60_000, tick=Tick(now_ms=0, partition=0, lag_ms=6000))
    assert world.health() in (Health.ALIVE, Health.SUSPECT)
    assert not list(world.bodies(EvacuateSite))


def test_lifecycle_evidence_makes_a_site_dead_at_once() -> None:
    world = World()
    world.silence("s0")
    evidence = Witness(site_id="s0", region_id="bay", kind=WitnessKind.LIFECYCLE, alive=False, at_ms=0, by="bmc")
    said = world.fold(evidence)
    assert any(isinstance(body, EvacuateSite) for body in said)
    decision = next(body for body in said if isinstance(body, HealthDecision))
    assert (decision.health, decision.reason) == ("dead", Reason.LIFECYCLE_EVIDENCE)
    assert any("lifecycle" in line for line in decision.evidence)


def test_many_silent_sites_are_a_cut_and_nobody_is_evacuated() -> None:
    world = World()
    world.silence("s0", "s1", "s2", "s3")
    world.run(120_000)
    assert {world.health(f"s{n}") for n in range(4)} == {Health.CUT_OFF}
    assert not list(world.bodies(EvacuateSite))
    rows = [output.body for output in world.said if isinstance(output.body, RegionInventory)]
    assert rows[-1].cut


def ask(world: World, request_id: str, *, site: str = "", target: str = "", amount: int = 1) -> Lease:
    (reply,) = world.fold(
        AskLease(
            request_id=request_id,
            reply_key="game",
            reply_keyspace="app",
            expires_at_ms=world.now_ms + 2000,
            region_id="bay",
            budget=Budget.WORKLOADS,
            amount=amount,
            site_id=site,
            target_site=target,
        )
    )
    assert isinstance(reply, Lease)
    return reply


def test_a_rescue_is_permitted_only_while_the_row_says_dead() -> None:
    world = World()
    assert ask(world, "r1", site="s0").reason == Reason.SITE_ALIVE
    world.silence("s0")
    world.run(5000, witness=peer(alive=True))
    assert ask(world, "r2", site="s0").reason == Reason.SITE_CUT_OFF
    world.fold(Witness(site_id="s0", region_id="bay", kind=WitnessKind.LIFECYCLE, alive=False, at_ms=0))
    assert ask(world, "r3", site="s0").granted


def test_the_same_wish_asked_twice_spends_once() -> None:
    world = World()
    first, again = ask(world, "r1", amount=4), ask(world, "r1", amount=4)
    assert (first.amount, first.until_ms) == (again.amount, again.until_ms)
    assert ask(world, "r2", amount=10).amount == 6


def test_in_any_window_no_more_is_leased_than_burst_and_rate_allow() -> None:
    world = World()
    granted = []
    for n in range(120):
        world.run(1000)
        granted += [(world.now_ms, ask(world, f"r{n}", amount=5).amount)]
    policy = GovernorPolicy()
    for start in range(0, 120, 7):
        for end in range(start, 120, 5):
            window_ms = granted[end][0] - granted[start][0]
            spent = sum(amount for _, amount in granted[start : end + 1])
            bound = policy.workload_moves_burst + policy.workload_moves_milli_per_s * window_ms // 1_000_000
            assert spent <= bound + 1


def test_workloads_share_one_budget_of_the_region_and_its_row_shows_the_rate_in_force() -> None:
    world = World()
    amounts = [ask(world, f"r{n}", target=f"s{n}", amount=4).amount for n in range(4)]
    assert amounts == [4, 4, 2, 0]
    world.silence("s0")
    world.run(5000)
    (budget,) = [output.body for output in world.said if isinstance(output.body, RegionInventory)][-1].budgets
    assert (budget.name, budget.rate_milli_per_s) == ("workloads", 500)


@pytest.mark.parametrize("scope", ["all", "region/bay"])
def test_the_red_button_stops_leases_until_it_ends(scope: str) -> None:
    world = World()
    world.put(cat.POLICY, f"pause/{scope}", Pause(scope=scope, until_ms=world.now_ms + 1000, why="w", by="b"))
    assert ask(world, "r1").reason == Reason.PAUSED
    world.run(1000)
    assert ask(world, "r2").granted


def test_a_takeover_in_the_middle_changes_neither_rows_nor_what_is_said() -> None:
    one, two = World(), World()
    for world in (one, two):
        world.silence("s0")
        world.run(4000, witness=peer(alive=False))
        if world is two:
            world.region = _taken_over(world.region)
        world.run(20_000)
    assert [(o.event_id, o.body) for o in one.said] == [(o.event_id, o.body) for o in two.said]
    rows = [[(k, t.encoded(k)) for t in world.region.tables for k in t] for world in (one, two)]
    assert rows[0] == rows[1]


def _taken_over(old: RegionController) -> RegionController:
    new = RegionController(old.partition)
    for source, target in zip(old.tables, new.tables, strict=True):
        for key in source:
            target.load(key, source.encoded(key))
    new.rebuild()
    return new


class Counting(RegionController):
    """Counts how often all sites of a region are looked at."""

    looks = 0

    def _sites_of(self, region_id: str) -> list[SiteRow]:
        self.looks += 1
        return super()._sites_of(region_id)


def test_the_work_of_a_beat_does_not_grow_with_the_region_while_a_site_is_sick() -> None:
    world = World()
    world.silence("s0", "s1")
    world.run(10_000)
    assert world.health() is Health.SUSPECT
    region = Counting(0)
    for table, mine in zip(world.region.tables, region.tables, strict=True):
        for key in table:
            mine.load(key, table.encoded(key))
    region.rebuild()
    world.region = region
    world.run(1_000)
    assert region.looks == 1, "four beats and a tick over two suspects"
