"""The journal is trimmed to a complete checkpoint; what is taken over and folded again from the rest is the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from streams.engine.frames import HEAD_KEY, Kind, decode_header
from streams.engine.journal import Journal
from streams.engine.lost import StartRefused
from tests.kafka.town import Town, check
from topics.catalogue import JOURNAL

pytestmark = pytest.mark.kafka


@pytest.fixture
async def town(broker: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(broker, topic_prefix, tmp_path, partitions=2)
    await town.open()
    yield town
    town.close()


async def begins(town: Town) -> list[int]:
    """Where each journal partition begins."""
    places = [TopicPartition(town.connect.name(JOURNAL), number) for number in range(town.partitions)]
    async with town.connect.consumer("t") as reader:
        return list((await reader.beginning_offsets(places)).values())


async def produce_until(town: Town, happened: Callable[[], bool]) -> None:
    """Events go on until something has happened."""
    for _ in range(40):
        await town.produce(300, rate=600)
        if happened():
            return
    raise AssertionError("it did not happen")


async def test_a_trimmed_journal_is_taken_over_and_folded_again_with_the_same_rows(town: Town) -> None:
    town.start("w0", JOURNAL_KEEP_S="1", CHECKPOINT_EVERY="50", CHECKPOINT_SLICE="10")
    await produce_until(town, lambda: all(f'"partition": {n}, "begins"' in town.log("w0") for n in range(2)))
    await town.settled()
    assert await town.stop("w0") == 0
    assert all(begin > 0 for begin in await begins(town))
    town.start("w0", JOURNAL_KEEP_S="1")
    await town.produce(500)
    await check(town, await town.settled())
    assert await town.stop("w0") == 0
    journals = await town.journals()
    replayed = await town.replayed("1")
    for number, history in journals.items():
        rows = {name: bytes.fromhex(data) for name, data in replayed[str(number)]["rows"].items()}
        assert rows == history.rows


async def test_a_reader_under_which_the_log_is_trimmed_begins_again_and_a_cut_elsewhere_is_refused(town: Town) -> None:
    town.start("w0", JOURNAL_KEEP_S="0", CHECKPOINT_EVERY="50", CHECKPOINT_SLICE="10")
    await town.produce(2_000)
    whole = (await town.settled())[0]
    assert await town.stop("w0") == 0
    journal = Journal(town.connect, "t", "app")
    await journal.start(town.partitions)
    end = (await journal.ends([0]))[0]
    assert whole.complete is not None
    await journal.remember_checkpoint(0, 0)  # a deposed owner's late word
    assert await journal.trim(0, whole.complete[0]) == whole.complete[0]
    short = await journal.read(0, end)
    assert (short.rows, short.outbox) == (whole.rows, {})
    assert await journal.trim(0, whole.complete[0] + 1) == whole.complete[0] + 1
    with pytest.raises(StartRefused, match="not with a checkpoint"):
        await journal.read(0, end)
    await journal.stop()


async def test_a_worker_that_dies_at_a_trim_loses_nothing(town: Town) -> None:
    for point in ("before_trim", "after_trim"):
        name = f"w-{point.replace('_', '-')}"
        town.start(
            name, JOURNAL_KEEP_S="1", CHECKPOINT_EVERY="50", CHECKPOINT_SLICE="10", EDGEWEIR_TEST_CRASH=f"{point}:1"
        )
        worker = town.workers[name]
        await produce_until(town, lambda worker=worker: worker.poll() is not None)  # type: ignore[misc]  # a bound name
    town.start("w0")
    await check(town, await town.settled())
    heads = [decode_header(line.value).kind for line in await town.read(JOURNAL) if line.key == HEAD_KEY]
    assert Kind.BEGIN in heads
