"""One run of a demo: everybody is started, the acts are played and shown, a crashed worker is started again.

With `check` it judges at the end what was expected.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time

from edge_emitters.sender import Sender
from edgeweir.dev import lines, scenario
from edgeweir.dev.broker import Broker
from edgeweir.dev.crowd_report import CrowdBook
from edgeweir.dev.errors import NoAnswer
from edgeweir.dev.expect import Ground
from edgeweir.dev.expect_kinds import judge
from edgeweir.dev.facts import TOPICS, Facts
from edgeweir.dev.player import Player
from edgeweir.dev.policy_words import differences
from edgeweir.dev.runs import Run
from edgeweir.dev.scenario_estate import zones
from edgeweir.dev.server_properties import Uplink
from edgeweir.dev.stage import Stage
from edgeweir.dev.up import CHECK_FAILED, Options
from edgeweir.dev.view import LiveView, PlainView, View, Watched
from schemas.estate import Site
from topics import catalogue as cat
from topics.connect import Connect
from topics.tail import tail

_REFRESH_S = 0.25
_GRACE_S = 6.0
_INTERRUPTED = 130
_SLOW_START_MS = 20_000


class Demo:
    """One run of a scenario on a broker that has been started."""

    def __init__(
        self, options: Options, plan: scenario.Scenario, run: Run, door: tuple[Broker, Uplink], started_ms: int
    ) -> None:
        self._options = options
        self._plan = plan
        self._run = run
        self._started_ms = started_ms
        self._facts = Facts(started_ms)
        self._crowd = CrowdBook()
        self._stopping = asyncio.Event()
        live = tuple(site.site for site in plan.play.live)
        named = tuple(d.body.id for d in plan.documents if isinstance(d.body, Site) and not d.body.live)
        watched = Watched(self._facts, self._crowd, live, named, (plan.play.crowd.app, plan.play.walkers.app))
        self._view: View = PlainView(watched, started_ms)
        self._watched = watched
        self._stage = Stage(run, plan, door, self._tell)

    def start_crew(self) -> None:
        """Start everybody, in a main thread without a loop: that is where children may be forked."""
        self._stage.crew.start(self._options.workers)

    async def run_through(self) -> int:
        """From the topics to the end of the last child."""
        self._mind_signals()
        following: list[asyncio.Task[None]] = []
        try:
            connect = await self._stage.open()
            following.append(asyncio.create_task(self._follow(connect)))
            await self._stage.bring_up()
            for words in differences(self._plan):
                self._tell("policy", words)
            return await self._play(connect)
        finally:
            await self._end(following)

    async def _play(self, connect: Connect) -> int:
        if not await self._stage.until_served(self._facts):
            self._tell("late", "not every live site serves yet; kicked off all the same")
        kickoff_ms = _now_ms() + 1_000
        self._stage.crew.kick_off(kickoff_ms)
        self._tell("kick-off", self._plan.play.title)
        self._hints(connect)
        if sys.stdout.isatty():
            self._view = LiveView(self._watched, self._started_ms)
        sender = Sender(connect, "edgeweir-infrastructure")
        player = Player(self._stage.crew, self._stage.crew.sites, self._stage.relays, sender, self._tell)
        acts = asyncio.create_task(player.play(self._plan.play.acts, kickoff_ms))
        try:
            await self._watch(player, self._ends_ms(kickoff_ms))
            if acts.done():
                acts.result()
        finally:
            acts.cancel()
            await sender.stop()
            self._view.close()
            self._view = PlainView(self._watched, self._started_ms)
        return self._judged(kickoff_ms) if self._options.check else 0

    async def _watch(self, player: Player, ends_ms: float) -> None:
        """Until the end: show what happens, start a crashed worker again, tell who else died by accident."""
        while _now_ms() < ends_ms and not self._stopping.is_set():
            await asyncio.sleep(_REFRESH_S)
            self._crowd.read(self._stage.crew.report)
            self._view.refresh()
            for number, child in tuple(self._stage.crew.workers.items()):
                if child.returncode is not None:
                    self._tell("worker", f"{child.name} ended with {child.returncode} and is started again")
                    self._stage.crew.restart_worker(number)
            spared = {f"site-{name}" for name in player.killed} | {c.name for c in self._stage.crew.workers.values()}
            for child in self._run.children:
                essential = child.name.startswith(("site-", "emulated", "kafka", "crowd"))
                if essential and child.name not in (*spared, "kafka-format") and child.returncode is not None:
                    raise NoAnswer(f"{child.name} ended with {child.returncode}", child.tail(20))

    def _judged(self, kickoff_ms: int) -> int:
        ground = Ground(
            facts=self._facts,
            crowd=self._crowd,
            play=self._plan.play,
            command_ms=self._started_ms,
            kickoff_ms=kickoff_ms,
            zones=zones(self._plan),
        )
        found = judge(ground, _now_ms())
        _say("")
        for line in lines.table(found):
            _say(line)
        wrong = sum(not line.holds for line in found)
        _say(f"\n{len(found) - wrong} of {len(found)} expectations hold" + (f", {wrong} do not" if wrong else ""))
        if wrong:
            self._run.keep()
            _say(f"the run's folder is kept: {self._run.folder}")
        return CHECK_FAILED if wrong else 0

    async def _follow(self, connect: Connect) -> None:
        async for record in tail(connect, TOPICS, whole=True):
            self._facts.take(record)

    async def _end(self, following: list[asyncio.Task[None]]) -> None:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        self._tell("stop", "children end in order: crowd, sites, workers, Kafka")
        await self._run.stop(_GRACE_S)
        for relay in self._stage.relays.values():
            await relay.stop()

    def _mind_signals(self) -> None:
        loop = asyncio.get_running_loop()
        main = asyncio.current_task()

        def ended() -> None:
            if self._stopping.is_set():
                self._run.kill()
                os._exit(_INTERRUPTED)
            self._stopping.set()
            if main is not None and not self._facts.records:
                main.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, ended)

    def _ends_ms(self, kickoff_ms: int) -> float:
        whistle_ms = kickoff_ms + self._plan.play.whistle_s * 1000
        asked_ms = float("inf") if self._options.for_s is None else self._started_ms + self._options.for_s * 1000
        # A slow start must not cut the play short of its whistle: then the last lines could not be judged.
        return min(asked_ms + _SLOW_START_MS, whistle_ms) if self._options.check else asked_ms

    def _hints(self, connect: Connect) -> None:
        bootstrap = f"127.0.0.1:{self._run.record.ports['kafka']}"
        topic = connect.name(cat.NODE_TELEMETRY)
        _say("")
        _say(f"  produce    one JSON record to {topic} at {bootstrap}, key try: a site waits for it (README)")
        _say(f"  subscribe  edgeweir watch decisions --bootstrap {bootstrap}   (or any Kafka client: edge.decision.*)")
        _say("  stop       Ctrl-C; nothing stays behind")
        _say("")

    def _tell(self, sort: str, text: str) -> None:
        self._view.tell(sort, text)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
