"""The local broker keeps what it acknowledged over stops, power cuts and freezes, and tells plainly why it cannot start."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from edgeweir.dev.broker import Broker
from edgeweir.dev.errors import Missing, NoAnswer
from edgeweir.dev.kit import Kit
from edgeweir.dev.places import Places
from edgeweir.dev.ports import any_pair, named_pair
from edgeweir.dev.proc import started_ticks
from edgeweir.dev.runs import Run

pytestmark = pytest.mark.kafka

LONG_AGO_MS = 1_000_000_000_000


@asynccontextmanager
async def admin_of(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create(bootstrap: str, topic: str, **settings: str) -> None:
    async with admin_of(bootstrap) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=settings)])


async def send(bootstrap: str, topic: str, *values: bytes, codec: str | None = None) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type=codec) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, timestamp_ms=LONG_AGO_MS)


async def read(bootstrap: str, topic: str, count: int) -> list[ConsumerRecord[bytes, bytes]]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        return [await consumer.getone() for _ in range(count)]


async def values(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    return [record.value for record in await read(bootstrap, topic, count)]


async def test_a_clean_restart_keeps_the_records_and_the_address(own_broker: Broker, topic_prefix: str) -> None:
    address, topic = own_broker.bootstrap, f"{topic_prefix}kept"
    await create(address, topic)
    await send(address, topic, b"before")
    await own_broker.restart()
    await send(address, topic, b"after")
    assert own_broker.bootstrap == address
    assert await values(address, topic, 2) == [b"before", b"after"]


async def test_a_power_cut_keeps_what_was_acknowledged_and_the_broker_is_back_in_seconds(
    own_broker: Broker, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}kept"
    await create(own_broker.bootstrap, topic)
    await send(own_broker.bootstrap, topic, b"acknowledged")
    assert await own_broker.kill() == -9
    assert not own_broker.is_running
    began = time.monotonic()
    await own_broker.start()
    assert time.monotonic() - began < 15
    assert await values(own_broker.bootstrap, topic, 1) == [b"acknowledged"]


async def test_a_frozen_broker_answers_nobody_until_it_is_thawed(own_broker: Broker) -> None:
    own_broker.freeze()
    try:
        with pytest.raises(KafkaError):
            await AIOKafkaAdminClient(bootstrap_servers=own_broker.bootstrap, request_timeout_ms=500).start()
    finally:
        own_broker.thaw()
    async with admin_of(own_broker.bootstrap) as admin:
        assert await admin.list_topics() is not None


async def test_the_broker_stamps_a_log_append_time_topic_and_leaves_other_stamps_alone(
    own_broker: Broker, topic_prefix: str
) -> None:
    stamped, told = f"{topic_prefix}stamped", f"{topic_prefix}told"
    await create(own_broker.bootstrap, stamped, **{"message.timestamp.type": "LogAppendTime"})
    await create(own_broker.bootstrap, told)
    before_ms = time.time_ns() // 1_000_000
    for topic in (stamped, told):
        await send(own_broker.bootstrap, topic, b"x")
    (by_broker,) = await read(own_broker.bootstrap, stamped, 1)
    (by_producer,) = await read(own_broker.bootstrap, told, 1)
    assert (by_broker.timestamp_type, by_producer.timestamp_type) == (1, 0)
    assert before_ms <= by_broker.timestamp <= time.time_ns() // 1_000_000
    assert by_producer.timestamp == LONG_AGO_MS


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_what_any_producer_compressed_can_be_read(own_broker: Broker, topic_prefix: str, codec: str) -> None:
    await create(own_broker.bootstrap, topic_prefix)
    await send(own_broker.bootstrap, topic_prefix, b"squeezed " * 50, codec=codec)
    assert await values(own_broker.bootstrap, topic_prefix, 1) == [b"squeezed " * 50]


async def test_a_topic_exists_only_when_somebody_made_it(own_broker: Broker, topic_prefix: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=own_broker.bootstrap, request_timeout_ms=1000) as producer:
        with pytest.raises(KafkaError):
            await producer.send_and_wait(f"{topic_prefix}nobody-made-it", b"x")


def test_the_broker_listens_on_loopback_only(own_broker: Broker) -> None:
    listening = [c for c in psutil.Process(own_broker.child.pid).net_connections("inet") if c.status == "LISTEN"]
    assert len(listening) == 2
    assert {address.laddr.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_a_second_broker_on_the_same_folder_is_not_possible(own_broker: Broker) -> None:
    with pytest.raises(AssertionError, match="running already"):
        own_broker.start().send(None)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_a_port_taken_between_look_and_bind_is_replaced(test_run: Run, broker_kit: Kit, taken_port: int) -> None:
    free = any_pair()
    choices = iter([(taken_port, free[1]), free])
    broker = Broker(test_run, broker_kit, name="kafka-late", choose_ports=lambda: next(choices))
    await broker.start()
    assert broker.port == free[0]
    await broker.stop()


async def test_a_port_that_must_stay_is_never_replaced(own_broker: Broker) -> None:
    await own_broker.stop()
    with socket.create_server(("127.0.0.1", own_broker.port)), pytest.raises(Missing) as refused:
        await own_broker.start()
    assert refused.value.sentence.startswith(f"port {own_broker.port} on 127.0.0.1 is held by ")
    assert refused.value.exit_code == 3
    await own_broker.start()


async def test_a_named_port_that_is_busy_is_refused_before_anything_starts(
    test_run: Run, broker_kit: Kit, taken_port: int
) -> None:
    broker = Broker(test_run, broker_kit, name="kafka-named", choose_ports=lambda: named_pair(taken_port))
    with pytest.raises(Missing, match=f"port {taken_port} on 127.0.0.1 is held by"):
        await broker.start()
    assert not broker.is_running


async def test_a_broker_that_cannot_start_shows_its_log_and_its_command(test_run: Run, broker_kit: Kit) -> None:
    broker = Broker(test_run, broker_kit, name="kafka-wrong", settings={"log.segment.bytes": "many"})
    with pytest.raises(NoAnswer) as refused:
        await broker.start()
    assert refused.value.sentence == "Kafka ended with exit code 1 before it was ready"
    assert refused.value.exit_code == 5
    assert "Invalid value many for configuration log.segment.bytes" in refused.value.detail
    assert f"kafka.Kafka {broker.folder}/server.properties" in refused.value.detail


SUPERVISOR = """
import asyncio, os, sys, time
from pathlib import Path
from dataclasses import replace
from edgeweir.dev.broker import Broker
from edgeweir.dev.kit import Kit
from edgeweir.dev.places import Places
from edgeweir.dev.runs import Run
places = replace(Places.from_environ(os.environ), state=Path(sys.argv[1]))
broker = Broker(Run.open(places, "default"), Kit.prepare(places))
asyncio.run(broker.start())
print(broker.child.pid, flush=True)
time.sleep(600)
"""


def test_a_broker_dies_with_its_killed_supervisor(broker_kit: Kit, places: Places, tmp_path: object) -> None:
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        broker = int(supervisor.stdout.readline())
        supervisor.kill()
    give_up = time.monotonic() + 10
    while started_ticks(broker) is not None and time.monotonic() < give_up:
        time.sleep(0.05)
    assert started_ticks(broker) is None
