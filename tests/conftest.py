"""What every test may lean on: the broker ladder, names of its own on a shared broker, and programs that are there."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from typing import NoReturn

import pytest

from edgeweir.dev.broker import Broker
from edgeweir.dev.errors import Missing
from edgeweir.dev.kit import Kit
from edgeweir.dev.places import Places
from edgeweir.dev.runs import Run, reap_stale
from edgeweir.dev.server_properties import TEST_SETTINGS
from tests.kafka.ladder import headline, serve

PACKAGES = {"named": "bind9", "knotd": "knot", "nft": "nftables", "ip": "iproute2", "amtool": "prometheus-alertmanager"}
WISHES = "auto, jvm, docker or HOST:PORT"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The rung of the ladder: `--broker`, else EDGEWEIR_TEST_BROKER, else auto."""
    wish = os.environ.get("EDGEWEIR_TEST_BROKER") or "auto"
    parser.addoption("--broker", default=wish, metavar="RUNG", help=f"where Kafka comes from: {WISHES}")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a rung that does not exist, before anything runs."""
    wish = config.getoption("broker")
    if wish not in {"auto", "jvm", "docker"} and not re.fullmatch(r"[^:\s]+:\d+", wish):
        raise pytest.UsageError(f"--broker={wish}: known are {WISHES}")


def pytest_report_header(config: pytest.Config) -> str:
    """Which rung a test that asks for a broker will get."""
    wish = config.getoption("broker")
    return f"broker: {wish} -> {headline(wish, Places.from_environ(os.environ))}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program is absent; fail it where EDGEWEIR_TEST_REQUIRE names the program or its package."""
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if program == "root":
                if os.geteuid() != 0:
                    absent("this test needs root", program)
            elif shutil.which(program) is None:
                package = PACKAGES.get(program, program)
                absent(f"{program} is not installed (apt-get install {package})", program, package)


def absent(sentence: str, *names: str) -> NoReturn:
    """Something a test needs is not there: skip it, or fail it where EDGEWEIR_TEST_REQUIRE says it must be."""
    required = os.environ.get("EDGEWEIR_TEST_REQUIRE", "").replace(",", " ").split()
    if set(names) & set(required):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@pytest.fixture(scope="session")
def places() -> Places:
    """Cache and state folders as the environment says: the jars are shared with `edgeweir dev`."""
    return Places.from_environ(os.environ)


@pytest.fixture(scope="session")
def test_run(places: Places) -> Iterator[Run]:
    """The run that owns every process which tests start; nothing outlives it, and earlier dead sessions are reaped."""
    reap_stale(places)
    run = Run.open(places, f"test-{os.getpid()}")
    yield run
    asyncio.run(run.stop())
    run.close()


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, places: Places, test_run: Run) -> Iterator[str]:
    """Bootstrap address of the shared broker; use names under `topic_prefix` and never harm it."""
    wish = request.config.getoption("broker")
    try:
        with serve(wish, places, test_run) as bootstrap:
            yield bootstrap
    except Missing as missing:
        if wish != "auto":
            pytest.fail(missing.sentence, pytrace=False)
        absent(missing.sentence, "broker")


@pytest.fixture(scope="session")
def broker_kit(places: Places) -> Kit:
    """A Java and the jars, for tests that start brokers of their own."""
    try:
        return Kit.prepare(places)
    except Missing as missing:
        absent(missing.sentence, "broker")


@pytest.fixture(scope="module")
def own_broker(request: pytest.FixtureRequest, broker_kit: Kit, test_run: Run) -> Iterator[Broker]:
    """A started broker of this module alone, to be stopped, killed, frozen and restarted; sessions may be 1 s short."""
    name = "kafka-" + request.module.__name__.rsplit(".", 1)[-1].replace("_", "-")
    broker = Broker(test_run, broker_kit, name=name, settings=TEST_SETTINGS)
    asyncio.run(broker.start())
    yield broker
    asyncio.run(broker.stop())


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """A prefix for the topics of this test alone, readable in the broker's log."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).removeprefix("test-")[:40].strip("-")
    return f"{words}-{uuid.uuid4().hex[:8]}."


@pytest.fixture
def app_id(topic_prefix: str) -> str:
    """A consumer group of this test alone."""
    return f"{topic_prefix}app"
