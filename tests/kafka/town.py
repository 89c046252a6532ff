"""A small town for engine tests on a real broker: telemetry with a known right answer, workers as processes, and an oracle."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import TopicPartition

from edge_control.controllers.events import Event
from schemas import wire
from schemas.base import derive_id
from schemas.cloudevents import Envelope, headers
from schemas.sections import KafkaSettings
from schemas.telemetry import NodeTelemetry
from streams.engine.fold import JournalFold
from tests.kafka.toy import STEP, NodeRow, SiteRow
from topics import provision
from topics.catalogue import COMMAND_SCALING, JOURNAL, NODE_TELEMETRY, REQUEST, Keyspace, Topic
from topics.connect import Connect
from topics.partition import partition_of

ROOT = Path(__file__).resolve().parents[2]
SITES, NODES = 20, 5


class Town:
    """Topics under a prefix, producers of telemetry, worker processes; `close` ends what it started."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path, partitions: int = 4) -> None:
        self.settings = KafkaSettings(bootstrap=bootstrap, topic_prefix=prefix, partitions=partitions)
        self.connect = Connect(self.settings)
        self.folder, self.partitions = folder, partitions
        self.module = "tests.kafka.toy"
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._started: list[subprocess.Popen[bytes]] = []
        self._is_closed = False
        self._sequence: dict[str, int] = {}
        self._dice = random.Random(7)

    async def open(self) -> None:
        """Make the topics."""
        admin = self.connect.admin("town")
        await admin.start()
        goal = provision.wanted(self.settings)
        await provision.apply(admin, goal, provision.plan(goal, {}))
        await admin.close()

    def environ(self, name: str) -> dict[str, str]:
        """The variables of a worker process."""
        return {
            **os.environ,
            "EDGEWEIR_KAFKA_BOOTSTRAP": self.settings.bootstrap,
            "EDGEWEIR_KAFKA_TOPIC_PREFIX": self.settings.topic_prefix,
            "EDGEWEIR_WORKER_APP_ID": self.settings.topic_prefix + "app",
            "EDGEWEIR_WORKER_INSTANCE": name,
            "EDGEWEIR_WORKER_DATA_DIR": str(self.folder),
            "EDGEWEIR_WORKER_SESSION_TIMEOUT_S": "3",
            "EDGEWEIR_WORKER_HEARTBEAT_S": "0.5",
            "EDGEWEIR_WORKER_TICK_MS": "100",
            "EDGEWEIR_WORKER_CHECKPOINT_EVERY": "1500",
        }

    def start(self, name: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker process; `env` are more of its variables (without prefix: EDGEWEIR_WORKER_)."""
        given = {
            key if key.startswith(("EDGEWEIR", "PYTHON")) else f"EDGEWEIR_WORKER_{key}": v for key, v in env.items()
        }
        log = (self.folder / f"{name}.log").open("ab")
        command = [sys.executable, "-m", self.module, "worker", "-l", "error", "--without-web"]
        process = subprocess.Popen(
            command, cwd=ROOT, env={**self.environ(name), **given}, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        self.workers[name] = process
        self._started.append(process)
        return process

    async def supervise(self, *names: str) -> None:
        """Start again whoever ended, for ever."""
        while not self._is_closed:
            for name in names:
                if self.workers[name].poll() is not None:
                    self.start(name)
            await asyncio.sleep(0.1)

    async def replayed(self, hash_seed: str) -> dict[str, Any]:
        """What folding the journalled inputs again gives, in a process of its own."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.kafka.toy",
            "replay",
            cwd=ROOT,
            env={**self.environ("replay"), "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
        )
        output, _ = await process.communicate()
        found: dict[str, Any] = msgspec.json.decode(output)
        return found

    async def send(
        self, topic: Topic, *records: tuple[str, bytes, list[tuple[str, bytes]]], partition: int | None = None
    ) -> None:
        """Send records, to a named partition if one is given."""
        async with self.connect.producer("town") as producer:
            for key, value, attributes in records:
                await producer.send(
                    self.connect.name(topic), value, key=key.encode(), headers=attributes, partition=partition
                )
            await producer.flush()

    def close(self) -> None:
        """End every worker that was ever started."""
        self._is_closed = True
        left = [process for process in self._started if process.poll() is None]
        for process in left:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in left:
            try:
                process.wait(12)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log(self, name: str) -> str:
        """What a worker said."""
        return (self.folder / f"{name}.log").read_text("utf-8")

    def telemetry(self, count: int) -> Iterable[tuple[str, bytes, list[tuple[str, bytes]]]]:
        """Good samples with a sequence per node: key, value, headers."""
        for _ in range(count):
            site = f"s{self._dice.randrange(SITES)}"
            node = f"{site}-n{self._dice.randrange(NODES)}"
            sequence = self._sequence[node] = self._sequence.get(node, -1) + 1
            yield sample(site, node, sequence, self._dice.randrange(1, 100))

    async def produce(self, count: int, rate: float = 0) -> None:
        """Send samples, at so many per second or as fast as it goes."""
        async with self.connect.producer("town", linger_ms=5) as producer:
            started, last = time.monotonic(), None
            for sent, (key, value, attributes) in enumerate(self.telemetry(count)):
                last = await producer.send(
                    self.connect.name(NODE_TELEMETRY), value, key=key.encode(), headers=attributes
                )
                if rate and sent % 20 == 0:
                    await asyncio.sleep(max(0, started + sent / rate - time.monotonic()))
            if last is not None:
                await last

    async def read(self, topic: Topic) -> list[Any]:
        """All records of a topic up to its end of this moment, partition by partition."""
        reader = self.connect.consumer("town", auto_offset_reset="earliest", max_partition_fetch_bytes=4 << 20)
        async with reader:
            count = 1 if topic.single else self.partitions
            places = [TopicPartition(self.connect.name(topic), number) for number in range(count)]
            reader.assign(places)
            ends = await reader.end_offsets(places)
            found: dict[TopicPartition, list[Any]] = {place: [] for place in places}
            for place in places:
                while (await reader.position(place)) < ends[place]:
                    for records in (await reader.getmany(place, timeout_ms=500)).values():
                        found[place] += records
            return [record for records in found.values() for record in records]

    async def first(self, topic: Topic, within_s: float) -> Any:
        """The first record of a topic, once there is one."""
        deadline = time.monotonic() + within_s
        while not (records := await self.read(topic)):
            assert time.monotonic() < deadline, f"nothing came on {topic.name}"
            await asyncio.sleep(0.1)
        return records[0]

    async def stop(self, name: str) -> int:
        """Ask a worker to end, and wait for it; its exit code."""
        self.workers[name].terminate()
        return await asyncio.to_thread(self.workers[name].wait, 15)

    async def journals(self) -> dict[int, JournalFold]:
        """The valid history of every partition, from the log's start."""
        folds = {number: JournalFold(keep_stories=True) for number in range(self.partitions)}
        for record in await self.read(JOURNAL):
            folds[record.partition].feed([record], 1 << 62)
        return folds

    async def settled(self, within_s: float = 20) -> dict[int, JournalFold]:
        """The history once every input is folded and every outbox is empty."""
        deadline = time.monotonic() + within_s
        while True:
            folds = await self.journals()
            unread = await self.open_ends(folds)
            if not unread and not any(fold.outbox for fold in folds.values()):
                return folds
            assert time.monotonic() < deadline, (unread, {n: len(f.outbox) for n, f in folds.items()})
            await asyncio.sleep(0.3)

    async def open_ends(self, folds: dict[int, JournalFold]) -> list[str]:
        """Inputs with more than was folded."""
        found = []
        async with self.connect.consumer("town") as reader:
            for topic, keyspaces in ((NODE_TELEMETRY, [Keyspace.SITE]), (REQUEST, list(Keyspace))):
                places = [TopicPartition(self.connect.name(topic), number) for number in range(self.partitions)]
                for place, end in (await reader.end_offsets(places)).items():
                    story = folds[place.partition].story
                    marks = story.marks if story else {}
                    found += [
                        f"{place.topic}/{place.partition}/{keyspace} {marks.get(f'{topic.name}/{keyspace}', -1)} < {end}"
                        for keyspace in keyspaces
                        if marks.get(f"{topic.name}/{keyspace}", -1) + 1 < end
                    ]
        return found


def sample(site: str, node: str, sequence: int, cpu: int) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    """One good telemetry record: key, value, headers."""
    body = NodeTelemetry(
        node_id=node,
        site_id=site,
        boot_id="b",
        sequence=sequence,
        observed_at_ms=1,
        cpu_used_milli=cpu,
        cpu_allocatable_milli=1000,
        mem_used_bytes=1,
        mem_allocatable_bytes=2,
    )
    envelope = Envelope(
        id=f"{node}/{sequence}", source=f"/edge/{site}/gateway", type="io.edgeweir.node.telemetry.v1", time_ms=1
    )
    return site, wire.encode_json(body), headers(envelope)


def rows_of(folds: dict[int, JournalFold], table: str, kind: type[Any]) -> dict[str, Any]:
    """All rows of a table over all partitions."""
    prefix = f"{table}/"
    found: dict[str, Any] = {}
    for fold in folds.values():
        for name, data in fold.rows.items():
            if name.startswith(prefix):
                assert name not in found, f"two partitions hold {name}"
                found[name.removeprefix(prefix)] = msgspec.msgpack.decode(data[1:], type=kind)
    return found


class Expected(msgspec.Struct):
    """What plain Python says: events and sums per node, events and hops per site, commands by id."""

    nodes: dict[str, tuple[int, int, int]]
    sites: dict[str, int]
    told: dict[str, tuple[int, int]]
    commands: dict[str, int]


def oracle(telemetry: Iterable[Any], partitions: int) -> Expected:
    """Fold the samples in order, without an engine."""
    nodes: dict[str, tuple[int, int, int]] = {}
    sites: dict[str, int] = {}
    told: dict[str, tuple[int, int]] = {}
    commands: dict[str, int] = {}
    for record in telemetry:
        if partition_of(record.key.decode(), partitions) != record.partition:
            continue
        body = msgspec.json.decode(record.value, type=NodeTelemetry)
        events, cpu, _ = nodes.get(body.node_id, (0, 0, -1))
        nodes[body.node_id] = (events + 1, cpu + body.cpu_used_milli, body.sequence)
        sites[body.site_id] = sites.get(body.site_id, 0) + 1
        cause = f"{NODE_TELEMETRY.name}/{record.partition}/{record.offset}"
        if cpu // STEP != (cpu + body.cpu_used_milli) // STEP:
            commands[derive_id("scale", body.node_id, cause)] = (cpu + body.cpu_used_milli) // STEP
        if body.cpu_used_milli % 7 == 0:
            to = f"s{body.cpu_used_milli % 20}"
            count, missing = told.get(to, (0, 0))
            told[to] = (count + 1, missing + body.cpu_used_milli)
    return Expected(nodes, sites, told, commands)


async def check(town: Town, folds: dict[int, JournalFold]) -> Expected:
    """Rows are what the oracle says; every command was sent, none was invented, copies are identical."""
    expected = oracle(await town.read(NODE_TELEMETRY), town.partitions)
    nodes, sites = rows_of(folds, "site/nodes", NodeRow), rows_of(folds, "site/sites", SiteRow)
    assert {k: (r.events, r.cpu_sum, r.last) for k, r in nodes.items()} == expected.nodes
    assert {k: r.events for k, r in sites.items() if r.events} == expected.sites
    assert {k: (r.told, r.missing) for k, r in sites.items() if r.told} == expected.told
    sent: dict[str, set[tuple[bytes, bytes]]] = {}
    for record in await town.read(COMMAND_SCALING):
        body = msgspec.json.decode(record.value)
        sent.setdefault(body["command_id"], set()).add((record.value, dict(record.headers)["ce_sequence"]))
    assert sent.keys() == expected.commands.keys()
    assert all(len(copies) == 1 for copies in sent.values())
    return expected


async def until(condition: Callable[[], bool], within_s: float = 10, what: str = "it did not happen") -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


__all__ = ["Event", "Expected", "Town", "check", "oracle", "rows_of", "sample", "until"]
