"""A chunk: consecutive records of one input partition on their way through a Faust channel to a controller's agent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streams.engine import crashpoints
from streams.engine.frames import Kind
from streams.engine.partition import Handle, Portion
from streams.records import Record
from topics.catalogue import Keyspace, Topic

if TYPE_CHECKING:
    from streams.engine.owner import Owner


CAREFUL_RECORDS = 16
"""So many records are announced one by one; who survives them is not killed by the first record."""


class Chunk:
    """Records for one controller, bound to the ownership under which they were fetched."""

    __slots__ = ("_handle", "_owner", "keyspace", "last", "records", "topic")

    def __init__(self, owner: Owner, topic: Topic, keyspace: Keyspace, records: Sequence[Record], last: int) -> None:
        """`last` is the offset up to which the controller knows the topic after this chunk."""
        self._owner = owner
        self.topic, self.keyspace, self.records, self.last = topic, keyspace, records, last
        self._handle: Handle | None = None

    def __len__(self) -> int:
        """How many records."""
        return len(self.records)

    @property
    def partition(self) -> int:
        """Of which partition."""
        return self._owner.number

    def fold(self, handle: Handle) -> Chunk:
        """Fold all records in one synchronous step; an exception of the controller's ends the worker.

        A chunk of a partition that is not ours any more is left alone: its new owner reads the same records.
        """
        owner = self._owner
        if owner.is_careful:
            self._handle = handle  # each attempt must be journalled first, which `submit` can wait for
            return self
        self._leave_queue()
        if owner.is_live:
            self._fold(self.records, self.last, handle)
        return self

    async def submit(self, folded: Chunk) -> None:
        """Let the journal have what was folded; wait only when too much is unwritten."""
        owner = folded._owner
        if folded._handle is not None:
            await self._fold_carefully(folded._handle)
        owner.poke()
        await owner.room()

    def _leave_queue(self) -> None:
        self._owner.queued[self.topic.name, self.keyspace].remove(self)

    def _fold(self, records: Sequence[Record], last: int, handle: Handle) -> None:
        owner, shell = self._owner, self._owner.shell
        started = time.perf_counter()
        try:
            portion = Portion(self.keyspace, self.topic, records, last)
            tally = owner.partition.fold(portion, shell.clock.now_ms(), shell.views.view, handle)
        except Exception:
            shell.crashed(owner, self.place(owner.partition.at))
            raise
        shell.metrics.chunk(self.topic, self.keyspace, tally, time.perf_counter() - started)
        crashpoints.reached("after_fold")

    async def _fold_carefully(self, handle: Handle) -> None:
        """Something killed the worker again and again: journal each attempt before it is made."""
        owner = self._owner
        for record in self.records[:CAREFUL_RECORDS]:
            if owner.writer is None or not await owner.writer.note(Kind.ATTEMPT, self.place(record.offset)):
                break
            if owner.is_live:
                self._fold([record], record.offset, handle)
                owner.poke()
        self._leave_queue()
        if owner.is_live:
            self._fold(self.records, self.last, handle)
            owner.is_careful = False

    def place(self, offset: int) -> str:
        """Topic, keyspace and offset, as crashes are counted."""
        return f"{self.topic.name}/{self.keyspace}/{offset}"
