"""The engine: one service of a Faust app that reads, folds, journals and releases (docs/decisions/003, ENGINE.md)."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Mapping

import faust
import mode
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from edge_control.controllers.base import Controller
from streams.engine.backlog import IN_HAND, Backlog
from streams.engine.boot import partition_counts
from streams.engine.chunk import Chunk
from streams.engine.decode import make_decoders
from streams.engine.envelopes import Speaker
from streams.engine.frames import Kind
from streams.engine.lost import Fenced, StartRefused
from streams.engine.membership import Slot, input_names, leave, open_consumer
from streams.engine.normalise import Normaliser
from streams.engine.owner import Owner
from streams.engine.partition import Partition
from streams.engine.pump import Valve, cut_chunks
from streams.engine.roster import Roster
from streams.engine.shell import Shell
from streams.engine.ticks import is_caught_up, lag_ms, tick
from streams.engine.watchdog import Watchdog
from streams.settings import WorkerSettings
from topics.catalogue import JOURNAL, Keyspace
from topics.connect import Connect

log = structlog.get_logger()
MakeController = Callable[[int], Controller]
POLL_MS = 200
PACE_S = 0.005
"""Waits so long between polls while little is there, so that one fetch and one produce request carry all partitions."""
BLOCKED_S = 0.01
"""Looks so often whether the journal has caught up where it is all that the backlog waits for."""
DRAIN_S = 6.0
REFUSED_EXIT = 78
"""EX_CONFIG: starting again without a correction would change nothing."""


class Engine(mode.Service):
    """Everything between Kafka and the controllers of one worker."""

    def __init__(
        self, app: faust.App, settings: WorkerSettings, controllers: Mapping[Keyspace, MakeController]
    ) -> None:
        """`controllers` make the controller of a partition; every keyspace has one."""
        super().__init__()
        self.app, self.settings = app, settings
        self._controllers = controllers
        self._normaliser = Normaliser(settings.raw.site, settings.raw.salt.encode())
        self._channels = {keyspace: app.channel(maxsize=2 * IN_HAND) for keyspace in Keyspace}
        self._counts: dict[str, int] = {}
        self._failure: BaseException | None = None

    def chunks(self, keyspace: str) -> faust.ChannelT[Chunk]:
        """The channel that carries the chunks of one controller to its agent."""
        return self._channels[Keyspace(keyspace)]

    async def on_start(self) -> None:
        """Check the topics, read the view whole, join the group."""
        try:
            self._slot = Slot(self.settings)
            self._counts = await partition_counts(Connect(self.settings.kafka), self._slot.client_id)
        except StartRefused as refused:
            self._refuse(refused)
        shell = self.shell = Shell(
            self.settings, self._slot.client_id, lost=self._lost, bug=self._bug, checkpointed=self._checkpointed
        )
        make_decoders()
        shell.metrics.serve(self.settings.metrics.bind, self.settings.metrics.port)
        await asyncio.gather(
            shell.producers.start(shell.topics),
            shell.journal.start(self._counts[JOURNAL.name]),
            shell.views.start(self._counts),
        )
        self.consumer: AIOKafkaConsumer = open_consumer(shell.connect, self._slot, self.settings)
        self.roster = Roster(shell, self.consumer, self._make_owner)
        self._topics = {shell.connect.name(topic): topic for topic in shell.inputs}
        self._backlog = Backlog()
        self._valve = Valve(self.consumer, self._topics, self.roster.owners, self._backlog)
        self.consumer.subscribe(input_names(shell.connect), listener=self.roster)
        await self.consumer.start()
        gc.set_threshold(200_000, 50, 1000)  # rows live long: fewer looks at them are 25-30 % of a core
        gc.freeze()

    async def on_started(self) -> None:
        """Channel queues wait for this; each call empties them, so it is made once."""
        self.app.flow_control.resume()

    async def on_stop(self) -> None:
        """Finish what is in flight, leave the group, close the clients; a crash is journalled first."""
        if not hasattr(self, "roster"):
            return
        shell = self.shell
        if shell.crash is not None:
            await self._note_crash()
        elif self._failure is None:
            await self._drain()
        await self._quietly(leave(self.consumer))
        await self.roster.close()
        await self._quietly(shell.producers.stop())
        await self._quietly(shell.views.stop())
        await self._quietly(shell.journal.stop())

    @mode.Service.task
    async def _pump(self) -> None:
        """Take all that was fetched; records are bound to ownerships before the first await."""
        backlog, valve = self._backlog, self._valve
        while not self.should_stop:
            try:
                fetched = await self.consumer.getmany(timeout_ms=POLL_MS)
            except OffsetOutOfRangeError as error:
                self._reposition(error)
                continue
            before_us = backlog.waiting_us
            backlog.add(cut_chunks(fetched, self._topics, self.roster.owners, backlog.chunk_records))
            valve.shut(fetched)
            if backlog.waiting_us - before_us < PACE_S * 1e6:
                await asyncio.sleep(PACE_S)

    @mode.Service.task
    async def _hand_out(self) -> None:
        """Give each controller's agent its next chunk as soon as it has its hands free."""
        backlog = self._backlog
        while not self.should_stop:
            chunk = backlog.take()
            self._valve.open()
            if chunk is None:
                await backlog.news(BLOCKED_S if backlog.waiting_us else POLL_MS / 1000)
            else:
                await self._channels[chunk.keyspace].send(value=chunk)

    @mode.Service.task
    async def _follow_views(self) -> None:
        """Advance the view between frames: what was folded on the old one is cut first."""
        while not self.should_stop:
            records = await self.shell.views.fetch()
            if not records:
                continue
            for owner in list(self.roster.owners.values()):
                await owner.sealed()
            for owner in self.roster.live:
                if owner.writer is not None:
                    owner.writer.seal()
            self.shell.views.apply(records)

    @mode.Service.task
    async def _tick(self) -> None:
        """Let time pass, about every `tick_ms`, where everything old has been folded."""
        while not self.should_stop:
            await self.sleep(self.settings.worker.tick_ms / 1000)
            worst = 0
            for owner in self.roster.live:
                if not owner.is_caught_up:
                    owner.is_caught_up = await is_caught_up(self.shell, self.consumer, owner)
                if owner.is_caught_up and owner.is_live:
                    lag = lag_ms(self.shell, self.consumer, owner)
                    worst = max(worst, lag)
                    tick(self.shell, owner, lag)
            self._gauge(worst)

    @mode.Service.task
    async def _commit(self) -> None:
        """Group offsets once a second, for lag tools; nothing depends on them."""
        watchdog = Watchdog(self.shell, self.consumer)
        while not self.should_stop:
            await self.sleep(1.0)
            sentence = await watchdog.look(self.roster.live)
            if sentence is not None:
                self._bug(AssertionError(sentence))
                return
            offsets = {
                TopicPartition(self.shell.connect.name(topic), owner.number): owner.partition.start_of(topic)
                for owner in self.roster.live
                for topic in self.shell.inputs
            }
            if offsets:
                await self._quietly(self.consumer.commit(offsets))

    def _make_owner(self, number: int) -> Owner:
        speaker = Speaker(
            partition=number,
            partitions=self._counts[JOURNAL.name],
            incarnation=self.settings.worker.incarnation,
        )
        controllers = {keyspace: make(number) for keyspace, make in self._controllers.items()}
        return Owner(self.shell, Partition(speaker, controllers, self._normaliser))

    def _lost(self, owner: Owner, error: Exception) -> None:
        self.roster.lost(owner, error)

    def _bug(self, error: BaseException) -> None:
        """The worker must end: what it would do next cannot be trusted."""
        if self._failure is None and not self.should_stop:
            self._failure = error
            if isinstance(error, StartRefused):
                self._refuse(error)
            log.error("worker fails", why=repr(error), exc_info=error)
            asyncio.ensure_future(self.crash(error))  # noqa: RUF006 - the service keeps itself alive until it stopped

    def _refuse(self, refused: StartRefused) -> None:
        os.write(2, f"edgeweir worker: {refused.sentence}\n".encode())  # Faust may hold sys.stderr while it starts
        raise SystemExit(REFUSED_EXIT)

    def _checkpointed(self, number: int, begin: int) -> None:
        self.add_future(self._quietly(self.shell.journal.remember_checkpoint(number, begin)))

    def _reposition(self, error: OffsetOutOfRangeError) -> None:
        """Retention overtook us, or the log was cut: the takeover knows what to do about either."""
        places: dict[TopicPartition, int] = error.args[0]
        for number in sorted({place.partition for place in places}):
            owner = self.roster.owners.get(number)
            if owner is not None and owner.is_live:
                self.roster.lost(owner, Fenced(f"input positions of partition {number} are out of range"))

    def _gauge(self, worst_lag_ms: int) -> None:
        metrics, live = self.shell.metrics, self.roster.live
        metrics.rows.set(sum(len(table) for owner in live for _, table in owner.partition.named_tables))
        metrics.outbox.set(sum(len(owner.partition.outbox) for owner in live))
        metrics.lag_seconds.set(worst_lag_ms / 1000)
        metrics.view_refused.set(self.shell.views.refused)
        metrics.view_age_seconds.set(self.shell.views.age_ms() / 1000)
        metrics.clock_offset_seconds.set(self.shell.clock.wall_offset_ms / 1000)
        metrics.ready.set(self.roster.is_ready)
        sent = [owner.writer.oldest_sent_ms for owner in live if owner.writer is not None]
        oldest = min((at for at in sent if at), default=0.0)
        metrics.oldest_frame_seconds.set((time.monotonic() * 1000 - oldest) / 1000 if oldest else 0)

    async def _note_crash(self) -> None:
        assert self.shell.crash is not None
        owner, place = self.shell.crash
        if owner.writer is not None and owner.is_live:
            await self._quietly(owner.writer.note(Kind.CRASH, place))

    async def _drain(self) -> None:
        """Wait until what was handed out is folded, journalled and released; what was not is left to the next owner."""
        self._backlog.give_up()
        deadline = time.monotonic() + DRAIN_S
        while time.monotonic() < deadline:
            if all(owner.is_idle and not any(owner.queued.values()) for owner in self.roster.live):
                return
            for owner in self.roster.live:
                owner.poke_later()
            await asyncio.sleep(0.02)

    async def _quietly(self, work: object) -> None:
        """Nothing depends on this work; its failure is the network's."""
        try:
            await asyncio.wait_for(work, 5.0)  # type: ignore[arg-type]  # any awaitable
        except (KafkaError, TimeoutError, ConnectionError) as error:
            log.debug("given up", why=repr(error))
        except asyncio.CancelledError:  # a client's own cancelled task, unless somebody cancels us
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
