"""An executor on a real broker: a command becomes a replica that answers, and its statuses reach its owner's key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import ConsumerRecord

from edge_executors.site import LiveSite, NodeConfig, SiteSettings
from edgeweir.dev.broker import Broker
from schemas import cloudevents, wire
from schemas.cloudevents import Envelope
from schemas.commands import Action, Command, CommandKind, Fence, ScaleParams, Target
from schemas.decisions import Resource
from schemas.policy import Pause
from schemas.registry import full_type, type_name
from schemas.sections import KafkaSettings
from schemas.statuses import CommandState, Hello, Status
from tests.edge_executors.town import Users
from topics import provision
from topics.catalogue import COMMAND_SCALING, DEAD_LETTER, POLICY, STATUS
from topics.connect import Connect
from topics.partition import partition_of
from topics.topic import Topic

pytestmark = pytest.mark.kafka


class Owner:
    """Orders like a controller does, and hears what is said to it."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.connect = Connect(settings)
        self.heard: list[Status | Hello] = []
        self.keys: list[tuple[str, str, int]] = []

    async def open(self) -> None:
        admin = self.connect.admin("owner")
        await admin.start()
        goal = provision.wanted(self.settings)
        await provision.apply(admin, goal, provision.plan(goal, {}))
        await admin.close()
        self.producer = self.connect.producer("owner")
        await self.producer.start()
        self.consumer = self.connect.consumer("owner", auto_offset_reset="earliest")
        await self.consumer.start()
        name = self.connect.name(STATUS)
        self.consumer.assign([self._place(name, p) for p in range(self.settings.partitions)])

    async def close(self) -> None:
        await self.producer.stop()
        await self.consumer.stop()

    async def send(self, topic: Topic, key: str, body: Any, sequence: int | None = None) -> None:
        envelope = Envelope(
            id=f"{key}/{sequence}", source="/edge/worker", type=full_type(type_name(body)), sequence=sequence
        )
        partition = 0 if topic.single else partition_of(key, self.settings.partitions)
        await self.producer.send_and_wait(
            self.connect.name(topic),
            key=key.encode(),
            value=wire.encode_json(body),
            partition=partition,
            headers=cloudevents.headers(envelope),
        )

    async def hear(self, *, until: Any) -> Any:
        """The first thing said for which `until` holds, from the beginning."""
        async with asyncio.timeout(20):
            while not (found := [said for said in self.heard if until(said)]):
                for records in (await self.consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        self._hear(record)
        return found[0]

    async def status(self, command_id: str, state: CommandState) -> Status:
        said = await self.hear(
            until=lambda s: isinstance(s, Status) and s.command_id == command_id and s.state is state
        )
        assert isinstance(said, Status)
        return said

    def states(self, command_id: str) -> list[CommandState]:
        return [s.state for s in self.heard if isinstance(s, Status) and s.command_id == command_id]

    def _hear(self, record: ConsumerRecord[bytes, bytes]) -> None:
        event = cloudevents.read(
            record.headers,
            record.value,
            key=record.key,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp,
        )
        self.heard.append(event.body(Hello) if "hello" in event.type else event.body(Status))
        self.keys.append(((record.key or b"").decode(), event.attribute("keyspace"), record.partition))

    async def buried(self, count: int) -> list[ConsumerRecord[bytes, bytes]]:
        consumer = self.connect.consumer("undertaker", auto_offset_reset="earliest")
        await consumer.start()
        consumer.assign([self._place(self.connect.name(DEAD_LETTER), p) for p in range(self.settings.partitions)])
        async with asyncio.timeout(20):
            letters = [await consumer.getone() for _ in range(count)]
        await consumer.stop()
        return letters

    @staticmethod
    def _place(name: str, partition: int) -> Any:
        from aiokafka import TopicPartition

        return TopicPartition(name, partition)


def scale(name: str, replicas: int, *, revision: int = 1, **fields: Any) -> Command:
    command = Command(
        command_id=name,
        kind=CommandKind.SCALING,
        action=Action.SCALE_OUT,
        resource=Resource(type="replicas", id="video@harbour"),
        target=Target(site_id="harbour"),
        reply_key="harbour",
        reply_keyspace="site",
        params=ScaleParams(app_id="video", replicas=replicas),
        generation=revision,
        fence=Fence(owner="site/1", incarnation=1, epoch=1, revision=revision),
        issued_at_ms=0,
        decision_id="d",
    )
    return msgspec.structs.replace(command, **fields)


@pytest.fixture
async def owner(broker: str, topic_prefix: str) -> AsyncIterator[Owner]:
    owner = Owner(KafkaSettings(bootstrap=broker, topic_prefix=topic_prefix, partitions=4))
    await owner.open()
    yield owner
    await owner.close()


def site_of(owner: Owner, folder: Path, **fields: Any) -> LiveSite:
    nodes = (NodeConfig(node_id="n1"),)
    settings = SiteSettings(site_id="harbour", state_dir=folder, nodes=nodes, kafka=owner.settings, **fields)
    return LiveSite(settings)


async def read_from_now_on(site: LiveSite) -> None:
    """A store without a position begins where this boot began: wait until that is found."""
    while not list(site.executor.store.items("position")):  # noqa: ASYNC110 - the site tells nobody
        await asyncio.sleep(0.02)


async def test_a_command_on_kafka_becomes_a_replica_that_answers_and_statuses_to_its_owner(
    owner: Owner, tmp_path: Path
) -> None:
    site = site_of(owner, tmp_path)
    await site.start()
    hello = await owner.hear(until=lambda said: isinstance(said, Hello))
    assert (hello.site_id, hello.owner_keyspace, hello.why) == ("harbour", "site", "store-missing")
    await read_from_now_on(site)
    await owner.send(COMMAND_SCALING, "harbour", scale("c1", 2), sequence=1)
    status = await owner.status("c1", CommandState.SUCCEEDED)
    assert status.result is not None
    assert status.result.observed == 2
    assert owner.states("c1") == [CommandState.ACCEPTED, CommandState.PROGRESSING, CommandState.SUCCEEDED]
    assert set(owner.keys) == {("harbour", "site", partition_of("harbour", 4))}
    users = Users(site.ingress_url)
    assert (await users.work("video")).headers["x-edgeweir-served-by"].startswith("harbour/video-")
    await owner.send(COMMAND_SCALING, "harbour", scale("c2", 1, revision=2), sequence=1)
    await owner.send(COMMAND_SCALING, "harbour", scale("c3", 0, revision=0), sequence=3)
    await owner.status("c3", CommandState.REJECTED)
    assert owner.states("c2") == [], "a record whose number was seen is dropped"
    await site.stop()


async def test_an_order_that_answers_the_hello_before_the_reader_is_open_is_done_and_an_older_one_is_not(
    owner: Owner, tmp_path: Path
) -> None:
    await owner.send(COMMAND_SCALING, "harbour", scale("old", 3), sequence=1)
    await asyncio.sleep(0.01)
    site = site_of(owner, tmp_path)
    await asyncio.sleep(0.01)
    await owner.send(COMMAND_SCALING, "harbour", scale("new", 1, revision=2), sequence=2)
    await site.start()
    await owner.status("new", CommandState.SUCCEEDED)
    assert owner.states("old") == []
    await site.stop()


async def test_a_restart_goes_on_where_it_stopped_and_repeats_nothing(owner: Owner, tmp_path: Path) -> None:
    site = site_of(owner, tmp_path)
    await site.start()
    await read_from_now_on(site)
    await owner.send(COMMAND_SCALING, "harbour", scale("c1", 1), sequence=1)
    await owner.status("c1", CommandState.SUCCEEDED)
    await site.stop()
    past_ms = time.time_ns() // 1_000_000 - 1
    await owner.send(COMMAND_SCALING, "harbour", scale("c2", 2, revision=2, start_by_ms=past_ms), sequence=2)
    await owner.send(COMMAND_SCALING, "harbour", scale("c3", 3, revision=3), sequence=3)
    site = site_of(owner, tmp_path)
    await site.start()
    await owner.status("c3", CommandState.SUCCEEDED)
    assert owner.states("c2") == [CommandState.EXPIRED]
    assert owner.states("c1").count(CommandState.SUCCEEDED) == 1
    await site.stop()


async def test_the_red_button_is_known_before_the_first_command(owner: Owner, tmp_path: Path) -> None:
    soon_ms = time.time_ns() // 1_000_000 + 60_000
    await owner.send(POLICY, "pause/1", Pause(scope="site/harbour", until_ms=soon_ms, why="test", by="me"))
    site = site_of(owner, tmp_path)
    await site.start()
    await read_from_now_on(site)
    await owner.send(COMMAND_SCALING, "harbour", scale("c1", 1), sequence=1)
    status = await owner.status("c1", CommandState.EXPIRED)
    assert status.error is not None
    assert status.error.code == "paused"
    await site.stop()


async def test_a_command_that_cannot_be_read_is_buried_and_its_neighbours_are_done(
    owner: Owner, tmp_path: Path
) -> None:
    site = site_of(owner, tmp_path)
    await site.start()
    await read_from_now_on(site)
    envelope = Envelope(id="x", source="/edge/worker", type=full_type("command.scaling.v1"))
    await owner.producer.send_and_wait(
        owner.connect.name(COMMAND_SCALING),
        key=b"harbour",
        value=b'{"command_id": "broken"',
        partition=partition_of("harbour", 4),
        headers=cloudevents.headers(envelope),
    )
    await owner.send(COMMAND_SCALING, "harbour", scale("c1", 1), sequence=1)
    await owner.status("c1", CommandState.SUCCEEDED)
    (letter,) = await owner.buried(1)
    headers = dict(letter.headers)
    assert letter.value == b'{"command_id": "broken"'
    assert (headers["dlq-topic"], headers["dlq-reason"]) == (COMMAND_SCALING.name.encode(), b"not-json")
    assert headers["ce_id"] == b"x"
    await site.stop()


async def test_a_site_says_hello_again_after_the_broker_was_away(
    own_broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    owner = Owner(KafkaSettings(bootstrap=own_broker.bootstrap, topic_prefix=topic_prefix, partitions=4))
    await owner.open()
    site = site_of(owner, tmp_path, absence_ms=4_000)
    await site.start()
    await read_from_now_on(site)
    await owner.send(COMMAND_SCALING, "harbour", scale("c1", 1), sequence=1)
    await owner.status("c1", CommandState.SUCCEEDED)
    own_broker.freeze()
    await asyncio.sleep(6)
    assert (await Users(site.ingress_url).work("video")).status == 200, "the edge serves on"
    own_broker.thaw()
    hello = await owner.hear(until=lambda said: isinstance(said, Hello) and said.why == "absence")
    assert (hello.observed[0].resource_id, hello.observed[0].replicas) == ("video@harbour", 1)
    await site.stop()
    await owner.close()
