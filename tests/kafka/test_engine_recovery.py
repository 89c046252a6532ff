"""Taking over what is large: rows by the hundred thousand are there again in a moment, with or without a checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgeweir.bench.journals import Filler
from streams.engine.envelopes import Speaker
from streams.engine.partition import Partition
from tests.kafka.town import Town, rows_of, until
from tests.kafka.toy import CONTROLLERS, NodeRow

pytestmark = pytest.mark.kafka
PARTITIONS = 4


@pytest.fixture
async def town(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(broker, topic_prefix, tmp_path, partitions=PARTITIONS)
    await town.open()
    yield town
    town.close()


async def fill(town: Town, count: int, *, checkpoint: bool) -> dict[str, NodeRow]:
    """So many node rows, over all partitions."""
    filler = Filler(town.connect, town.settings.topic_prefix + "app")
    await filler.start()
    rows = {f"s{i // 24:05d}-n{i % 24:02d}": NodeRow(events=i, cpu_sum=7 * i, last=i) for i in range(count)}
    for number in range(PARTITIONS):
        speaker = Speaker(partition=number, partitions=PARTITIONS)
        partition = Partition(speaker, {keyspace: make(number) for keyspace, make in CONTROLLERS.items()})
        mine = list(rows.items())[number::PARTITIONS]
        await filler.fill(partition, "site/nodes/", mine, checkpoint=checkpoint)
    await filler.stop()
    return rows


def told(town: Town) -> dict[str, Any]:
    """What the worker says of its takeover."""
    lines = [line for line in town.log("w0").splitlines() if "takeover complete" in line]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


@pytest.mark.parametrize("checkpoint", [False, True], ids=["from-the-beginning", "from-a-checkpoint"])
async def test_a_hundred_thousand_rows_are_taken_over_in_a_moment(town: Town, checkpoint: bool) -> None:
    rows = await fill(town, 100_000, checkpoint=checkpoint)
    town.start("w0")
    await until(lambda: "takeover complete" in town.log("w0"), 30)
    said = told(town)
    assert (said["partitions"], said["rows"]) == (PARTITIONS, len(rows))
    assert said["seconds"] < 3  # the bar of 0.5 s is for a quiet machine; `edgeweir bench` measures it
    assert rows_of(await town.journals(), "site/nodes", NodeRow) == rows


@pytest.mark.slow
@pytest.mark.skipif("EDGEWEIR_TEST_MILLION" not in os.environ, reason="EDGEWEIR_TEST_MILLION=1 wants it: a minute")
async def test_a_million_rows_are_taken_over_in_seconds(town: Town) -> None:
    await fill(town, 1_000_000, checkpoint=True)
    town.start("w0")
    await until(lambda: "takeover complete" in town.log("w0"), 60)
    assert told(town)["rows"] == 1_000_000
    assert told(town)["seconds"] < 15  # the bar of 5 s is for a quiet machine
