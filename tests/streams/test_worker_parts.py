"""Small parts of a worker: its clock, its settings, what it refuses to start on, and what Faust is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edge_control.controllers.outputs import Output
from schemas.commands import Action, Command, CommandKind, Fence, ScaleParams, Target
from schemas.decisions import Resource
from schemas.errors import BadInput
from streams.app import make_app
from streams.engine.boot import check_topics
from streams.engine.clock import BrokerClock
from streams.engine.envelopes import Speaker, entry_of, pause_scopes
from streams.engine.lost import StartRefused
from streams.settings import read_settings
from tests.kafka.toy import CONTROLLERS
from topics.catalogue import CATALOGUE, COMMAND_SCALING, NODE_TELEMETRY
from topics.provision import Found


class Local:
    """Local clocks that a test moves."""

    def __init__(self) -> None:
        self.monotonic_ms, self.wall_s = 1000.0, 500.0

    def clock(self) -> BrokerClock:
        return BrokerClock(monotonic=lambda: self.monotonic_ms, wall=lambda: self.wall_s)


def test_time_is_the_brokers_and_a_jump_of_the_wall_clock_changes_nothing() -> None:
    local = Local()
    clock = local.clock()
    assert clock.now_ms() == 500_000
    local.monotonic_ms = 1010.0
    clock.measured(1000.0, 900_000)
    assert clock.now_ms() == 900_005
    local.wall_s += 86_400
    local.monotonic_ms += 100
    assert clock.now_ms() == 900_105


def test_of_two_measurements_the_one_with_the_shorter_way_counts_until_it_is_old() -> None:
    local = Local()
    clock = local.clock()
    local.monotonic_ms = 1002.0
    clock.measured(1000.0, 900_000)
    local.monotonic_ms = 1400.0
    clock.measured(1100.0, 999_999)
    assert clock.now_ms() == 900_399
    local.monotonic_ms = 100_000.0
    clock.measured(99_700.0, 1_000_000)
    assert clock.now_ms() == 1_000_150


def found(**differing: int) -> dict[str, Found]:
    return {t.name: Found(differing.get(t.name, 1 if t.single else 4), 1, {}) for t in CATALOGUE}


def test_a_missing_topic_is_named() -> None:
    topics = {topic: found().get(topic.name) for topic in CATALOGUE if topic is not NODE_TELEMETRY}
    with pytest.raises(
        StartRefused, match=r"topics are missing: edge\.node\.telemetry\.v1; run `edgeweir topics apply`"
    ):
        check_topics({**topics, NODE_TELEMETRY: None})


def test_a_topic_with_another_partition_count_is_named() -> None:
    rows = found(**{NODE_TELEMETRY.name: 8})
    with pytest.raises(StartRefused, match=r"has 4 partitions, but edge\.node\.telemetry\.v1 has 8"):
        check_topics({topic: rows[topic.name] for topic in CATALOGUE})


def test_settings_come_from_the_environment_and_every_fault_is_told() -> None:
    settings = read_settings({"EDGEWEIR_WORKER_TICK_MS": "250", "EDGEWEIR_WORKER_INSTANCE": "w1"})
    assert (settings.worker.tick_ms, settings.worker.instance) == (250, "w1")
    with pytest.raises(BadInput, match="2 wrong"):
        read_settings({"EDGEWEIR_WORKER_TICK_MS": "soon", "EDGEWEIR_WORKER_SESSION_TIMEOUT_S": "-1"})


def test_only_variables_with_our_prefix_reach_faust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_PORT", "1234")
    monkeypatch.setenv("TOPIC_PARTITIONS", "77")
    app = make_app(read_settings({}), CONTROLLERS)
    assert (app.conf.web_port, app.conf.topic_partitions) != (1234, 77)
    assert app.conf.web_enabled is False


def test_the_app_has_one_agent_per_controller_and_no_kafka_of_fausts() -> None:
    app = make_app(read_settings({}), CONTROLLERS)
    assert sorted(app.agents) == ["app", "region", "site", "terminal"]
    assert all(agent.help for agent in app.agents.values())
    services = list(app.boot_strategy.server())
    assert app.engine in services
    assert app.producer not in services
    assert app.consumer not in services


def test_fausts_own_command_lists_the_agents() -> None:
    command = [sys.executable, "-m", "faust", "-A", "streams.worker", "agents", "--local"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert all(f"@{name}" in shown for name in ("site", "terminal", "app", "region"))
    assert "Fuse what the sites report" in shown


def order(replicas: int = 3, name: str = "video") -> Output:
    body = Command(
        command_id="c",
        kind=CommandKind.SCALING,
        action=Action.SCALE_OUT,
        resource=Resource(type="replicas", id="video@s1"),
        target=Target(site_id="s1"),
        reply_key="s1",
        reply_keyspace="site",
        params=ScaleParams(app_id=name, replicas=replicas),
        generation=1,
        fence=Fence(owner="site/0", revision=4),
        issued_at_ms=1,
        decision_id="d",
    )
    return Output(topic=COMMAND_SCALING, key="s1", event_id="c/1", body=body, opening=True)


def test_an_opening_command_knows_the_scopes_of_pauses_that_withhold_it() -> None:
    assert pause_scopes(order()) == ("all", "site/s1", "app/video", "kind/scaling")


def test_an_oversized_output_is_our_bug_and_never_reaches_the_producer() -> None:
    with pytest.raises(AssertionError, match="does not fit"):
        entry_of(order(name="x" * 2_000_000), 1, 1, Speaker(partition=0, partitions=4))
