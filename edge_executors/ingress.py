"""The site's ingress: a small reverse proxy whose backends, shares and per-terminal rules are set by commands.

`ANY /{app}/...`. A request of a session goes where its copy is; any other goes to a replica here or, by share, to the
ingress of a neighbour. What came from another ingress is never passed on again (508 if it cannot be served here).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from schemas.commands import Share

from .asked import Asked, served, server_site
from .fleet import Fleet
from .http1 import Request, Response
from .http_client import BrokenError, Peers, UnsentError
from .http_server import Server
from .ingress_load import AppCount, LoadMeter
from .ingress_sessions import SessionRouter
from .news import News
from .routes import Routes

Attempt = Callable[[Asked], Awaitable[Response | None]]
_LOOK_S: Final = 0.25
_MAX_HELD: Final = 2000
_SERVER_ERROR: Final = 500
_NOT_DONE: Final = (503, 508)


class IngressParts(NamedTuple):
    """What an ingress works with."""

    routes: Routes
    fleet: Fleet
    sessions: SessionRouter
    meter: LoadMeter
    http: Peers
    news: News


class Ingress:
    """One listening proxy. `queue_ms`: how long a request is held for a replica or a copy before 503."""

    def __init__(self, parts: IngressParts, *, queue_ms: int = 10_000) -> None:
        self._routes, self._fleet, self._sessions, self._meter, self._http, self._news = parts
        self._queue_s = queue_ms / 1000
        self._held = 0
        self.server = Server(self.answer)

    async def answer(self, request: Request) -> Response:
        """One request of a user or of another ingress."""
        asked = Asked(request)
        if asked.app_id == "healthz" and not asked.path:
            return Response(200, b"ok")
        if not asked.app_id or asked.app_id.startswith("~") or asked.path.startswith("~"):
            return Response(404)
        count = self._meter.of(asked.app_id)
        begun = time.perf_counter()
        response = await self._find(asked, count)
        self._count(asked, count, response, int((time.perf_counter() - begun) * 1_000_000))
        return response

    async def _find(self, asked: Asked, count: AppCount) -> Response:
        """Try until it is answered or time is over; a request is held only at its user's own ingress."""
        attempt = self._sessions.try_once if asked.session_id else self._try_stateless
        response = await attempt(asked)
        if response is not None:
            return response
        if asked.hops:
            return Response(508)
        if self._held >= _MAX_HELD:
            return Response(503)
        self._held += 1
        count.wait()
        try:
            return await self._hold(asked, attempt)
        finally:
            self._held -= 1
            count.go()

    async def _hold(self, asked: Asked, attempt: Attempt) -> Response:
        until = time.monotonic() + self._queue_s
        while (left := until - time.monotonic()) > 0:
            await self._news.wait(asked.session_id or asked.app_id, min(left, _LOOK_S))
            response = await attempt(asked)
            if response is not None:
                return response
        return Response(503)

    async def _try_stateless(self, asked: Asked) -> Response | None:
        if not asked.hops:
            share = self._routes.pick(asked.app_id, can_serve=self._fleet.choose(asked.app_id) is not None)
            if share is not None and (response := await self._spill(asked, share)) is not None:
                return response
        # Chosen anew: while a neighbour was asked, the replica seen before may have been drained.
        backend = self._fleet.choose(asked.app_id)
        if backend is None:
            return None
        request = asked.request
        try:
            answer = await backend.ask(request.method, request.target, headers=asked.inward(), body=request.body)
        except UnsentError:
            return None
        except BrokenError:
            return None if asked.is_idempotent else Response(502)
        return served(answer, self._routes.site_id)

    async def _spill(self, asked: Asked, share: Share) -> Response | None:
        """At the neighbour's ingress; None where it did not do it and it is to be done here after all."""
        url = self._routes.url(share.site_id, share.endpoint)
        if not url:
            return None
        request = asked.request
        try:
            answer = await self._http.at(url).ask(
                request.method, request.target, headers=asked.onward(), body=request.body
            )
        except UnsentError:
            return None
        except BrokenError:
            return None if asked.is_idempotent else Response(502)
        return None if answer.status in _NOT_DONE else answer

    def _count(self, asked: Asked, count: AppCount, response: Response, duration_us: int) -> None:
        if asked.hops:
            count.hosted += response.status < _SERVER_ERROR
            return
        count.requests += 1
        count.took(duration_us)
        count.bytes_in += len(asked.request.body)
        count.bytes_out += len(response.body)
        if response.status == _NOT_DONE[0]:
            count.rejected += 1
        elif response.status >= _SERVER_ERROR:
            count.errors += 1
        if site_id := server_site(response):
            count.served_by[site_id] += 1
