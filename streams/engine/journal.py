"""The journal topic as a store: read a stretch, read a gap, remember where the last complete checkpoint begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from streams.engine.fold import JournalFold
from streams.engine.frames import HEAD_KEY, Kind, decode_header
from topics.catalogue import JOURNAL
from topics.connect import Connect

_FETCH_BYTES = 4 * 1_048_576
_POLL_MS = 500


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

    async def read(self, number: int, upto: int, *, keep_stories: bool = False, whole: bool = False) -> JournalFold:
        """Fold a partition from its last checkpoint (`whole`: from the log's start) to below `upto`."""
        start = None if whole else await self.checkpoint_of(number)
        if start is not None and start >= upto:  # of a journal that was removed since
            start = None
        async with self._reader() as reader:
            reader.assign([self.place(number)])
            try:
                return await self._fold(reader, number, start, upto, keep_stories=keep_stories)
            except OffsetOutOfRangeError:  # trimmed before or under us: what we folded may hold rows deleted since
                return await self._fold(reader, number, None, upto, keep_stories=keep_stories)

    async def _fold(
        self, reader: AIOKafkaConsumer, number: int, start: int | None, upto: int, *, keep_stories: bool
    ) -> JournalFold:
        place, history = self.place(number), JournalFold(keep_stories=keep_stories)
        begin = start if start is not None else (await reader.beginning_offsets([place]))[place]
        reader.seek(place, begin)
        done = begin >= upto
        while not done:
            for records in (await reader.getmany(place, timeout_ms=_POLL_MS)).values():
                done = history.feed(records, upto)
        return history

    async def is_harmless(self, number: int, start: int, end: int) -> bool:
        """Whether the stretch holds only an older writer's garbage: no FENCE, and all of it can be read."""
        async with self._reader() as reader:
            place, at, left = self.place(number), start, 0
            reader.assign([place])
            reader.seek(place, start)
            while at < end:
                try:
                    fetched = await reader.getmany(place, timeout_ms=_POLL_MS)
                except OffsetOutOfRangeError:
                    return False
                for record in fetched.get(place, ()):
                    if record.offset != at and record.offset < end:
                        return False
                    at += 1
                    if left:
                        left -= 1
                    elif record.key == HEAD_KEY and record.value is not None and record.offset < end:
                        header = decode_header(record.value)
                        left = header.records - 1
                        if header.kind == Kind.FENCE:
                            return False
        return True

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
