"""The copies of stateful resources at one site: in which replica each lives, and whether users may reach it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from weakref import WeakValueDictionary

from schemas.statuses import CopyState

from .fleet import Backend
from .news import News
from .states import CopyName


class Copy:
    """One copy. `origin` is the sha256 of the state it began with.

    `is_rooted`: users of this ingress reach it without a rule. A copy that a move has just activated
    waits for its rule: an activation may still be undone, and what users did to it meanwhile would be lost.
    """

    def __init__(self, name: CopyName, backend: Backend, state: CopyState, *, version: int, now_ms: int) -> None:
        self.name = name
        self.backend = backend
        self.state = state
        self.version = version
        self.lease_until_ms = 0
        self.prepared_until_ms = 0
        self.origin = ""
        self.is_rooted = False
        self.since_ms = now_ms
        self.touched_ms = now_ms
        self.checkpoint_ref = ""


class Copies:
    """All copies at the site, by resource, with a lock for each."""

    def __init__(self, news: News) -> None:
        self._copies: dict[str, Copy] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._news = news

    def get(self, resource_id: str) -> Copy | None:
        """The copy here, in whatever state."""
        return self._copies.get(resource_id)

    def put(self, copy: Copy) -> None:
        """It is here, or has changed."""
        self._copies[copy.name.resource_id] = copy
        self._news.tell(copy.name.resource_id)

    def remove(self, resource_id: str) -> Copy | None:
        """It is gone."""
        copy = self._copies.pop(resource_id, None)
        self._news.tell(resource_id)
        return copy

    def lock(self, resource_id: str) -> asyncio.Lock:
        """Held by whoever moves, freezes or wakes this copy; it lives as long as somebody holds or awaits it."""
        lock = self._locks.get(resource_id)
        if lock is None:
            lock = self._locks[resource_id] = asyncio.Lock()
        return lock

    def in_backend(self, backend: Backend) -> tuple[Copy, ...]:
        """All that live in one replica."""
        return tuple(copy for copy in self._copies.values() if copy.backend is backend)

    def per_instance(self) -> Counter[str]:
        """How many copies each replica holds."""
        return Counter(copy.backend.instance_id for copy in self._copies.values())

    def active(self, app_id: str) -> int:
        """Copies of an app that serve."""
        return sum(c.name.app_id == app_id and c.state is CopyState.ACTIVE for c in self._copies.values())

    def __iter__(self) -> Iterator[Copy]:
        return iter(tuple(self._copies.values()))
