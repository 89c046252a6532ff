"""The journal topic as a store: read a stretch, read a gap, remember where the last complete checkpoint begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete

from streams.engine.fold import JournalFold
from streams.engine.reading import Stretch, fold_stretches, is_harmless
from topics.catalogue import JOURNAL
from topics.connect import Connect

_FETCH_BYTES = 4 * 1_048_576


class Journal:
    """All partitions of the journal. Checkpoints are offsets of a group of their own that nobody joins."""

    def __init__(self, connect: Connect, client_id: str, app_id: str) -> None:
        """Nothing is opened yet."""
        self._connect = connect
        self._client_id = client_id
        self._group = f"{app_id}-journal"
        self.topic = connect.name(JOURNAL)
        self._marks: AIOKafkaConsumer | None = None

    async def start(self, partitions: int) -> None:
        """Open the client that asks for offsets; it fetches no records."""
        marks = self._marks = self._connect.consumer(
            f"{self._client_id}-journal", group_id=self._group, auto_offset_reset="latest"
        )
        await marks.start()
        places = [self.place(number) for number in range(partitions)]
        marks.assign(places)
        marks.pause(*places)

    async def stop(self) -> None:
        """Close the client."""
        if self._marks is not None:
            await self._marks.stop()

    def place(self, number: int) -> TopicPartition:
        """A partition as clients name it."""
        return TopicPartition(self.topic, number)

    async def ends(self, numbers: list[int]) -> dict[int, int]:
        """The offset behind the last record, by partition."""
        assert self._marks is not None
        ends = await self._marks.end_offsets([self.place(number) for number in numbers])
        return {place.partition: end for place, end in ends.items()}

    async def checkpoint_of(self, number: int) -> int | None:
        """Where the last complete checkpoint begins; None if there was none."""
        assert self._marks is not None
        offset: int | None = await self._marks.committed(self.place(number))
        return offset

    async def remember_checkpoint(self, number: int, begin: int) -> None:
        """A complete checkpoint begins here. A zombie may say so too: what it names is valid all the same."""
        assert self._marks is not None
        await self._marks.commit({self.place(number): begin})

    async def trim(self, number: int, begin: int) -> int:
        """Remove what stands before a complete checkpoint's BEGIN; the log's new beginning."""
        admin = self._connect.admin(f"{self._client_id}-trim")
        await admin.start()
        try:
            place = self.place(number)
            lows: dict[TopicPartition, int] = await admin.delete_records({place: RecordsToDelete(begin)})
            return lows[place]
        finally:
            await admin.close()

    async def read(self, number: int, upto: int, *, keep_stories: bool = False, whole: bool = False) -> JournalFold:
        """Fold a partition from its last checkpoint (`whole`: from the log's start) to below `upto`."""
        found = dict([pair async for pair in self.read_all({number: upto}, keep_stories=keep_stories, whole=whole)])
        return found[number]

    async def read_all(
        self, wanted: Mapping[int, int], *, keep_stories: bool = False, whole: bool = False
    ) -> AsyncIterator[tuple[int, JournalFold]]:
        """Fold partitions to below the given offsets through one client; each is given as soon as it is read."""
        begins = [None] * len(wanted) if whole else await asyncio.gather(*map(self.checkpoint_of, wanted))
        stretches = {
            # a checkpoint at or behind the end is of a journal that was removed since
            number: Stretch(start if start is not None and start < wanted[number] else None, wanted[number])
            for number, start in zip(wanted, begins, strict=True)
        }
        async with self._reader() as reader:
            async for found in fold_stretches(reader, self.topic, stretches, keep_stories=keep_stories):
                yield found

    async def is_harmless(self, number: int, start: int, end: int) -> bool:
        """Whether the stretch holds only an older writer's garbage: no FENCE, and all of it can be read."""
        async with self._reader() as reader:
            return await is_harmless(reader, self.place(number), start, end)

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        reader = self._connect.consumer(
            f"{self._client_id}-reader",
            auto_offset_reset="none",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=20,
        )
        await reader.start()
        try:
            yield reader
        finally:
            await stop_reader(reader)


async def stop_reader(reader: AIOKafkaConsumer) -> None:
    """Close a consumer. One that is closed right after its start lets its own cancelled task's error out at us."""
    try:
        await reader.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
