"""What is to be said, in order: statuses stay in the store until the broker has acknowledged them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from schemas import wire
from schemas.statuses import Status
from topics.catalogue import STATUS

from .records import Unsaid
from .store import Store
from .voice import Saying, Voice

_LOG: Final = logging.getLogger(__name__)
_BATCH: Final = 500
_MOST_WAITING: Final = 20_000
_BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0)


class Outbox:
    """One task says everything; what could not be said is said again, in the same order."""

    def __init__(self, store: Store, voice: Voice) -> None:
        self._store = store
        self._voice = voice
        self._waiting: list[tuple[int, Saying]] = []
        self._next = 1
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        for key, raw in sorted(store.items("unsaid")):
            self._waiting.append((int(key), _status_saying(wire.decode_row(Unsaid, raw))))
            self._next = int(key) + 1
        if not self._waiting:
            self._empty.set()

    def start(self) -> None:
        """Begin to say what waits."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="executor outbox")
        self._news.set()

    def put_status(self, key: str, keyspace: str, status: Status) -> None:
        """Queue a status; it is durable with the store's next commit."""
        unsaid = Unsaid(key=key, keyspace=keyspace, status=status)
        self._store.put("unsaid", f"{self._next:020d}", wire.encode_row(unsaid))
        self.put(_status_saying(unsaid))

    def put(self, saying: Saying) -> None:
        """Queue a message that is lost with the process: hellos and reports are made anew, old ones may go."""
        if len(self._waiting) > _MOST_WAITING:
            self._waiting = [held for held in self._waiting if isinstance(held[1].body, Status)]
        self._waiting.append((self._next, saying))
        self._next += 1
        self._empty.clear()
        self._news.set()

    async def drained(self) -> None:
        """Until everything queued so far is acknowledged."""
        await self._empty.wait()

    async def stop(self) -> None:
        """Stop saying; what is unsaid stays in the store."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                try:
                    await self._say_some()
                    failures = 0
                except Exception as error:  # noqa: BLE001 - whatever the client raises, the world failed: say it again
                    _LOG.warning("%d messages unsaid: %s", len(self._waiting), error)
                    await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
                    failures += 1

    async def _say_some(self) -> None:
        batch = self._waiting[:_BATCH]
        await self._voice.say([saying for _, saying in batch])
        for number, _ in batch:
            self._store.remove("unsaid", f"{number:020d}")
        del self._waiting[: len(batch)]
        self._store.commit()
        if not self._waiting:
            self._empty.set()


def _status_saying(unsaid: Unsaid) -> Saying:
    status = unsaid.status
    return Saying(
        topic=STATUS,
        key=unsaid.key,
        keyspace=unsaid.keyspace,
        event_id=f"{status.command_id}/{status.attempt}/{status.state_version}",
        source=f"/edge/{status.site_id}/executor",
        body=status,
        subject=status.resource_id,
        correlation_id=status.command_id,
    )
