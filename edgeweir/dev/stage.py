"""Sets the stage of a demo: broker with topics, everything declared, and all processes up and ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from edge_executors.http_client import BrokenError, Peer, UnsentError
from edgeweir.dev.broker import Broker
from edgeweir.dev.children import Child
from edgeweir.dev.crew import Crew
from edgeweir.dev.errors import NoAnswer
from edgeweir.dev.facts import Facts
from edgeweir.dev.ports import LOOPBACK
from edgeweir.dev.relay import Relay
from edgeweir.dev.runs import Run
from edgeweir.dev.scenario import Scenario
from edgeweir.dev.scenario_estate import documents
from edgeweir.dev.server_properties import Uplink
from schemas.sections import KafkaSettings
from topics import catalogue as cat
from topics import provision
from topics.connect import Connect
from topics.publish import publish

_DEADLINE_S = 40.0
_KICKOFF_DEADLINE_S = 15.0
_POLL_S = 0.1
_LATER = (cat.INVENTORY_NODE, cat.INVENTORY_TERMINAL, cat.STEERING, *cat.DECISIONS.values(), cat.DEAD_LETTER)
_FIRST = tuple(topic for topic in cat.CATALOGUE if topic not in _LATER)
Tell = Callable[[str, str], None]


class Stage:
    """One demo's broker, relay and crew."""

    def __init__(self, run: Run, scenario: Scenario, door: tuple[Broker, Uplink], tell: Tell) -> None:
        self.scenario = scenario
        self.relays: dict[str, Relay] = {}
        self.crew = Crew(run, scenario)
        self._broker, self._uplink = door
        self._tell = tell

    async def open(self) -> Connect:
        """Make the topics, declare the estate, then let everybody begin, those who will be cut through the relay.

        The order matters: a broker still makes partitions for seconds after it has named them, and twenty clients that
        ask for leaders ten times a second would take the processor that it needs.
        """
        bootstrap = self._broker.bootstrap
        self._tell("kafka", f"ready at {bootstrap}")
        self.connect = Connect(KafkaSettings(bootstrap=bootstrap))
        await _apply_topics(self.connect, bootstrap)
        estate = await self._declare()
        self._tell("topics", f"created, {self.connect.partitions} partitions per keyspace")
        self._tell("estate", estate)
        cut = sorted({act.site for act in self.scenario.play.acts if act.do == "cut"})
        relay = Relay(self._uplink.port)
        await relay.start(self._uplink.advertised_port)
        self.relays = dict.fromkeys(cut, relay)
        self.crew.give_orders(bootstrap, dict.fromkeys(cut, f"{LOOPBACK}:{relay.port}"))
        return self.connect

    async def bring_up(self) -> None:
        """Return once everybody is ready; NoAnswer when somebody is not."""
        await asyncio.gather(*(self._until(child, self._worker_check(n)) for n, child in self.crew.workers.items()))
        owned = [str(await asyncio.to_thread(self.crew.partitions_of, n)) for n in self.crew.workers]
        self._tell("workers", f"{len(owned)} ready, partitions {' + '.join(owned)}")
        self.crew.begin_emulated()
        await asyncio.gather(*(self._until(child, self._site_check(name)) for name, child in self.crew.sites.items()))

    async def _declare(self) -> str:
        """Write the estate, apps and policies; what was written, in words."""
        declared = documents(self.scenario, self.crew.doors)
        await publish(self.connect, declared)
        apps = sum(d.kind == "app" for d in declared)
        emulated = sum(d.kind == "site" for d in declared) - len(self.crew.sites)
        live = f"{len(self.crew.sites)} live sites (real replicas, real traffic)"
        return f"{live}, {emulated} emulated sites, {apps} apps, scenario {self.scenario.name}"

    async def until_served(self, facts: Facts) -> bool:
        """Wait until every live site has a replica of each of its apps and users are steered; False after a while."""
        play = self.scenario.play
        give_up = time.monotonic() + _KICKOFF_DEADLINE_S
        while time.monotonic() < give_up:
            if all(_serves(facts, live.site, (play.crowd.app, play.walkers.app)) for live in play.live):
                return True
            await asyncio.sleep(_POLL_S)
        return False

    async def _until(self, child: Child, is_ready: Callable[[], Awaitable[bool]]) -> None:
        give_up = time.monotonic() + _DEADLINE_S
        while time.monotonic() < give_up:
            if child.returncode is not None:
                raise NoAnswer(f"{child.name} ended with exit code {child.returncode}", child.tail())
            if await is_ready():
                return
            await asyncio.sleep(_POLL_S)
        raise NoAnswer(f"{child.name} was not ready within {_DEADLINE_S:.0f} s", child.tail())

    def _worker_check(self, number: int) -> Callable[[], Awaitable[bool]]:
        async def is_ready() -> bool:
            return await asyncio.to_thread(self.crew.is_ready, number)

        return is_ready

    def _site_check(self, site: str) -> Callable[[], Awaitable[bool]]:
        peer = Peer(self.crew.doors[site].ingress_url)

        async def is_ready() -> bool:
            try:
                return (await peer.ask("GET", "/healthz", timeout_s=1)).status == 200  # noqa: PLR2004  # HTTP's OK
            except (UnsentError, BrokenError):
                return False

        return is_ready


async def _apply_topics(connect: Connect, bootstrap: str) -> None:
    """In two steps: a broker makes partitions one by one, and what nobody needs at first shall not stand in the way."""
    settings = KafkaSettings(bootstrap=bootstrap)
    admin = connect.admin("edgeweir-dev")
    await admin.start()
    try:
        for topics in (_FIRST, _LATER):
            goal = provision.wanted(settings, topics)
            await provision.apply(admin, goal, provision.plan(goal, {}))
    finally:
        await admin.close()


def _serves(facts: Facts, site: str, apps: tuple[str, ...]) -> bool:
    row = facts.sites.get(site)
    ready = {app.app_id for app in row.apps if app.ready} if row is not None else set()
    steered = {app for app, _ in facts.steered}
    return all(app in ready and app in steered for app in apps)
