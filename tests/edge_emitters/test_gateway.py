"""The gateway batches, witnesses, accepts and keeps: what it says, and what waits while nobody takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession, web

from edge_emitters.gateway import Gateway, GatewayPlan
from edge_emitters.host import Host
from edge_emitters.probing import Peer, Probing
from edge_emitters.records import Record
from edge_emitters.sender import Refused, Unsent
from schemas import wire
from schemas.location import SessionEvent, SessionState
from schemas.sections import KafkaSettings
from schemas.telemetry import AppLoad, NodeLifecycle, NodePhase, NodeSample, NodeTelemetryBatch
from topics.connect import Connect

NOWHERE = Connect(KafkaSettings(bootstrap="127.0.0.1:1"))


class Broker:
    """A broker on paper: away or there; refuses what says so."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.taken: list[Record] = []

    async def send(self, records: Sequence[Record]) -> None:
        if self.away:
            raise Unsent("away")
        if any(b"poison" in record.value for record in records):
            raise Refused("too large")
        self.taken += records

    async def stop(self) -> None:
        return

    def batches(self) -> list[NodeTelemetryBatch]:
        return [
            wire.decode(NodeTelemetryBatch, record.value)
            for record in self.taken
            if record.type == "node.telemetry-batch.v1"
        ]

    def of(self, kind: str) -> list[Record]:
        return [record for record in self.taken if record.type == kind]


def gateway(folder: Path, broker: Broker, *sources: object, interval_ms: int = 50, mib: int = 1) -> Gateway:
    plan = GatewayPlan(site_id="a", folder=folder, interval_ms=interval_ms, buffer_bytes=mib * 1_048_576)
    return Gateway(NOWHERE, plan, list(sources), way=broker)  # type: ignore[arg-type]  # tests hand in strange sources


def node(name: str) -> NodeSample:
    return NodeSample(
        node_id=name, observed_at_ms=1, cpu_used_milli=1, cpu_allocatable_milli=2, mem_used_bytes=1, mem_allocatable_bytes=2
    )  # fmt: skip


def load(number: int, app: str = "video") -> AppLoad:
    return AppLoad(
        site_id="a", app_id=app, ingress_id="i", observed_at_ms=number, interval_ms=1_000, requests=number, sequence=0
    )


def session(name: str) -> SessionEvent:
    return SessionEvent(
        terminal_id=f"t-{name}", session_id=name, app_id="video", state=SessionState.STARTED, observed_at_ms=5
    )


async def until(true: object, deadline_s: float = 5.0) -> None:
    assert callable(true)
    async with asyncio.timeout(deadline_s):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def test_each_interval_gives_one_batch_of_all_nodes_numbered_without_a_gap(tmp_path: Path) -> None:
    broker = Broker()
    one = gateway(tmp_path, broker, lambda: [node("n1"), node("n2")], Host("n3"))
    await one.start()
    await until(lambda: len(broker.batches()) >= 4)
    await one.stop()
    batches = broker.batches()
    assert [batch.sequence for batch in batches] == list(range(1, len(batches) + 1))
    assert {batch.boot_id for batch in batches} == {one.boot_id}
    assert {tuple(sample.node_id for sample in batch.nodes) for batch in batches} == {("n1", "n2", "n3")}
    assert not any(batch.buffered for batch in batches)


async def test_a_source_that_fails_or_hangs_is_silent_and_its_neighbours_are_heard(tmp_path: Path) -> None:
    async def hangs() -> list[NodeSample]:
        await asyncio.sleep(60)
        return []

    async def answers() -> list[NodeSample]:
        return [node("n2")]

    def fails() -> list[NodeSample]:
        raise OSError("no such node")

    broker = Broker()
    one = gateway(tmp_path, broker, fails, hangs, answers)
    assert await one.collect()
    await one.start()
    await until(broker.batches)
    await one.stop()
    assert [sample.node_id for sample in broker.batches()[0].nodes] == ["n2"]


async def test_while_the_broker_is_away_everything_waits_and_then_comes_in_order_marked(tmp_path: Path) -> None:
    broker = Broker(away=True)
    one = gateway(tmp_path, broker, lambda: [node("n1")])
    await one.start()
    for number in range(20):
        assert one.put_load(load(number))
        assert one.put_session(session(str(number)))
    await until(lambda: one.standing.waiting >= 44)
    assert not one.standing.connected
    broker.away = False
    await until(lambda: one.standing.waiting == 0)
    await one.stop()

    loads = [wire.decode(AppLoad, record.value) for record in broker.of("app.load.v1")]
    assert [item.sequence for item in loads] == list(range(1, 21))
    assert [item.requests for item in loads] == list(range(20))
    assert {item.boot_id for item in loads} == {one.boot_id}
    assert all(item.buffered for item in loads)
    assert [record.key for record in broker.of("session.event.v1")] == [f"t-{number}" for number in range(20)]
    assert broker.batches()[0].buffered


async def test_each_app_of_each_ingress_has_its_own_numbers_and_given_ones_stay(tmp_path: Path) -> None:
    broker = Broker()
    one = gateway(tmp_path, broker)
    for item in (load(1), load(2, "maps"), load(3), msgspec.structs.replace(load(4), boot_id="own", sequence=77)):
        assert one.put_load(item)
    await one.start()
    await until(lambda: len(broker.of("app.load.v1")) == 4)
    await one.stop()
    loads = [wire.decode(AppLoad, record.value) for record in broker.of("app.load.v1")]
    assert [(item.app_id, item.sequence) for item in loads] == [("video", 1), ("maps", 1), ("video", 2), ("video", 77)]
    assert loads[3].boot_id == "own"
    assert len({(record.source, record.event_id, record.type) for record in broker.taken}) == len(broker.taken)


async def test_what_the_broker_never_takes_is_set_aside_and_its_neighbours_go_on(tmp_path: Path) -> None:
    broker = Broker()
    one = gateway(tmp_path, broker)
    for name in ("s1", "poison", "s3"):
        one.put_session(session(name))
    await one.start()
    await until(lambda: one.standing.waiting == 0)
    await one.stop()
    assert [record.key for record in broker.of("session.event.v1")] == ["t-s1", "t-s3"]
    assert one.standing.tally.rejected == 1
    assert b"poison" in next((tmp_path / "aside").iterdir()).read_bytes()


async def test_what_is_not_delivered_at_the_stop_goes_first_at_the_next_start_under_its_old_boot(
    tmp_path: Path,
) -> None:
    first = gateway(tmp_path, Broker(away=True))
    await first.start()
    first.put_session(session("old"))
    first.put_lifecycle(NodeLifecycle(node_id="n1", site_id="a", phase=NodePhase.FENCED, at_ms=9, source="bmc"))
    await first.stop(grace_s=0.1)

    broker = Broker()
    second = gateway(tmp_path, broker)
    second.put_session(session("new"))
    await second.start()
    await until(lambda: second.standing.waiting == 0)
    await second.stop()
    said = [wire.decode(SessionEvent, record.value) for record in broker.of("session.event.v1")]
    assert [(event.session_id, event.boot_id) for event in said] == [("old", first.boot_id), ("new", second.boot_id)]
    assert broker.of("node.lifecycle.v1")[0].key == "a"


async def test_a_batch_tells_how_many_were_given_up_before_it(tmp_path: Path) -> None:
    broker = Broker(away=True)
    wide = [node(f"a-node-with-a-long-name-{number}") for number in range(100)]
    one = gateway(tmp_path, broker, lambda: wide, interval_ms=60_000)
    for _ in range(200):
        await one.collect()
    thinned = one.standing.tally.thinned
    assert thinned > 0
    assert one.standing.size_bytes <= 1_048_576
    broker.away = False
    await one.start()
    await until(lambda: one.standing.waiting == 0)
    await one.stop()
    sequences = [batch.sequence for batch in broker.batches()]
    assert sequences == sorted(set(sequences))
    assert max(batch.thinned for batch in broker.batches()) >= thinned
    assert len(sequences) + one.standing.tally.thinned == 201


@pytest.mark.parametrize("kind", ["http", "tcp"])
async def test_peers_that_answer_have_a_round_trip_and_those_that_do_not_have_none(kind: str) -> None:
    application = web.Application()

    async def healthy(_request: web.Request) -> web.Response:
        await asyncio.sleep(0.02)
        return web.Response(text="ok")

    async def sick(_request: web.Request) -> web.Response:
        return web.Response(status=503)

    application.router.add_get("/healthz", healthy)
    application.router.add_get("/sick/healthz", sick)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    peers = [Peer("b", f"{kind}://127.0.0.1:{port}"), Peer("gone", f"{kind}://127.0.0.1:1"), Peer("odd", "nonsense")]
    if kind == "http":
        peers.append(Peer("sick", f"http://127.0.0.1:{port}/sick/"))
    probing = Probing(lambda: peers, interval_s=0.5)
    async with ClientSession() as session:
        await probing.round(session)
        await probing.round(session)
    links = {link.to_site: link for link in probing.links()}
    await runner.cleanup()

    answered = links["b"]
    assert answered.rtt_us is not None
    assert (20_000 if kind == "http" else 1) <= answered.rtt_us < 500_000
    assert (answered.loss_permille, answered.probes) == (0, 2)
    for name in links.keys() - {"b"}:
        assert links[name].rtt_us is None
        assert links[name].loss_permille == 1_000
    assert links.keys() == {peer.site_id for peer in peers}
