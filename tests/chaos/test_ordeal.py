"""Seeded chaos: whatever the nemesis did, rows are the oracle's and every effect happened once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeweir.dev.broker import Broker
from edgeweir.dev.kit import Kit
from edgeweir.dev.runs import Run
from tests.chaos.nemesis import Plan
from tests.chaos.ordeal import undergo
from tests.chaos.rig import Doors

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture(scope="module")
def doors() -> Doors:
    return Doors()


@pytest.fixture(scope="module")
def chaos_broker(doors: Doors, broker_kit: Kit, test_run: Run) -> Iterator[Broker]:
    broker = doors.broker(test_run, broker_kit, "kafka-chaos")
    asyncio.run(broker.start())
    yield broker
    asyncio.run(broker.stop())


@pytest.mark.timeout(180)
async def test_a_seeded_nemesis_changes_nothing_that_counts(chaos_broker: Broker, doors: Doors, tmp_path: Path) -> None:
    verdict = await undergo(chaos_broker, doors, Plan(seed=1, seconds=15), tmp_path)
    assert verdict.wrong == []
    assert verdict.commands > 0
    print(verdict)
