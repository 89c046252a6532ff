"""What an operator asks the command line of a real Kafka: explain, story, pause, approve, dead letters."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from schemas.base import Message
from schemas.cloudevents import Envelope, headers
from schemas.decisions import Resource
from schemas.examples import example
from schemas.policy import Approval, Pause
from schemas.registry import full_type, type_name
from schemas.sections import KafkaSettings
from schemas.wire import decode, encode_json
from topics import catalogue as cat
from topics.connect import Connect
from topics.provision import apply, plan, wanted
from topics.tail import tail
from topics.topic import Topic

pytestmark = pytest.mark.kafka
REFUSED = b'{"node_id": 7}'


@pytest.fixture
async def connect(broker: str, topic_prefix: str) -> Connect:
    settings = KafkaSettings(bootstrap=broker, topic_prefix=topic_prefix, partitions=2)
    connect, goal = Connect(settings), wanted(settings)
    admin = connect.admin("test")
    await admin.start()
    try:
        await apply(admin, goal, plan(goal, {}))
    finally:
        await admin.close()
    return connect


async def say(connect: Connect, topic: Topic, key: str, body: Message) -> None:
    envelope = Envelope(id=f"{key}-{type_name(body)}", source="/test", type=full_type(type_name(body)))
    await send(connect, topic, key, encode_json(body), headers(envelope))


async def send(
    connect: Connect, topic: Topic, key: str, value: bytes | None, said: Sequence[tuple[str, bytes]] = ()
) -> None:
    producer = connect.producer("test")
    await producer.start()
    try:
        await producer.send_and_wait(connect.name(topic), value, key=key.encode(), headers=list(said))
    finally:
        await producer.stop()


async def edgeweir(connect: Connect, *words: str) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "USER": "olga",
        "EDGEWEIR_KAFKA_BOOTSTRAP": connect.settings.bootstrap,
        "EDGEWEIR_KAFKA_TOPIC_PREFIX": connect.settings.topic_prefix,
    }
    command = [str(Path(sys.executable).with_name("edgeweir")), *words]
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, env=env, timeout=60, check=False
    )


async def a_decision_carried_out(connect: Connect) -> None:
    replicas = Resource(type="replicas", id="video@bay-7")
    decision = msgspec.structs.replace(example("decision.scaling.v1"), decision_id="d-1", resource=replicas)
    command = msgspec.structs.replace(example("command.scaling.v1"), command_id="c-1", decision_id="d-1")
    status = msgspec.structs.replace(example("command.status.v1"), command_id="c-1")
    await say(connect, cat.DECISION_SCALING, "video@bay-7", decision)
    await say(connect, cat.COMMAND_SCALING, "bay-7", command)
    await say(connect, cat.STATUS, "bay-7", status)


async def test_a_decision_is_explained_with_its_command_and_status(connect: Connect) -> None:
    await a_decision_carried_out(connect)
    for name in ("d-1", "c-"):
        done = await edgeweir(connect, "explain", name)
        assert done.returncode == 0, done.stderr
        words = [line.split()[0] for line in done.stdout.splitlines()[1:]]
        assert words == ["id", "policy", "cause", "command", "status"]
    whole = json.loads((await edgeweir(connect, "explain", "d-1", "--json")).stdout)
    assert whole["decision"]["decision_id"] == "d-1"
    assert [one["command"]["command_id"] for one in whole["commands"]] == ["c-1"]
    assert [one["status"]["command_id"] for one in whole["statuses"]] == ["c-1"]


async def test_what_was_not_decided_is_not_found(connect: Connect) -> None:
    assert (await edgeweir(connect, "explain", "d-404")).returncode == 4
    assert (await edgeweir(connect, "story", "nowhere")).returncode == 4


async def test_a_story_tells_what_happened_at_a_site_and_to_an_app_there(connect: Connect) -> None:
    await a_decision_carried_out(connect)
    for resource in ("video@bay-7", "bay-7"):
        done = await edgeweir(connect, "story", resource)
        assert done.returncode == 0, done.stderr
        assert "d-1" in done.stdout


async def test_a_pause_stands_on_the_policy_topic_until_it_is_resumed(connect: Connect) -> None:
    assert (await edgeweir(connect, "pause", "site/bay-7", "--for", "10m", "--why", "mast")).returncode == 7
    assert (await edgeweir(connect, "pause", "sites/bay-7", "--yes")).returncode == 2
    assert (await edgeweir(connect, "pause", "site/bay-7", "--for", "ever", "--yes")).returncode == 2
    done = await edgeweir(connect, "pause", "site/bay-7", "--for", "10m", "--why", "mast", "--yes")
    assert done.returncode == 0, done.stderr
    assert (await edgeweir(connect, "resume", "site/bay-7", "--yes")).returncode == 0
    records = [record async for record in tail(connect, [cat.POLICY], whole=True, until_end=True)]
    assert [record.key for record in records] == [b"pause/site/bay-7"] * 2
    pause = decode(Pause, records[0].value)
    assert (pause.scope, pause.why) == ("site/bay-7", "mast")
    assert records[1].value is None


async def test_an_operator_says_yes_or_no_to_a_decision(connect: Connect) -> None:
    assert (await edgeweir(connect, "approve", "d-1")).returncode == 0
    assert (await edgeweir(connect, "approve", "d-1", "--refuse")).returncode == 0
    records = [record async for record in tail(connect, [cat.POLICY], whole=True, until_end=True)]
    assert [decode(Approval, record.value).granted for record in records] == [True, False]


async def a_dead_letter(connect: Connect, body: bytes = REFUSED, size_bytes: int = len(REFUSED)) -> None:
    notes = {"topic": cat.NODE_TELEMETRY.name, "partition": "1", "offset": "5", "reason": "schema", "error": "node_id"}
    said = [(f"dlq-{name}", text.encode()) for name, text in (notes | {"bytes": str(size_bytes)}).items()]
    await send(connect, cat.DEAD_LETTER, "bay-7", body, [("x-mine", b"1"), *said])


async def test_dead_letters_are_listed_shown_and_sent_again_byte_for_byte(connect: Connect) -> None:
    await a_dead_letter(connect)
    listed = await edgeweir(connect, "dlq", "list", "--json")
    letter = json.loads(listed.stdout)
    assert (letter["reason"], letter["topic"], letter["key"]) == ("schema", cat.NODE_TELEMETRY.name, "bay-7")
    shown = json.loads((await edgeweir(connect, "dlq", "show", letter["id"], "--json")).stdout)
    assert (shown["body"], shown["headers"]) == (REFUSED.decode(), {"x-mine": "1"})
    assert (await edgeweir(connect, "dlq", "replay", letter["id"])).returncode == 7
    again = await edgeweir(connect, "dlq", "replay", "--reason", "schema", "--yes")
    assert again.returncode == 0, again.stderr
    records = [record async for record in tail(connect, [cat.NODE_TELEMETRY], whole=True, until_end=True)]
    assert [(one.key, one.value, list(one.headers)) for one in records] == [(b"bay-7", REFUSED, [("x-mine", b"1")])]


async def test_a_letter_that_holds_only_a_part_of_its_record_is_not_sent_again(connect: Connect) -> None:
    await a_dead_letter(connect, size_bytes=100_000)
    assert (await edgeweir(connect, "dlq", "replay", "--yes")).returncode == 7
    assert (await edgeweir(connect, "dlq", "replay", "--reason", "not-json", "--yes")).returncode == 4
