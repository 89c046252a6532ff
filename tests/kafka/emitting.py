"""For tests of emitters: topics under a prefix, everything that lies in them, and a gateway as a process to be killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from aiokafka import ConsumerRecord, TopicPartition

from edge_emitters.gateway import Gateway, GatewayPlan
from edge_emitters.sender import Sender
from schemas import wire
from schemas.location import SessionEvent, SessionState
from schemas.sections import KafkaSettings
from schemas.telemetry import AppLoad, NodeSample, NodeTelemetryBatch
from topics import provision
from topics.catalogue import APP_LOAD, LOCATION, NODE_TELEMETRY, SESSION
from topics.connect import Connect
from topics.topic import Topic

ROOT = Path(__file__).resolve().parents[2]
TOPICS = (NODE_TELEMETRY, APP_LOAD, SESSION, LOCATION)
Numbered = AppLoad | SessionEvent | NodeTelemetryBatch


async def opened(bootstrap: str, prefix: str) -> Connect:
    """Topics made; the way to them."""
    settings = KafkaSettings(bootstrap=bootstrap, topic_prefix=prefix, partitions=3)
    connect = Connect(settings)
    admin = connect.admin("test")
    await admin.start()
    goal = provision.wanted(settings, TOPICS)
    await provision.apply(admin, goal, provision.plan(goal, {}))
    await admin.close()
    return connect


async def lying_in(connect: Connect, topic: Topic) -> list[ConsumerRecord]:
    """All records of a topic, by partition and offset."""
    consumer = connect.consumer("test-reader")
    await consumer.start()
    try:
        places = [TopicPartition(connect.name(topic), number) for number in range(connect.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        found: list[ConsumerRecord] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


def heard(records: list[ConsumerRecord], kind: type[Numbered]) -> list[Numbered]:
    """As a receiver takes them: the first of every (key, boot, sequence); repeats must say the same."""
    first: dict[tuple[bytes, str, int], Numbered] = {}
    for record in records:
        body = wire.decode(kind, record.value)
        known = first.setdefault((record.key, body.boot_id, body.sequence), body)
        assert _but_for_waiting(known) == _but_for_waiting(body), "said again, it says the same"
    return list(first.values())


def load(number: int) -> AppLoad:
    """A load whose requests are its number."""
    return AppLoad(site_id="a", app_id="video", ingress_id="i", observed_at_ms=number, interval_ms=100, requests=number)


def session(number: int) -> SessionEvent:
    """A session of one of seven terminals, named by its number."""
    return SessionEvent(
        terminal_id=f"t-{number % 7}", session_id=f"s-{number}", app_id="video", state=SessionState.STARTED,
        observed_at_ms=number,
    )  # fmt: skip


def gateway(connect: Connect, folder: Path, *, interval_ms: int = 50, mib: int = 8) -> Gateway:
    """A gateway of site `a` with one node, soon out of patience with a broker."""
    sample = NodeSample(
        node_id="n", observed_at_ms=1, cpu_used_milli=1, cpu_allocatable_milli=2, mem_used_bytes=1, mem_allocatable_bytes=2
    )  # fmt: skip
    plan = GatewayPlan(site_id="a", folder=folder, interval_ms=interval_ms, buffer_bytes=mib * 1_048_576)
    return Gateway(connect, plan, [lambda: [sample]], way=Sender(connect, "a-gw", patience_s=1.5))


def start(bootstrap: str, prefix: str, folder: Path, count: int) -> subprocess.Popen[str]:
    """The gateway as a process: it hands in `count` loads and sessions, saying each number once it is accepted."""
    command = [sys.executable, "-m", "tests.kafka.emitting", bootstrap, prefix, str(folder), str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)


async def _serve(bootstrap: str, prefix: str, folder: str, count: int) -> None:
    connect = Connect(KafkaSettings(bootstrap=bootstrap, topic_prefix=prefix, partitions=3))
    one = gateway(connect, Path(folder))
    await one.start()
    for number in range(count):
        assert one.put_load(load(number))
        assert one.put_session(session(number))
        print(number, flush=True)
        await asyncio.sleep(0.005)
    while one.standing.waiting:  # noqa: ASYNC110 - the test waits for this line, not for an event
        await asyncio.sleep(0.05)
    print("drained", flush=True)
    await asyncio.sleep(600)


def _but_for_waiting(body: Numbered) -> bytes:
    return wire.encode_json(body).replace(b'"buffered":true,', b"").replace(b',"buffered":true', b"")


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
