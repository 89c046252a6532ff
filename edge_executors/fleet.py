"""The replicas of one site as its ingress sees them: where each answers, how busy it is, whether it drains."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from .http1 import Response
from .http_client import Peer
from .news import News


class Backend:
    """One replica that answers. `in_hand` requests are under way to it now."""

    def __init__(self, app_id: str, instance_id: str, node_id: str, url: str) -> None:
        self.app_id = app_id
        self.instance_id = instance_id
        self.node_id = node_id
        self.url = url
        self.is_draining = False
        self.in_hand = 0
        self._peer = Peer(url)
        self._rest = asyncio.Event()
        self._rest.set()

    async def ask(
        self,
        method: str,
        target: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 30.0,
    ) -> Response:
        """One request, counted while it is under way."""
        self.in_hand += 1
        self._rest.clear()
        try:
            return await self._peer.ask(method, target, headers=headers, body=body, timeout_s=timeout_s)
        finally:
            self.in_hand -= 1
            if not self.in_hand:
                self._rest.set()

    async def at_rest(self) -> None:
        """Until no request is under way."""
        await self._rest.wait()

    def close(self) -> None:
        """Close idle connections."""
        self._peer.close()


class Fleet:
    """All replicas of a site that are ready, by app."""

    def __init__(self, news: News) -> None:
        self._by_app: dict[str, dict[str, Backend]] = {}
        self._news = news

    def add(self, backend: Backend) -> None:
        """It answers: it may be chosen."""
        self._by_app.setdefault(backend.app_id, {})[backend.instance_id] = backend
        self._news.tell(backend.app_id)

    def remove(self, backend: Backend) -> None:
        """It is gone."""
        self._by_app.get(backend.app_id, {}).pop(backend.instance_id, None)
        backend.close()
        self._news.tell(backend.app_id)

    def drain(self, backend: Backend, *, is_draining: bool) -> None:
        """Take it out of the choice, or back into it."""
        backend.is_draining = is_draining
        self._news.tell(backend.app_id)

    def choose(self, app_id: str) -> Backend | None:
        """The one with the fewest requests under way; none while nothing answers."""
        serving = [b for b in self._by_app.get(app_id, {}).values() if not b.is_draining]
        return min(serving, key=lambda backend: backend.in_hand, default=None)

    def of(self, app_id: str) -> tuple[Backend, ...]:
        """All of an app, draining ones too."""
        return tuple(self._by_app.get(app_id, {}).values())

    def apps(self) -> tuple[str, ...]:
        """Apps that have, or had, replicas."""
        return tuple(self._by_app)

    def __iter__(self) -> Iterator[Backend]:
        return iter([b for backends in self._by_app.values() for b in backends.values()])
