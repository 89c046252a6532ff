"""The whole demo as processes: a worker killed in the middle changes nothing, and a killed supervisor leaves nobody."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from edgeweir.dev.broker import Broker
from edgeweir.dev.expect import doubled
from edgeweir.dev.facts import TOPICS, Facts
from edgeweir.dev.kit import Kit
from edgeweir.dev.places import Places
from edgeweir.dev.runs import Run, living
from schemas.sections import KafkaSettings
from topics.connect import Connect
from topics.tail import tail

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def own_places(places: Places, tmp_path: Path) -> Places:
    """The shared cache, a state folder of this test alone."""
    return Places(cache=places.cache, state=tmp_path / "state", java=places.java, jars=places.jars)


@pytest.fixture
def demo(broker_kit: Kit, own_places: Places, tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Starts a demo and sees to it that nothing of it outlives the test."""
    started: list[Demo] = []

    def start(*options: str) -> Demo:
        started.append(Demo(own_places, tmp_path / "out.txt", options))
        return started[-1]

    yield start
    for one in started:
        one.end()


class Demo:
    """`edgeweir dev up` as a user runs it."""

    def __init__(self, places: Places, out: Path, options: tuple[str, ...]) -> None:
        self._out = out
        environ = {name: value for name, value in os.environ.items() if not name.startswith("EDGEWEIR_")}
        environ |= {"EDGEWEIR_DEV_CACHE_DIR": str(places.cache), "EDGEWEIR_DEV_STATE_DIR": str(places.state)}
        argv = [sys.executable, "-c", "from edgeweir.cli.main import app; app()", "dev", "up", *options]
        with out.open("wb") as file:
            self.process = subprocess.Popen(argv, stdout=file, stderr=subprocess.STDOUT, env=environ)

    def said(self) -> str:
        """What it has printed."""
        return self._out.read_text(errors="replace")

    def until_said(self, words: str, deadline_s: float = 90) -> None:
        """Wait until it says so."""
        give_up = time.monotonic() + deadline_s
        while words not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < give_up, self.said()
            time.sleep(0.1)

    def everybody(self) -> list[psutil.Process]:
        """All that it started, replicas too."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> None:
        """Whatever is left."""
        self.process.kill()
        self.process.wait()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def until_gone(processes: list[psutil.Process], deadline_s: float = 15) -> None:
    give_up = time.monotonic() + deadline_s
    while left := alive(processes):
        assert time.monotonic() < give_up, left
        time.sleep(0.05)


def test_a_killed_supervisor_leaves_nobody(demo: Callable[..., Demo]) -> None:
    one = demo()
    one.until_said("kick-off")
    one.until_said("sessions")  # the crowd's first line: replicas serve it
    everybody = one.everybody()
    assert len(everybody) > 10
    one.process.kill()
    until_gone(everybody)


def test_a_worker_killed_in_the_middle_changes_neither_rows_nor_effects(
    demo: Callable[..., Demo], own_places: Places, broker_kit: Kit
) -> None:
    one = demo("--for", "60s", "--keep")
    one.until_said("kick-off")
    time.sleep(18)  # in the middle of the overflow: orders, reservations and replies are under way
    children = {child.name: child.pid for child in living(own_places, "default").children}
    os.kill(children["worker-1"], signal.SIGKILL)
    one.until_said("worker-1 ended with -9 and is started again")
    assert one.process.wait(120) == 0, one.said()
    assert asyncio.run(differences(own_places, broker_kit)) == []
    assert re.search(r" 0 failed.* 0 gaps, 0 repeats", one.said().rpartition(" crowd ")[2]), one.said()


async def differences(places: Places, kit: Kit) -> list[str]:
    """What the kept cluster holds against folding the journalled inputs again; and effects that came twice."""
    run = Run.open(places, "default", keep=True)
    try:
        broker = Broker(run, kit, name="kafka")
        await broker.start()
        facts = Facts()
        connect = Connect(KafkaSettings(bootstrap=broker.bootstrap))
        async for record in tail(connect, TOPICS, whole=True, until_end=True):
            facts.take(record)
        assert any(ordered.done_ms() for ordered in facts.commands.values())
        return [*verified(broker.bootstrap), *(f"twice: {name}" for name in doubled(facts))]
    finally:
        await run.stop()
        run.close()


def verified(bootstrap: str) -> list[str]:
    """Two folds in processes with different hash seeds give the same bytes, and what was sent."""
    argv = [sys.executable, "-m", "streams.engine.verify"]
    environs = [os.environ | {"EDGEWEIR_KAFKA_BOOTSTRAP": bootstrap, "PYTHONHASHSEED": seed} for seed in ("0", "4711")]
    both = [subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE) for environ in environs]
    told = [one.communicate()[0] for one in both]
    assert told[0] == told[1]
    verdict = json.loads(told[0])
    assert verdict["rows"] > 500, verdict
    assert verdict["ids"] > 500, verdict
    return [str(sentence) for sentence in verdict["differences"]]
