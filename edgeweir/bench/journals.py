"""Fills the journal with rows before a takeover is measured, in the frames that an owner would have written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from streams.engine.cutter import Cutter
from streams.engine.frames import FenceNote, Frame, Header, Kind, batches
from streams.engine.journal import Journal
from streams.engine.partition import Partition
from streams.engine.producers import Producers
from streams.engine.writer import append_batch
from topics.catalogue import JOURNAL
from topics.connect import Connect

FRAME_ROWS = 2_000


class Filler:
    """Writes whole histories; `start` and `stop` open and close its clients."""

    def __init__(self, connect: Connect, app_id: str) -> None:
        """Nothing is opened yet; `app_id` is the estate's, whose checkpoints are remembered."""
        self._producers, self._journal = Producers(connect, "filler"), Journal(connect, "filler", app_id)
        self._connect = connect

    async def start(self) -> None:
        """Open the clients."""
        await self._producers.start((JOURNAL,))
        await self._journal.start(self._connect.partitions)

    async def stop(self) -> None:
        """Close them."""
        await self._producers.stop()
        await self._journal.stop()

    async def fill(
        self, partition: Partition, table: str, rows: Iterable[tuple[str, Any]], *, checkpoint: bool = False
    ) -> int:
        """Put rows into `space/table/` and journal them; with a complete checkpoint if wanted. Where BEGIN is."""
        cutter, target = Cutter(partition), dict(partition.named_tables)[table]
        epoch = await self._append(partition.number, Header(Kind.FENCE, -1, 0, 0, 1, 1, fence=FenceNote(0, 1, "f")), [])
        number, begin = 0, -1
        for count, (key, row) in enumerate(rows, 1):
            target[key] = row
            if count % FRAME_ROWS == 0:
                number += 1
                await self._frame(partition.number, epoch, number, cutter.cut({}))
        frames = [cutter.cut({}), *(cutter.begin({}) if checkpoint else ())]
        while cutter.in_checkpoint:
            frames.append(cutter.cut({}))
        for frame in filter(None, frames):
            number += 1
            offset = await self._frame(partition.number, epoch, number, frame)
            begin = offset if frame.kind == Kind.BEGIN else begin
        if checkpoint:
            await self._journal.remember_checkpoint(partition.number, begin)
        return begin

    async def _frame(self, number: int, epoch: int, frame_number: int, frame: Frame | None) -> int:
        assert frame is not None
        parts = list(batches(frame.records))
        offsets = [
            await self._append(
                number,
                Header(
                    kind=frame.kind,
                    epoch=epoch,
                    number=frame_number,
                    part=i,
                    parts=len(parts),
                    records=len(part) + 1,
                    story=None if i else frame.story,
                ),
                part,
            )
            for i, part in enumerate(parts)
        ]
        return offsets[0]

    async def _append(self, number: int, header: Header, records: list[tuple[bytes, bytes]]) -> int:
        future = await append_batch(self._producers, self._journal, number, header, records)
        return int((await asyncio.wait_for(future, 20)).offset)
