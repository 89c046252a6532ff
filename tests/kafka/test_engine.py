"""The engine on a real broker: what workers leave behind is what plain Python says, whoever was killed in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kafka.town import Town, check

pytestmark = pytest.mark.kafka


@pytest.fixture
async def town(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(broker, topic_prefix, tmp_path)
    await town.open()
    yield town
    town.close()


async def test_rows_and_commands_are_what_plain_python_says(town: Town) -> None:
    town.start("w0")
    await town.produce(5000)
    expected = await check(town, await town.settled())
    assert len(expected.commands) > 100
    assert sum(count for count, _ in expected.told.values()) > 500


async def test_two_workers_share_the_partitions_and_a_killed_one_is_replaced(town: Town) -> None:
    town.start("w0")
    town.start("w1")
    load = asyncio.create_task(town.produce(9000, rate=1500))
    await asyncio.sleep(3)
    town.workers["w0"].kill()
    await asyncio.sleep(0.5)
    town.start("w0")
    await load
    await check(town, await town.settled())
