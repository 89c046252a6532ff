"""Everything at once in any order: the site controller never over-promises, never forgets, and replays to the byte."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_control.controllers.outputs import Output
from edge_control.inventory.amounts import covers, minus, plus
from schemas.apps import Bounds, LocationConstraint
from schemas.commands import Command, ScaleParams, Share
from schemas.decisions import Decision, Verdict
from schemas.inventory import Health, RegionInventory, SiteHealth
from schemas.policy import Pause, Policy, ScalingPolicy
from schemas.requests import DrainSite, Purpose
from schemas.statuses import CommandState, Observed
from schemas.telemetry import NodeLifecycle, NodePhase, ReplicaSample
from tests.edge_control.site_world import SiteWorld, app, bodies, node
from topics import catalogue as cat

ENDS = [state for state in CommandState if state.terminal]
HEALTHS = list(Health)


class Site(RuleBasedStateMachine):
    """One site with an unreliable executor, gateway, clock order and neighbours."""

    def __init__(self) -> None:
        super().__init__()
        policy = Policy(id="q", version=1, scaling=ScalingPolicy(release_ms=10_000, panic_hold_ms=5_000))
        pinned = app("mail", bounds=Bounds(site_min=1), location=LocationConstraint(sites=("a",)))
        self.site = SiteWorld(app(), pinned, policy=policy, sites=("a", "b", "c"))
        self.open: list[Command] = []
        self.names = 0
        self.nodes = ["a1", "a2", "a3"]
        self.ids: set[str] = set()
        self.generations: dict[tuple[str, str], int] = {}
        self.site.batch()

    def take(self, outputs: list[Output]) -> None:
        """Look at what was said."""
        for command in bodies(outputs, Command):
            key = (command.resource.type, command.resource.id)
            assert command.command_id not in self.ids, "an id is used once"
            assert command.generation > self.generations.get(key, 0), "generations grow"
            assert command.fence.revision == command.generation
            self.ids.add(command.command_id)
            self.generations[key] = command.generation
            self.open.append(command)
        for decision in bodies(outputs, Decision):
            acts = decision.outcome is None and decision.verdict in (Verdict.SCALE_OUT, Verdict.SCALE_IN)
            assert not acts or decision.gates, "every act shows its gates"

    def promise(self) -> Any:
        """Room used and reserved at the site."""
        books = self.site.controller.books
        total = plus(books.ledger.sums("a").reserved, books.ledger.sums("a").committed)
        for row in books.apps_of("a"):
            for _ in range(row.accounted):
                total = plus(total, row.unit)
        return total

    def granting(self, outputs_of: Any) -> None:
        """What grants or orders may promise more only where it fits (I1)."""
        before = self.promise()
        self.take(outputs_of())
        after, room = self.promise(), self.site.controller.books.sites["a"].totals.allocatable
        grown = minus(after, before)
        assert not (grown.cpu_milli or grown.mem_bytes) or covers(room, after), "more was promised than there is"

    @rule(ms=st.sampled_from([250, 1_000, 3_000, 20_000]))
    def time_passes(self, ms: int) -> None:
        self.granting(lambda: self.site.wait(ms, step_ms=max(250, ms // 8)))

    @rule(missing=st.sets(st.sampled_from(["a1", "a2", "a3"]), max_size=2), replicas=st.integers(0, 2))
    def the_gateway_reports(self, missing: set[str], replicas: int) -> None:
        listed = tuple(ReplicaSample(app_id="video", instance_id=f"v{n}", cpu_used_milli=400) for n in range(replicas))
        names = [name for name in self.nodes if name not in missing]
        samples = [node(name, self.site.now_ms, replicas=listed) for name in names]
        self.take(self.site.batch(*samples))

    @rule(back=st.integers(1, 5))
    def the_gateway_repeats_itself(self, back: int) -> None:
        sequence = max(1, self.site.batches["a"] - back)
        self.take(self.site.batch(sequence=sequence, observed_at_ms=self.site.now_ms - back * 1_000))

    @rule(rps=st.sampled_from([0, 40, 160, 500, 3_000]), name=st.sampled_from(["video", "mail"]))
    def users_ask(self, rps: int, name: str) -> None:
        self.granting(lambda: self.site.load(rps, name, sessions=rps // 50))

    @rule(back=st.integers(0, 4))
    def the_ingress_repeats_itself(self, back: int) -> None:
        said = self.site.loads.get("video@a", 0)
        self.take(self.site.load(160, sequence=max(0, said - back), observed_at_ms=self.site.now_ms - back * 1_000))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), state=st.sampled_from(ENDS), lie=st.integers(-1, 1))
    def the_executor_answers(self, data: st.DataObject, state: CommandState, lie: int) -> None:
        command = data.draw(st.sampled_from(self.open))
        observed = max(0, command.params.replicas + lie) if isinstance(command.params, ScaleParams) else None
        seen = observed if state in (CommandState.SUCCEEDED, CommandState.FAILED) else None
        self.take(self.site.answer(command, state, observed=seen, late=bool(lie)))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def an_answer_is_lost(self, data: st.DataObject) -> None:
        self.open.remove(data.draw(st.sampled_from(self.open)))

    @rule(replicas=st.integers(0, 4), boot=st.sampled_from(["x1", "x2", "x3"]), generation=st.integers(0, 6))
    def the_executor_says_hello(self, replicas: int, boot: str, generation: int) -> None:
        seen = min(generation, self.site.row().generation if "video@a" in self.site.controller.books.apps else 0)
        self.take(self.site.hello(Observed(resource_id="video@a", generation=seen, replicas=replicas), boot=boot))

    @rule(replicas=st.integers(0, 6), seats=st.integers(0, 3), purpose=st.sampled_from(list(Purpose)))
    def somebody_asks_for_room(self, replicas: int, seats: int, purpose: Purpose) -> None:
        self.names += 1
        name = f"r{self.names}"
        self.granting(lambda: self.site.reserve(name, replicas=replicas, seats=seats, purpose=purpose))

    @precondition(lambda self: self.names)
    @rule(data=st.data(), what=st.sampled_from(["commit", "release", "place"]), replicas=st.integers(0, 8))
    def a_reservation_is_used(self, data: st.DataObject, what: str, replicas: int) -> None:
        name = f"r{data.draw(st.integers(1, self.names))}"
        self.names += 1
        if what == "commit":
            self.granting(lambda: self.site.commit(f"c{self.names}", name))
        elif what == "release":
            self.granting(lambda: self.site.release(name))
        else:
            self.granting(lambda: self.site.place(f"p{self.names}", replicas, reservation=name))

    @rule(permille=st.integers(0, 1_000), for_ms=st.sampled_from([0, 5_000, 60_000]))
    def the_app_spills(self, permille: int, for_ms: int) -> None:
        self.names += 1
        shares = (Share(site_id="b", permille=permille),) if permille else ()
        self.take(self.site.spill(f"s{self.names}", *shares, for_ms=for_ms))

    @rule(peer=st.sampled_from(["a", "b"]), for_ms=st.sampled_from([0, 8_000]))
    def the_region_drains(self, peer: str, for_ms: int) -> None:
        until_ms = self.site.now_ms + for_ms if for_ms else 0
        self.take(self.site.give(DrainSite(site_id=peer, until_ms=until_ms)))

    @rule(phase=st.sampled_from(list(NodePhase)), name=st.sampled_from(["a1", "a2"]), whole=st.booleans())
    def the_infrastructure_speaks(self, phase: NodePhase, name: str, whole: bool) -> None:
        body = NodeLifecycle(
            node_id=name, site_id="a", phase=phase, at_ms=self.site.now_ms, source="bmc", whole_site=whole
        )
        self.take(self.site.give(body, cat.NODE_TELEMETRY))

    @rule(health=st.sampled_from(HEALTHS), site=st.sampled_from(["a", "b"]))
    def the_region_judges(self, health: Health, site: str) -> None:
        row = SiteHealth(site_id=site, health=health, since_ms=self.site.now_ms)
        body = RegionInventory(region_id="bay", generation=1, as_of_ms=self.site.now_ms, sites=(row,))
        self.site.declare(cat.INVENTORY, "bay", body)

    @rule(version=st.integers(1, 3))
    def the_owner_changes_the_spec(self, version: int) -> None:
        spec = app(version=version, bounds=Bounds(site_min=version - 1, site_max=30))
        self.site.declare(cat.APP, "video", spec)

    @rule(for_ms=st.sampled_from([1, 5_000]))
    def an_operator_pauses(self, for_ms: int) -> None:
        pause = Pause(scope="all", until_ms=self.site.now_ms + for_ms, why="w", by="b")
        self.site.declare(cat.POLICY, "pause/all", pause)

    @invariant()
    def what_is_open_is_bounded(self) -> None:
        for row in self.site.controller.books.apps_of("a"):
            assert len(row.orders) <= 16
            assert row.hold_ms <= self.site.now_ms
            assert row.due_ms == 0 or row.due_ms > self.site.now_ms - 20_000


Site.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestSite = Site.TestCase
