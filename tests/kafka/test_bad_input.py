"""All that anyone may send wrong, at once, to a running worker with the real controllers.

Each record is answered with a dead letter that proves it, neighbours are handled at once, nobody dies, views stay good.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import wire
from schemas.apps import AppKind, AppSpec, PerReplica
from schemas.base import Message
from schemas.cloudevents import Envelope, headers
from schemas.estate import Region, Site, Tier
from schemas.policy import Policy, ScalingPolicy
from schemas.registry import full_type, type_name
from schemas.requests import Committed, Purpose, Reserve, Reserved, SiteReport
from schemas.statuses import CommandState, Hello, Observed, Status
from schemas.telemetry import NodeTelemetry
from tests.kafka.town import Town, sample, until
from topics.catalogue import (
    APP,
    APP_LOAD,
    DEAD_LETTER,
    ESTATE,
    INVENTORY_NODE,
    LOCATION,
    NODE_TELEMETRY,
    POLICY,
    REQUEST,
    SESSION,
    STATUS,
    TWIN,
    Topic,
)
from topics.partition import partition_of

pytestmark = pytest.mark.kafka

Headers = list[tuple[str, bytes]]
TELEMETRY = "node.telemetry.v1"
ADDRESS, SECRET = "203.0.113.77", "s3cr3t-token"


class Bad(msgspec.Struct, frozen=True, kw_only=True):
    """One wrong record and why it is refused."""

    name: str
    reason: str
    value: bytes | None
    topic: Topic = NODE_TELEMETRY
    key: bytes | None = b"s1"
    said: Headers | None = None


def good(**changed: Any) -> bytes:
    """A sound sample of s1-n1 with some fields of its JSON replaced; None removes one."""
    body = json.loads(sample("s1", "s1-n1", 0, 1)[1]) | changed
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


def raw(field: str, text: str) -> bytes:
    """A sound sample with JSON text that no encoder would write."""
    return good(power_mw=1).replace(b'"power_mw": 1', f'"{field}": {text}'.encode())


def event(kind: str = TELEMETRY, *more: tuple[str, bytes], without: str = "") -> Headers:
    """The attributes of an event, some added or left out."""
    found = [*headers(Envelope(id="1", source="/stranger", type=full_type(kind), time_ms=1)), *more]
    return [(name, value) for name, value in found if name != without]


def whole(text: bytes) -> tuple[bytes, Headers]:
    """A structured event, and its content type."""
    return text, [("content-type", b"application/cloudevents+json")]


STRUCTURED, STRUCTURED_TYPE = whole(b'{"specversion":"1.0","id":"1","source":"/x","type":"t","n":1e999,"data":{}}')
SITE = ("ce_keyspace", b"site")
WRONG: tuple[Bad, ...] = (
    Bad(name="bytes that are not UTF-8", reason="bad-utf8", value=b'{"node_id":"\xff\xfe"}'),
    Bad(name="broken JSON", reason="not-json", value=b'{"node_id": ' + SECRET.encode()),
    Bad(name="an empty value", reason="not-json", value=b""),
    Bad(name="JSON null", reason="schema", value=b"null"),
    Bad(name="a list", reason="schema", value=b"[1, 2]"),
    Bad(name="a tombstone where events flow", reason="no-data", value=None),
    Bad(name="a number as text", reason="schema", value=good(cpu_used_milli=SECRET)),
    Bad(name="a missing field", reason="schema", value=good(node_id=None)),
    Bad(name="deep nesting", reason="too-deep", value=b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
    Bad(name="many keys", reason="too-many-keys", value=json.dumps({f"k{n}": n for n in range(600)}).encode()),
    Bad(name="a long string", reason="string-too-long", value=good(boot_id="x" * 5_000)),
    Bad(name="as much as the broker takes", reason="too-large", value=good(boot_id="x" * 900_000)),
    Bad(name="NaN", reason="not-json", value=raw("power_mw", "NaN")),
    Bad(name="infinity", reason="not-json", value=raw("power_mw", "Infinity")),
    Bad(name="1e308", reason="schema", value=raw("power_mw", "1e308")),
    Bad(name="1e999", reason="schema", value=raw("power_mw", "1e999")),
    Bad(name="less than nothing", reason="schema", value=good(cpu_used_milli=-1)),
    Bad(name="2 to the 70th", reason="schema", value=raw("power_mw", str(2**70))),
    Bad(name="nanoseconds as milliseconds", reason="schema", value=good(observed_at_ms=1_800_000_000_000_000_000)),
    Bad(name="a time before the epoch", reason="schema", value=good(observed_at_ms=-1)),
    Bad(name="a name with a space", reason="schema", value=good(node_id=f"{SECRET} {ADDRESS}")),
    Bad(name="another site's body", reason="other-key", value=good(site_id="s2")),
    Bad(name="no key", reason="no-key", value=good(), key=None),
    Bad(name="an empty key", reason="no-key", value=good(), key=b""),
    Bad(name="a key that is no text", reason="no-key", value=good(), key=b"\xff"),
    Bad(name="no content type that is JSON", reason="content-type", value=good(),
        said=event(TELEMETRY, ("content-type", b"text/csv"))),
    Bad(name="no id", reason="envelope", value=good(), said=event(without="ce_id")),
    Bad(name="more than 64 KiB of attributes", reason="envelope", value=good(),
        said=event(TELEMETRY, ("ce_big", b"x" * 70_000))),
    Bad(name="an unknown type", reason="unknown-type", value=good(), said=event("node.nonsense.v9")),
    Bad(name="a type of another topic", reason="unknown-type", value=good(), said=event("app.load.v1")),
    Bad(name="a structured event with a number beyond all", reason="envelope", value=STRUCTURED, said=STRUCTURED_TYPE),
    Bad(name="a structured event that is none", reason="not-json", value=b"\x00\x01", said=STRUCTURED_TYPE),
    Bad(name="a batch of events", reason="content-type", value=b"[]",
        said=[("content-type", b"application/cloudevents-batch+json")]),
    Bad(name="load of no interval at all", reason="schema", topic=APP_LOAD, value=b'{"site_id":"s1","app_id":"a"}'),
    Bad(name="a place with an address for a name", reason="schema", topic=LOCATION, key=b"t1",
        value=json.dumps({"terminal_id": f"{ADDRESS} ", "event": "ENTER", "zone_id": "z", "observed_at_ms": 1}).encode()),
    Bad(name="a movement that does not exist", reason="schema", topic=LOCATION, key=b"t1",
        value=json.dumps({"terminal_id": "t1", "event": ADDRESS, "zone_id": "z", "observed_at_ms": 1}).encode()),
    Bad(name="a session without a state", reason="schema", topic=SESSION, key=b"t1",
        value=b'{"terminal_id":"t1","session_id":"u1","app_id":"a","observed_at_ms":1}'),
    Bad(name="a twin without a type", reason="envelope", topic=TWIN, key=b"t1", value=b"{}", said=[]),
    Bad(name="a twin with a number that no row holds", reason="document", topic=TWIN, key=b"t1",
        said=event("twin.reported.v1"),
        value=b'{"terminal_id":"t1","kind":"k","version":1,"observed_at_ms":1,"reported":{"a":' + str(2**70).encode() + b"}}"),
    Bad(name="an app that can never hold its minimum", reason="document", topic=APP, key=b"bomb",
        said=event("app.spec.v1"), value=wire.encode_json(AppSpec(
            app_id="bomb", tenant="t", kind=AppKind.SERVICE, version=1, per_replica=PerReplica(), state_bytes=1))),
    Bad(name="a request for nobody", reason="no-keyspace", topic=REQUEST, said=event("reply.commit.v1"), value=b"{}"),
    Bad(name="a request for a keyspace that does not exist", reason="no-keyspace", topic=REQUEST,
        said=event("reply.commit.v1", ("ce_keyspace", b"moon")), value=b"{}"),
    Bad(name="a request whose answer nobody could get", reason="schema", topic=REQUEST,
        said=event("request.commit.v1", SITE),
        value=b'{"request_id":"r","reply_key":"t","reply_keyspace":"moon","expires_at_ms":1,"site_id":"s1",'
              b'"reservation_id":"x","resource_id":"y"}'),
)  # fmt: skip


@pytest.fixture
async def town(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(broker, topic_prefix, tmp_path)
    town.module = "streams.worker"
    await town.open()
    yield town
    town.close()


async def test_every_wrong_record_is_a_dead_letter_and_its_neighbours_are_handled_at_once(town: Town) -> None:
    town.start("w0")
    await until(lambda: town.log("w0").count("partition taken over") == town.partitions, 20)
    places = await poison(town, WRONG)
    began = time.monotonic()
    letters = await letters_of(town, len(WRONG))
    assert time.monotonic() - began < 5
    told = {(said["dlq-topic"], said["dlq-partition"], said["dlq-offset"]): (letter, said) for letter, said in letters}
    for bad, place in zip(WRONG, places, strict=True):
        letter, said = told[place]
        assert said["dlq-reason"] == bad.reason, (bad.name, said["dlq-error"])
        assert (letter.key, letter.value) == (bad.key, None if bad.value is None else bad.value[:65_536]), bad.name
        assert said["dlq-sha256"] == hashlib.sha256(bad.value or b"").hexdigest()
        assert said["dlq-error"]
        assert SECRET not in said["dlq-error"]
        assert ADDRESS not in said["dlq-error"]
    assert len(letters) == len(WRONG)
    assert await nodes_of(town) == {f"s1-n{number}" for number in range(len(WRONG))}
    assert town.workers["w0"].poll() is None
    assert SECRET not in town.log("w0")
    assert ADDRESS not in town.log("w0")


async def test_wrong_rows_on_the_views_topics_and_strangers_words_change_nothing_and_kill_nobody(town: Town) -> None:
    await town.send(ESTATE, said_row("region/r", Region(id="r")), said_row("site/s1", site("s1")))
    town.start("w0")
    await until(lambda: town.log("w0").count("partition taken over") == town.partitions, 20)
    unsound = Policy(id="p", version=1, scaling=ScalingPolicy(bucket_ms=0, window_ms=0))
    wrong: tuple[tuple[str, bytes, Headers], ...] = (
        ("site/s1", wire.encode_json(site("s9")), event("estate.site.v1")),
        ("site/s1", b"{", event("estate.site.v1")),
        ("site/s1", b'{"id":"s1"}', event("estate.site.v1")),
        ("site/s1", b"{}", event("app.spec.v1")),
        ("site/s1", b"{}", []),
        (f"site/{ADDRESS}", STRUCTURED, STRUCTURED_TYPE),
    )
    await town.send(ESTATE, *wrong)
    await town.send(
        POLICY, ("policy/p", wire.encode_json(unsound), event("policy.v1")), ("pause/all", b"[]", event("pause.v1"))
    )
    for keyspace, body in strangers():
        await town.send(STATUS if isinstance(body, Status | Hello) else REQUEST, stranger(keyspace, body))
    await until(lambda: town.log("w0").count("left out of the view") == len(wrong) + 2, 10, town.log("w0"))
    await town.send(NODE_TELEMETRY, sample("s1", "s1-n0", 0, 1), sample("nowhere", "lost-n0", 0, 1))
    await until_nodes(town, {"s1-n0", "lost-n0"})
    assert await town.read(DEAD_LETTER) == []
    assert town.workers["w0"].poll() is None
    assert "Traceback" not in town.log("w0")


async def test_a_worker_that_starts_on_poisoned_views_takes_its_partitions(town: Town) -> None:
    unsound = Policy(id="p", version=1, scaling=ScalingPolicy(bucket_ms=0, window_ms=0))
    await town.send(POLICY, ("policy/p", wire.encode_json(unsound), event("policy.v1")))
    await town.send(
        ESTATE, ("site/s1", STRUCTURED, STRUCTURED_TYPE), ("x", b"\xff", event("estate.zone.v1", ("ce_time", b"x")))
    )
    town.start("w0")
    await until(lambda: town.log("w0").count("partition taken over") == town.partitions, 20, town.log("w0"))
    await town.send(NODE_TELEMETRY, sample("s1", "s1-n0", 0, 1))
    await until_nodes(town, {"s1-n0"})


async def poison(town: Town, wrong: Sequence[Bad]) -> list[tuple[str, str, str]]:
    """Send every wrong record with a good neighbour right behind it, to the same partition; where the wrong ones are."""
    places = []
    async with town.connect.producer("poison", max_request_size=2_000_000) as producer:
        for number, bad in enumerate(wrong):
            home = partition_of((bad.key or b"s1").decode(errors="replace"), town.partitions)
            said = event(bad.topic.default_type) if bad.said is None else bad.said
            name = town.connect.name(bad.topic)
            sent = await producer.send(name, bad.value, key=bad.key, headers=said, partition=home)
            key, value, attributes = sample("s1", f"s1-n{number}", 0, 1)
            await producer.send(town.connect.name(NODE_TELEMETRY), value, key=key.encode(), headers=attributes)
            places.append((bad.topic.name, str(home), str((await sent).offset)))
    return places


async def letters_of(town: Town, count: int) -> list[tuple[Any, dict[str, str]]]:
    """The dead letters with their notes, once there are so many."""
    deadline, letters = time.monotonic() + 10, list[Any]()
    while len(letters) < count and time.monotonic() < deadline:
        letters = await town.read(DEAD_LETTER)
    return [
        (letter, {name: value.decode() for name, value in letter.headers if name.startswith("dlq-")})
        for letter in letters
    ]


async def nodes_of(town: Town) -> set[str]:
    return {record.key.decode() for record in await town.read(INVENTORY_NODE)}


async def until_nodes(town: Town, wanted: set[str]) -> None:
    deadline = time.monotonic() + 10
    while (found := await nodes_of(town)) != wanted:
        assert time.monotonic() < deadline, (found, town.log("w0")[-3_000:])
        await asyncio.sleep(0.2)


def strangers() -> list[tuple[str, Message]]:
    """Well-formed words of those who have nothing to say here."""
    status = Status(
        command_id="c", attempt=1, state=CommandState.SUCCEEDED, state_version=9, entered_at_ms=1, executor_id="x",
        resource_id="a@s1", site_id="s1", boot_id="b", observed_generation=99,
    )  # fmt: skip
    hello = Hello(
        executor_id="x", site_id="moon", boot_id="b", at_ms=1, owner_keyspace="site",
        observed=(Observed(resource_id="a@moon", replicas=5), Observed(resource_id="@")),
    )  # fmt: skip
    reserve = Reserve(
        request_id="r", reply_key="nobody", reply_keyspace="terminal", expires_at_ms=1 << 46, site_id="moon", app_id="a",
        resource_id="u", purpose=Purpose.MOVE, for_ms=1, seats=4_294_967_295,
    )  # fmt: skip
    report = SiteReport(site_id="moon", app_id="a", at_ms=1, demand_milli=1 << 52, desired=9, ready=9)
    reply = Reserved(request_id="never-asked", granted=True, site_id="s1", until_ms=1 << 46)
    answer = Committed(request_id="never-asked", granted=True, site_id="s1")
    words = (status, hello, reserve, report, reply, answer)
    return [(space, body) for body in words for space in ("site", "terminal", "app", "region")]


def stranger(keyspace: str, body: Message) -> tuple[str, bytes, Headers]:
    key = {"site": "moon", "terminal": "t9", "app": "a", "region": "r"}[keyspace]
    return key, wire.encode_json(body), event(type_name(body), ("ce_keyspace", keyspace.encode()))


def said_row(key: str, body: Message) -> tuple[str, bytes, Headers]:
    return key, wire.encode_json(body), event(type_name(body))


def site(name: str) -> Site:
    return Site(id=name, region="r", tier=Tier.ACCESS, lat_e7=0, lon_e7=0)


def test_the_sound_sample_is_sound() -> None:
    assert wire.decode(NodeTelemetry, good()).node_id == "s1-n1"
