"""An owned partition: its state, the tasks that write and release for it, and how far each input was handed out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import structlog

from streams.engine import crashpoints
from streams.engine.cutter import Cutter
from streams.engine.frames import Frame, Kind
from streams.engine.lost import Fenced, ProduceFailed
from streams.engine.partition import Partition
from streams.engine.release import Releaser
from streams.engine.trimming import Trimming
from streams.engine.writer import JournalWriter
from topics.catalogue import Keyspace, Topic

if TYPE_CHECKING:
    from streams.engine.chunk import Chunk
    from streams.engine.shell import Shell

LAZY_S = 0.1
"""Marks and outbox removals alone wait this long for company."""
PENDING_ROWS = 6_000
OUTBOX_ENTRIES = 50_000
"""Above these a chunk waits until the writer or the releaser has caught up."""
REPUBLISH_MS = 3_600_000
"""Public rows are said again with a checkpoint this long after the last time, for readers that believed a late copy."""
TRIM_TIMEOUT_S = 20.0
CAREFUL_FENCES = 3
"""So many takeovers without a frame between them (ours included): something kills the worker while it folds."""


log = structlog.get_logger()


class State(StrEnum):
    """The life of an ownership; it never goes back."""

    TAKING = "taking"
    LIVE = "live"
    DEAD = "dead"


class Owner:
    """One ownership of one partition. A partition that is taken again gets a new object: old records find it dead."""

    def __init__(self, shell: Shell, partition: Partition) -> None:
        """Not ours yet: a takeover makes it live."""
        self.shell, self.partition = shell, partition
        self.state = State.TAKING
        self.next: dict[str, int] = {}
        self.targets: dict[str, int] = {}
        self.is_caught_up = False
        self.is_careful = False
        self.queued: dict[tuple[str, Keyspace], list[Chunk]] = {}
        self.generation = shell.producers.generation
        self.current_since_ms = shell.clock.now_ms()
        self.writer: JournalWriter | None = None
        self.releaser: Releaser | None = None
        self.trimming = Trimming(shell.settings.worker.journal_keep_s * 1000)
        self._cutter = Cutter(partition, shell.settings.worker.checkpoint_slice)
        self._begun_ms = self._published_ms = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._lazy: asyncio.TimerHandle | None = None

    @property
    def number(self) -> int:
        """Which partition."""
        return self.partition.number

    @property
    def is_live(self) -> bool:
        """Whether it may fold, write and release."""
        return self.state is State.LIVE

    def go(self, epoch: int, changes_read: int) -> None:
        """Own it: start writing and releasing, what is left in the outbox first."""
        shell = self.shell
        self.writer = JournalWriter(
            self._cutter,
            epoch,
            journal=shell.journal,
            producers=shell.producers,
            clock=shell.clock,
            views=lambda: shell.views.vector,
            history=self._history,
        )
        self.writer.changes_since_checkpoint = changes_read
        self.releaser = Releaser(
            self.partition,
            producers=shell.producers,
            view=shell.views.view,
            clock=shell.clock,
            sent=self.poke_later,
            failed=self._failed,
        )
        self.state = State.LIVE
        if self.partition.outbox:
            self.releaser.queue.put_nowait(list(self.partition.outbox.items()))
        self._publish(shell.clock.now_ms())
        for work in (self.writer.write(), self.writer.acknowledge(), self.releaser.run()):
            self._tasks.append(asyncio.create_task(self._guard(work)))
        self.poke()

    def drop(self) -> None:
        """Forget it at once; nothing is released any more. What is on the wire is judged by whoever reads it."""
        self.state = State.DEAD
        if self._lazy is not None:
            self._lazy.cancel()
        if self.writer is not None:
            self.writer.give_up()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    def poke(self) -> None:
        """Something was folded: let the writer have it, at once if others wait for it."""
        if not self.is_live or self.writer is None:
            return
        if self.partition.is_urgent:
            self.writer.wake.set()
        else:
            self.poke_later()

    def poke_later(self) -> None:
        """Let the writer have it soon."""
        if self.is_live and self._lazy is None:
            self._lazy = asyncio.get_running_loop().call_later(LAZY_S, self._wake)

    def _wake(self) -> None:
        self._lazy = None
        if self.is_live and self.writer is not None:
            self.writer.wake.set()

    @property
    def has_room(self) -> bool:
        """Whether the next chunk may be folded: writer and releaser are not too far behind."""
        if self.partition.pending_rows < PENDING_ROWS and len(self.partition.outbox) < OUTBOX_ENTRIES:
            return True
        if self.writer is not None:
            self.writer.wake.set()
        return False

    async def sealed(self) -> None:
        """Return when another frame may be sealed ahead of the writer."""
        while self.is_live and self.writer is not None and self.writer.waiting > 1:
            self.writer.room.clear()
            await self.writer.room.wait()

    @property
    def is_idle(self) -> bool:
        """Whether all that was folded is history and released."""
        writer, releaser = self.writer, self.releaser
        if writer is None or releaser is None or not self.is_live:
            return True
        return writer.is_idle and releaser.queue.empty() and not self.partition.outbox

    def has_queued(self, topic: Topic) -> bool:
        """Whether chunks of the topic wait for their agents."""
        return any(chunks and name == topic.name for (name, _), chunks in self.queued.items())

    def _history(self, frame: Frame, begin_offset: int) -> None:
        """A frame is history: release its outputs; a checkpoint's last frame completes it."""
        assert self.writer is not None
        assert self.releaser is not None
        self.shell.metrics.frame(frame)
        if frame.outputs:
            self.releaser.queue.put_nowait(frame.outputs)
        if frame.kind == Kind.BEGIN:
            self._begun_ms = self.shell.clock.now_ms()
        elif frame.kind == Kind.END:
            self._checkpointed(begin_offset)
        elif self.writer.changes_since_checkpoint > self._checkpoint_after():
            self.writer.start_checkpoint()
        self.writer.room.set()

    def _checkpointed(self, begin: int) -> None:
        """A checkpoint is complete: recovery begins there, and what only replays of long ago would read may go."""
        now_ms = self.shell.clock.now_ms()
        self.shell.checkpointed(self.number, begin)
        self.trimming.completed(begin, self._begun_ms)
        upto = self.trimming.due(now_ms)
        if upto is not None:
            self._tasks.append(asyncio.create_task(self._trim(upto)))
        if now_ms - self._published_ms > REPUBLISH_MS:
            self._publish(now_ms)
            self.poke()

    async def _trim(self, upto: int) -> None:
        """Nothing depends on it: what fails now is done with a later checkpoint."""
        try:
            crashpoints.reached("before_trim")
            low = await asyncio.wait_for(self.shell.journal.trim(self.number, upto), TRIM_TIMEOUT_S)
            crashpoints.reached("after_trim")
        except Exception as error:  # noqa: BLE001 - whatever it was, the journal is only longer than it need be
            log.warning("journal was not trimmed", partition=self.number, upto=upto, why=repr(error))
        else:
            self.shell.metrics.trims.inc()
            log.info("journal trimmed", partition=self.number, begins=low)

    def _publish(self, now_ms: int) -> None:
        self._published_ms = now_ms
        self.partition.publish_rows(now_ms)

    def _checkpoint_after(self) -> float:
        every = self.shell.settings.worker.checkpoint_every
        rows = sum(len(table) for _, table in self.partition.named_tables)
        return max(every, 2 * rows) if every else float("inf")

    def _failed(self, error: Exception) -> None:
        if self.is_live:
            self.shell.lost(self, error)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """What ends a task ends the ownership; what is neither a fence nor a failed write is our bug."""
        try:
            await work
        except (Fenced, ProduceFailed) as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - a bug must end the worker, not only this task
            self.shell.bug(error)


Lost = Callable[[Owner, Exception], None]
