"""The stadium in virtual time: the four real controllers over emulated sites, from the first user to the last."""

from __future__ import annotations

from collections.abc import Callable

from edge_control.controllers.app import AppController
from edge_control.controllers.region import RegionController
from edge_control.controllers.site import SiteController
from edge_control.controllers.terminal import TerminalController
from edgeweir.lab.plant import Copy, Plant
from edgeweir.lab.world import Sent, World
from schemas.apps import AppKind, AppSpec, Bounds, Cost, LocationConstraint, PerReplica
from schemas.commands import Action, Command, MoveParams, RuleParams, ScaleParams, SpillParams
from schemas.decisions import Decision, HealthDecision
from schemas.estate import Region, Site, Tenant, Tier, Zone
from schemas.inventory import AppInventory, Health, SiteInventory
from schemas.location import LocationEvent, Movement, SessionEvent, SessionState
from schemas.policy import FailoverPolicy, MigrationPolicy, OffloadPolicy, Policy, ScalingPolicy
from schemas.requests import Witness, WitnessKind
from schemas.statuses import CopyState
from topics import catalogue as cat
from topics.catalogue import Keyspace

PLACES = {
    "stadium": (Tier.ACCESS, 535_870_000, 98_990_000),
    "harbour": (Tier.ACCESS, 535_200_000, 101_900_000),
    "hill": (Tier.AGGREGATION, 534_800_000, 100_500_000),
    "far-a": (Tier.ACCESS, 536_800_000, 101_500_000),
    "far-b": (Tier.ACCESS, 533_800_000, 99_500_000),
}
POLICY = Policy(
    id="demo",
    version=1,
    scaling=ScalingPolicy(window_ms=20_000, bucket_ms=2_000, release_ms=10_000, up_step_ms=1000, panic_window_ms=2000),
    offload=OffloadPolicy(revert_ms=5_000, min_change_ms=2_000),
    migration=MigrationPolicy(),
    failover=FailoverPolicy(beat_ms=1000, evict_after_ms=20_000, witness_fresh_ms=3_000),
)


VIDEO = AppSpec(
    app_id="video",
    tenant="t",
    kind=AppKind.MEC,
    version=1,
    per_replica=PerReplica(cpu_milli=1000, mem_bytes=1 << 26, requests_per_s=20),
    bounds=Bounds(site_min=1, site_max=12),
)
GAME = AppSpec(
    app_id="game",
    tenant="t",
    kind=AppKind.MEC,
    version=1,
    per_replica=PerReplica(cpu_milli=200, mem_bytes=1 << 26, sessions=40),
    state_bytes=4096,
    cost=Cost(move_m=1),
    bounds=Bounds(site_min=1, site_max=4),
    location=LocationConstraint(sites=tuple(PLACES)),
)


def stadium() -> World:
    """Five sites, `video` without state and `game` with sessions; `hill` has most room."""
    world = World(
        {
            Keyspace.SITE: SiteController(0),
            Keyspace.TERMINAL: TerminalController(0),
            Keyspace.APP: AppController(0),
            Keyspace.REGION: RegionController(0),
        }
    )
    world.declare(cat.ESTATE, "region/bay", Region(id="bay"))
    world.declare(cat.ESTATE, "tenant/t", Tenant(id="t"))
    for name, (tier, lat_e7, lon_e7) in PLACES.items():
        site = Site(id=name, region="bay", tier=tier, lat_e7=lat_e7, lon_e7=lon_e7, ingress_url=f"http://{name}")
        world.declare(cat.ESTATE, f"site/{name}", site)
        world.declare(cat.ESTATE, f"zone/{name}-zone", Zone(id=f"{name}-zone", site=name))
        world.plants[name] = Plant(site_id=name, nodes=4 if name == "hill" else 3)
    world.declare(cat.POLICY, "policy/demo", POLICY)
    for spec in (VIDEO, GAME):
        world.declare(cat.APP, spec.app_id, spec)
    for plant in world.plants.values():
        world.send(Sent(cat.STATUS, Keyspace.SITE, plant.site_id, f"hello/{plant.site_id}", plant.hello(world.now_ms)))
    world.run(5_000)
    return world


def until(world: World, holds: Callable[[], bool], within_ms: int) -> None:
    """Let time pass until it holds; fail with what was decided when it does not."""
    start_ms = world.now_ms
    while not holds():
        assert world.now_ms - start_ms < within_ms, _story(world, start_ms)
        world.run(250)


def _story(world: World, since_ms: int) -> str:
    lines = []
    for at_ms, output in world.said:
        if at_ms >= since_ms and isinstance(output.body, Decision | HealthDecision | Command):
            lines.append(f"{at_ms - since_ms} {output.body}"[:300])
    return "\n".join(lines[-40:])


def crowd(world: World, site: str, requests_per_s: int) -> None:
    world.users[site, "video"] = requests_per_s


def ready(world: World, site: str) -> int:
    row = world.plants[site].apps.get("video")
    return row.ready if row else 0


def test_a_crowd_is_met_by_as_many_replicas_as_it_needs_and_no_more() -> None:
    world = stadium()
    crowd(world, "stadium", 40)
    until(world, lambda: ready(world, "stadium") >= 3, 15_000)
    world.run(20_000)
    assert ready(world, "stadium") == 3
    orders = [
        c.params.replicas
        for c in world.commands()
        if isinstance(c.params, ScaleParams) and c.target.site_id == "stadium"
    ]
    assert max(orders) == 3


def overflowing() -> World:
    """A crowd of 100 requests/s at a site with room for four replicas of 20."""
    world = stadium()
    crowd(world, "stadium", 100)
    until(world, lambda: bool(world.plants["stadium"].share_away("video", world.now_ms)), 30_000)
    return world


def test_what_does_not_fit_is_spilled_to_a_neighbour_that_granted_room_and_is_held() -> None:
    world = overflowing()
    world.run(30_000)
    away = world.plants["stadium"].share_away("video", world.now_ms)
    assert away, "the spill is renewed before it ends"
    assert 300 <= sum(away.values()) <= 800
    assert all(ready(world, site) > 0 for site in away)
    carried = ready(world, "stadium") * 20 + sum(ready(world, site) * 20 for site in away)
    assert carried >= 100
    row = world.view.app_rows["video"].body
    assert isinstance(row, AppInventory)
    assert 80_000 <= row.demand_milli * 20 <= 140_000 or row.demand_milli > 0


def test_when_the_crowd_goes_home_the_spill_ends_and_replicas_are_given_back() -> None:
    world = overflowing()
    crowd(world, "stadium", 5)
    until(world, lambda: not world.plants["stadium"].share_away("video", world.now_ms), 60_000)
    until(world, lambda: sum(ready(world, site) for site in PLACES if site != "stadium") <= 4, 60_000)
    until(world, lambda: ready(world, "stadium") == 1, 60_000)
    assert any(c.action is Action.SCALE_IN for c in world.commands())


def test_a_lost_node_is_replaced_within_the_site() -> None:
    world = stadium()
    crowd(world, "hill", 50)
    until(world, lambda: ready(world, "hill") >= 4, 20_000)
    world.run(2_000)
    world.plants["hill"].kill_node()
    assert ready(world, "hill") < 4
    until(world, lambda: ready(world, "hill") >= 4, 15_000)


def test_a_replica_that_crashes_alone_is_replaced() -> None:
    world = stadium()
    crowd(world, "hill", 50)
    until(world, lambda: ready(world, "hill") >= 4, 20_000)
    world.run(3_000)
    world.plants["hill"].apps["video"].ready -= 1
    until(world, lambda: ready(world, "hill") >= 4, 15_000)


def start_session(world: World, site: str, number: int = 1) -> str:
    """A user of the site starts a game there."""
    terminal, session = f"ue-{number}", f"game-{number}"
    copy = Copy(state=CopyState.ACTIVE, app_id="game", terminal_id=terminal)
    world.plants[site].copies[session] = copy
    enter = LocationEvent(
        terminal_id=terminal, event=Movement.ENTER, zone_id=f"{site}-zone", observed_at_ms=world.now_ms
    )
    began = SessionEvent(
        terminal_id=terminal,
        session_id=session,
        app_id="game",
        state=SessionState.STARTED,
        observed_at_ms=world.now_ms,
        at_site=site,
    )
    world.send(Sent(cat.LOCATION, Keyspace.TERMINAL, terminal, f"e{number}", enter))
    world.send(Sent(cat.SESSION, Keyspace.TERMINAL, terminal, f"s{number}", began))
    world.run(3_000)
    return session


def walk(world: World, to: str, number: int = 1) -> None:
    move = LocationEvent(
        terminal_id=f"ue-{number}", event=Movement.TRANSFER, zone_id=f"{to}-zone", observed_at_ms=world.now_ms
    )
    world.send(Sent(cat.LOCATION, Keyspace.TERMINAL, f"ue-{number}", f"w{number}{to}", move))


def active_at(world: World, session: str) -> list[str]:
    return [
        name
        for name, plant in world.plants.items()
        if plant.alive and session in plant.copies and plant.copies[session].state is CopyState.ACTIVE
    ]


def test_a_session_follows_its_user_with_its_counter_and_is_dropped_where_it_was() -> None:
    world = stadium()
    session = start_session(world, "stadium")
    before = world.plants["stadium"].copies[session].counter
    walk(world, "harbour")
    until(world, lambda: active_at(world, session) == ["harbour"], 120_000)
    until(world, lambda: session not in world.plants["stadium"].copies, 30_000)
    assert world.plants["harbour"].copies[session].counter >= before
    rules = [c.params for c in world.commands() if isinstance(c.params, RuleParams) and c.target.site_id == "harbour"]
    assert rules[-1].host_site == "harbour"
    assert active_at(world, session) == ["harbour"]


def kill(world: World, site: str, *, evidence: bool) -> None:
    """The whole site is gone; with evidence the infrastructure says so."""
    world.plants[site].alive = False
    if evidence:
        word = Witness(
            site_id=site, region_id="bay", kind=WitnessKind.LIFECYCLE, alive=False, at_ms=world.now_ms, by="bmc"
        )
        world.send(Sent(cat.REQUEST, Keyspace.REGION, "bay", f"gone/{site}", word))


def test_sessions_of_a_site_that_is_dead_with_evidence_live_on_from_their_checkpoint() -> None:
    world = stadium()
    session = start_session(world, "harbour")
    world.run(5_000)
    known = world.plants["harbour"].copies[session].counter
    kill(world, "harbour", evidence=False)
    until(world, lambda: world.view.health_of("harbour") is Health.SUSPECT, 15_000)
    kill(world, "harbour", evidence=True)
    until(world, lambda: world.view.health_of("harbour") is Health.DEAD, 2_000)
    until(world, lambda: len(active_at(world, session)) == 1, 30_000)
    (host,) = active_at(world, session)
    assert host != "harbour"
    assert world.plants[host].copies[session].counter >= known - 2
    rescues = [c for c in world.commands() if isinstance(c.params, MoveParams) and c.params.mode == "rescue"]
    assert len({c.command_id for c in rescues}) == 1


def test_a_silent_site_that_its_peers_see_keeps_everything() -> None:
    world = stadium()
    session = start_session(world, "hill")
    crowd(world, "hill", 30)
    world.run(10_000)
    held = ready(world, "hill")
    sent = len(list(world.commands()))
    world.plants["hill"].uplink = False
    until(world, lambda: world.view.health_of("hill") is Health.CUT_OFF, 15_000)
    world.run(60_000)
    assert (ready(world, "hill"), active_at(world, session)) == (held, ["hill"])
    assert not [c for c in list(world.commands())[sent:] if isinstance(c.params, MoveParams)]
    world.plants["hill"].uplink = True
    until(world, lambda: world.view.health_of("hill") is Health.ALIVE, 5_000)
    world.run(20_000)
    assert (ready(world, "hill"), active_at(world, session)) == (held, ["hill"])


def test_the_same_story_told_twice_gives_the_same_bytes() -> None:
    def story() -> tuple[list[tuple[str, object]], list[list[bytes | None]]]:
        world = overflowing()
        start_session(world, "stadium")
        walk(world, "harbour")
        world.run(20_000)
        tables = [table for controller in world.controllers.values() for table in controller.tables]
        return [(o.event_id, o.body) for _, o in world.said], [[t.encoded(k) for k in t] for t in tables]

    assert story() == story()


def test_a_spilled_share_never_outlives_its_end_when_the_control_plane_is_gone() -> None:
    world = overflowing()
    (spill, until_ms) = world.plants["stadium"].shares["video"]
    assert isinstance(spill, SpillParams)
    assert until_ms > world.now_ms
    world.controllers.clear()
    world.run(until_ms - world.now_ms + 250)
    assert world.plants["stadium"].share_away("video", world.now_ms) == {}


def test_published_rows_carry_numbers_that_only_grow() -> None:
    world = overflowing()
    last: dict[str, int] = {}
    for _, output in world.said:
        if isinstance(output.body, SiteInventory | AppInventory):
            assert output.body.generation > last.get(output.key, -1), output.key
            last[output.key] = output.body.generation
