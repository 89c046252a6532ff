"""The engine on a real broker: what workers leave behind is what plain Python says, whatever came in."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas import wire
from schemas.cloudevents import Envelope, headers
from schemas.estate import Site, Tier
from schemas.policy import Pause
from tests.kafka.town import Town, check, rows_of, sample, until
from tests.kafka.toy import NodeRow, SiteRow
from topics import provision
from topics.catalogue import COMMAND_SCALING, DEAD_LETTER, ESTATE, INVENTORY, NODE_TELEMETRY, POLICY
from topics.partition import partition_of

pytestmark = pytest.mark.kafka


@pytest.fixture
async def town(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(broker, topic_prefix, tmp_path)
    await town.open()
    yield town
    town.close()


async def test_rows_and_commands_are_what_plain_python_says_and_a_replay_gives_the_same_bytes(town: Town) -> None:
    await town.send(ESTATE, site_record("s1"))
    town.start("w0")
    await town.produce(2500)
    await town.send(ESTATE, site_record("s2"))
    await town.produce(2500)
    expected = await check(town, await town.settled())
    assert len(expected.commands) > 100
    assert sum(count for count, _ in expected.told.values()) > 500
    town.workers["w0"].terminate()
    assert town.workers["w0"].wait(10) == 0
    journals = await town.journals()
    one, two = await asyncio.gather(town.replayed("1"), town.replayed("2"))
    assert one == two
    for number, history in journals.items():
        assert {name: bytes.fromhex(data) for name, data in one[str(number)]["rows"].items()} == history.rows
    commands = [i for part in one.values() for i in part["ids"].get(COMMAND_SCALING.name, ())]
    assert {i.split("/")[0] for i in commands} == expected.commands.keys()
    assert any(row.price_known_at_ms for row in rows_of(journals, "site/sites", SiteRow).values())


async def test_a_bad_record_becomes_a_dead_letter_with_its_bytes_and_its_neighbours_go_on(town: Town) -> None:
    broken = b'{"node_id": "s1-n1" ' + b"x" * 100_000
    attributes = sample("s1", "s1-n1", 0, 1)[2]
    await town.send(
        NODE_TELEMETRY, sample("s1", "s1-n1", 0, 5), ("s1", broken, attributes), sample("s1", "s1-n1", 1, 6)
    )
    town.start("w0")
    nodes = rows_of(await town.settled(), "site/nodes", NodeRow)
    assert (nodes["s1-n1"].events, nodes["s1-n1"].cpu_sum) == (2, 11)
    (letter,) = await town.read(DEAD_LETTER)
    said = {name: value.decode() for name, value in letter.headers}
    assert letter.value == broken[:65_536]
    assert letter.key == b"s1"
    assert said["dlq-sha256"] == hashlib.sha256(broken).hexdigest()
    assert (said["dlq-topic"], said["dlq-offset"], said["dlq-reason"]) == (NODE_TELEMETRY.name, "1", "not-json")
    assert said["ce_id"] == "s1-n1/0"


async def test_a_record_in_the_wrong_partition_is_sent_home_and_folded_there_once(town: Town) -> None:
    home = partition_of("s3", town.partitions)
    await town.send(NODE_TELEMETRY, sample("s3", "s3-n0", 0, 9), partition=(home + 1) % town.partitions)
    town.start("w0")
    journals = await town.settled()
    assert rows_of(journals, "site/nodes", NodeRow)["s3-n0"].events == 1
    assert "site/nodes/s3-n0" in journals[home].rows


async def test_time_passes_by_itself_and_a_tick_without_effect_leaves_no_frame(town: Town) -> None:
    await town.send(NODE_TELEMETRY, sample("s1", "s1-n1", 0, 5))
    town.start("w0")
    row = await town.first(INVENTORY, 20)
    assert json.loads(row.value)["site_id"] == "s1"
    await asyncio.sleep(0.5)
    journals = await town.settled()
    stories = journals[partition_of("s1", town.partitions)].stories
    ticks = [folded for story in stories for folded in story.folded if not folded.topic]
    assert len(ticks) == 1
    assert rows_of(journals, "site/sites", SiteRow)["s1"].quiet == 1
    ends = {number: fold.next for number, fold in journals.items()}
    await asyncio.sleep(1)
    assert {number: fold.next for number, fold in (await town.journals()).items()} == ends


async def test_a_paused_command_is_never_sent_but_its_decision_stands(town: Town) -> None:
    pause = Pause(scope="site/s1", until_ms=1 << 45, why="test", by="tester")
    envelope = Envelope(id="p", source="/test", type="io.edgeweir.pause.v1", time_ms=1)
    await town.send(POLICY, ("pause/site/s1", wire.encode_json(pause), headers(envelope)))
    town.start("w0")
    await town.send(NODE_TELEMETRY, sample("s1", "s1-n1", 0, 2000), sample("s2", "s2-n1", 0, 2000))
    journals = await town.settled()
    assert rows_of(journals, "site/nodes", NodeRow)["s1-n1"].cpu_sum == 2000
    assert {record.key for record in await town.read(COMMAND_SCALING)} == {b"s2"}


async def test_an_event_that_crashes_its_controller_three_times_is_quarantined(town: Town) -> None:
    poison = sample("s1", "s1-n1", 1, 666_666)
    await town.send(NODE_TELEMETRY, sample("s1", "s1-n1", 0, 5), poison, sample("s1", "s1-n1", 2, 6))
    for _ in range(3):
        assert town.start("w0").wait(20) != 0
    town.start("w0")
    nodes = rows_of(await town.settled(), "site/nodes", NodeRow)
    assert (nodes["s1-n1"].events, nodes["s1-n1"].last) == (2, 2)
    (letter,) = await town.read(DEAD_LETTER)
    assert (letter.value, dict(letter.headers)["dlq-reason"]) == (poison[1], b"handler-crash")
    replayed = await town.replayed("0")
    number = partition_of("s1", town.partitions)
    assert (
        bytes.fromhex(replayed[str(number)]["rows"]["site/nodes/s1-n1"])
        == (await town.journals())[number].rows["site/nodes/s1-n1"]
    )


async def test_a_worker_without_topics_says_so_in_one_sentence(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    town = Town(broker, topic_prefix, tmp_path)
    assert town.start("w0").wait(20) == 78
    assert "topics are missing" in town.log("w0")
    assert "Traceback" not in town.log("w0")


async def test_a_topic_that_was_made_anew_is_refused_in_one_sentence(town: Town) -> None:
    await town.send(NODE_TELEMETRY, sample("s1", "s1-n1", 0, 5))
    town.start("w0")
    await town.settled()
    town.workers["w0"].terminate()
    assert town.workers["w0"].wait(12) == 0
    admin = town.connect.admin("town")
    await admin.start()
    await admin.delete_topics([town.connect.name(NODE_TELEMETRY)])
    await asyncio.sleep(0.5)
    goal = provision.wanted(town.settings)
    found = await provision.read_cluster(admin, [topic.name for topic in goal])
    await provision.apply(admin, goal, provision.plan(goal, found))
    await admin.close()
    assert town.start("w0").wait(25) == 78
    assert "the topic was made anew" in town.log("w0")
    assert "Traceback" not in town.log("w0")


async def test_a_second_worker_in_the_same_slot_is_refused(town: Town) -> None:
    town.start("w0")
    await until(lambda: town.log("w0").count("partition taken over") == town.partitions)
    first = town.workers["w0"]
    second = town.start("w0")
    assert second.wait(20) == 78
    assert "another worker of this host runs as instance w0" in town.log("w0")
    first.terminate()
    assert first.wait(10) == 0


def site_record(site: str) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    body = Site(id=site, region="r", name=site, tier=Tier.ACCESS, lat_e7=0, lon_e7=0)
    return (
        f"site/{site}",
        wire.encode_json(body),
        headers(Envelope(id=site, source="/test", type="io.edgeweir.estate.site.v1", time_ms=1)),
    )
