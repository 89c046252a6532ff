"""The broker's settings: one node in combined mode on loopback, tuned to start small and to rejoin fast."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from edgeweir.dev.ports import LOOPBACK

FIXED = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # 50 partitions by default make the first join slow.
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "2",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # By default a broker restarted after kill -9 waits 9 s for its own old registration to die.
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "200",
    # 128 MiB of heap by default.
    "log.cleaner.dedupe.buffer.size": "2097152",
    "log.cleaner.threads": "1",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "background.threads": "2",
    "group.coordinator.threads": "1",
    # An idle broker then costs 3 % of a core.
    "metadata.max.idle.interval.ms": "10000",
    # Topics exist through `topics.provision` only.
    "auto.create.topics.enable": "false",
}

# The broker's lower bound is 6 s: tests want partitions of a killed member to move sooner.
TEST_SETTINGS: Mapping[str, str] = {"group.min.session.timeout.ms": "1000"}


class Uplink(NamedTuple):
    """A second door of the broker whose clients are told to come through another port: that of a relay."""

    port: int
    advertised_port: int


def render(ports: tuple[int, int], data: Path, overrides: Mapping[str, str], uplink: Uplink | None = None) -> str:
    """The text of server.properties for a pair of ports (Kafka, controller) and a data folder; overrides win."""
    kafka, controller = ports
    placed = {
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{kafka},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{kafka}",
        "log.dirs": str(data),
    }
    if uplink is not None:
        placed["listeners"] += f",UPLINK://{LOOPBACK}:{uplink.port}"
        placed["advertised.listeners"] += f",UPLINK://{LOOPBACK}:{uplink.advertised_port}"
        placed["listener.security.protocol.map"] = f"{FIXED['listener.security.protocol.map']},UPLINK:PLAINTEXT"
    return "".join(f"{key}={value}\n" for key, value in {**FIXED, **placed, **overrides}.items())
