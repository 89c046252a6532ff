"""What the journal says about a measured round: when the last event became history, by the broker's own clock."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from aiokafka import TopicPartition

from edgeweir.bench.filling import Stretch
from streams.engine.frames import HEAD_KEY, Kind, decode_header
from topics.catalogue import JOURNAL, Keyspace, Topic
from topics.connect import Connect

_FETCH_BYTES = 4 * 1_048_576


class JournalWatch:
    """Reads headers of frames from now on; reads only when asked, so that it takes no time from who is measured."""

    def __init__(self, connect: Connect, topic: Topic, keyspace: Keyspace) -> None:
        self._topic = f"{topic.name}/{keyspace}"
        self._places = [TopicPartition(connect.name(JOURNAL), number) for number in range(connect.partitions)]
        self._reader = connect.consumer(
            "bench-journal",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
            check_crcs=False,
        )
        self.marks: dict[int, list[tuple[int, int]]] = {}
        self.checkpoints = 0

    async def __aenter__(self) -> Self:
        await self._reader.start()
        self._reader.assign(self._places)
        await self.skip()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._reader.stop()

    async def skip(self) -> None:
        """Forget what was; only what comes now counts."""
        self._reader.pause(*self._places)
        for place, end in (await self._reader.end_offsets(self._places)).items():
            self._reader.seek(place, end)
        self.marks = {place.partition: [] for place in self._places}
        self.checkpoints = 0

    async def look(self) -> None:
        """Read what was written since the last look."""
        ends = await self._reader.end_offsets(self._places)
        self._reader.resume(*self._places)
        while any([await self._reader.position(place) < ends[place] for place in self._places]):
            for place, records in (await self._reader.getmany(timeout_ms=200)).items():
                for record in records:
                    if record.key == HEAD_KEY and record.value is not None:
                        self._take(place.partition, record.timestamp, record.value)
        self._reader.pause(*self._places)

    def _take(self, partition: int, at_ms: int, value: bytes) -> None:
        header = decode_header(value)
        self.checkpoints += header.kind == Kind.END
        if header.story is not None and (mark := header.story.marks.get(self._topic)) is not None:
            self.marks[partition].append((mark, at_ms))

    def done_ms(self, stretch: Stretch) -> int | None:
        """When every record of the stretch had become history; None if that is not yet so."""
        latest = 0
        for partition, (first, end) in enumerate(zip(stretch.first, stretch.end, strict=True)):
            if first == end:
                continue
            at_ms = self.since(partition, end - 1)
            if at_ms is None:
                return None
            latest = max(latest, at_ms)
        return latest

    def since(self, partition: int, offset: int) -> int | None:
        """The time of the first frame whose mark is at or behind that offset."""
        return next((at_ms for mark, at_ms in self.marks[partition] if mark >= offset), None)
