"""A chunk: consecutive records of one input partition on their way through a Faust channel to a controller's agent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from streams.engine import crashpoints
from streams.engine.frames import Kind
from streams.engine.partition import Handle, Portion
from streams.records import Record
from topics.catalogue import Keyspace, Topic

if TYPE_CHECKING:
    from streams.engine.backlog import Backlog
    from streams.engine.owner import Owner


CAREFUL_RECORDS = 16
"""So many records are announced one by one; who survives them is not killed by the first record."""


class Chunk:
    """Records for one controller, bound to the ownership under which they were fetched."""

    __slots__ = (
        "_events",
        "_handle",
        "_owner",
        "_seconds",
        "backlog",
        "keyspace",
        "last",
        "records",
        "topic",
        "weight_us",
    )

    def __init__(self, owner: Owner, topic: Topic, keyspace: Keyspace, records: Sequence[Record], last: int) -> None:
        """`last` is the offset up to which the controller knows the topic after this chunk."""
        self._owner = owner
        self.topic, self.keyspace, self.records, self.last = topic, keyspace, records, last
        self.backlog: Backlog | None = None
        self.weight_us = 0
        self._handle: Handle | None = None
        self._events, self._seconds = 0, 0.0

    def __len__(self) -> int:
        """How many records."""
        return len(self.records)

    @property
    def partition(self) -> int:
        """Of which partition."""
        return self._owner.number

    @property
    def is_live(self) -> bool:
        """Whether the ownership it was fetched for still stands."""
        return self._owner.is_live

    @property
    def has_room(self) -> bool:
        """Whether its partition may fold more."""
        return self._owner.has_room

    def fold(self, handle: Handle) -> Chunk:
        """Fold all records in one synchronous step; an exception of the controller's ends the worker.

        A chunk of a partition that is not ours any more is left alone: its new owner reads the same records.
        """
        owner = self._owner
        if owner.is_careful:
            self._handle = handle  # each attempt must be journalled first, which `submit` can wait for
            return self
        if owner.is_live:
            self._fold(self.records, self.last, handle)
        self._done()
        return self

    async def submit(self, folded: Chunk) -> None:
        """Let the journal have what was folded, and let others have their turn."""
        if folded._handle is not None:
            await self._fold_carefully(folded._handle)
        folded._owner.poke()
        await asyncio.sleep(0)

    def leave_queue(self) -> None:
        """Nobody waits for it any more."""
        self._owner.queued[self.topic.name, self.keyspace].remove(self)

    def _done(self) -> None:
        self.leave_queue()
        if self.backlog is not None:
            self.backlog.folded(self, self._events, self._seconds)

    def _fold(self, records: Sequence[Record], last: int, handle: Handle) -> None:
        owner, shell = self._owner, self._owner.shell
        started = time.perf_counter()
        try:
            portion = Portion(self.keyspace, self.topic, records, last)
            tally = owner.partition.fold(portion, shell.clock.now_ms(), shell.views.view, handle)
        except Exception:
            shell.crashed(owner, self.place(owner.partition.at))
            raise
        seconds = time.perf_counter() - started
        self._events, self._seconds = self._events + tally.events, self._seconds + seconds
        shell.metrics.chunk(self.topic, self.keyspace, tally, seconds)
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
        if owner.is_live:
            self._fold(self.records, self.last, handle)
            owner.is_careful = False
        self._done()

    def place(self, offset: int) -> str:
        """Topic, keyspace and offset, as crashes are counted."""
        return f"{self.topic.name}/{self.keyspace}/{offset}"
