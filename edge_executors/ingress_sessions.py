"""How a session's request finds its copy: by rule, else here, else at the neighbour that holds it, else it begins here.

A request that meets a copy which must not serve now (frozen, parked, just activated and not yet ruled) waits and looks
again, so that nobody's request fails during a move, a drain or a scale-in. Requests that came from another ingress are
never passed on and never wait: 421 sends them back to the user's own ingress, which waits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from schemas.commands import RuleParams
from schemas.location import SessionState
from schemas.statuses import CopyState

from .asked import SESSION_STATE, Asked, served
from .clock import Clock
from .copies import Copies, Copy
from .http1 import Response
from .http_client import BrokenError, Peers, UnsentError
from .routes import Routes
from .state_client import StateClient
from .states import CopyName
from .targets.base import TargetError
from .targets.moving import Mover

_FOUND_MS: Final = 10_000
"""How long a neighbour found by asking is believed before it is asked again."""
_NOWHERE_MS: Final = 500
"""How long it is believed that no neighbour has it: many may wait for one that is being rescued."""
_RULE_PATIENCE_MS: Final = 5_000
"""How long a copy that was just activated waits for its rule (owners repeat rules every 3 s)."""
_CONFLICT: Final = 409
_AWAY: Final = (421, 503, 508)
OnSession = Callable[[CopyName, SessionState], None]


class SessionRouter:
    """Finds copies; `try_once` gives the answer, or None where the request must wait and try again."""

    def __init__(
        self,
        routes: Routes,
        copies: Copies,
        mover: Mover,
        client: StateClient,
        http: Peers,
        *,
        on_session: OnSession,
        now_ms: Clock,
    ) -> None:
        self._routes = routes
        self._copies = copies
        self._mover = mover
        self._client = client
        self._http = http
        self._on_session = on_session
        self._now_ms = now_ms
        self._found: dict[str, tuple[str, int]] = {}

    async def try_once(self, asked: Asked) -> Response | None:
        """One look at where the copy is now."""
        copy = self._copies.get(asked.session_id)
        rule = None if asked.hops else self._routes.rule(asked.terminal_id, asked.app_id, asked.session_id)
        if rule is not None and rule.host_site != self._routes.site_id:
            return await self._pass_on(asked, self._routes.url(rule.host_site, rule.endpoint))
        if copy is not None and self._may_serve(copy, asked, rule):
            return await self._serve_here(asked, copy)
        if asked.hops:
            state = "none" if copy is None else str(copy.state)
            return Response(421, headers={SESSION_STATE: state})
        if rule is not None or (copy is not None and copy.state in (CopyState.FROZEN, CopyState.PARKED)):
            return None
        return await self._look_around(asked, copy)

    def forget(self) -> None:
        """Neighbours that were found too long ago."""
        now_ms = self._now_ms()
        self._found = {name: held for name, held in self._found.items() if held[1] > now_ms}

    def _may_serve(self, copy: Copy, asked: Asked, rule: RuleParams | None) -> bool:
        if copy.state is not CopyState.ACTIVE:
            return False
        is_allowed = copy.is_rooted or rule is not None or asked.hops > 0
        return is_allowed or self._now_ms() - copy.since_ms > _RULE_PATIENCE_MS

    async def _look_around(self, asked: Asked, copy: Copy | None) -> Response | None:
        """Nothing here may serve and no rule says where: a neighbour may have it, or it begins here."""
        site_id = await self._neighbour(asked.session_id)
        if site_id:
            return await self._pass_on(asked, self._routes.url(site_id, ""))
        if copy is None and not asked.is_resumed:
            await self._begin(asked)
        return None

    async def _neighbour(self, session_id: str) -> str:
        now_ms = self._now_ms()
        site_id, until_ms = self._found.get(session_id, ("", 0))
        if until_ms <= now_ms:
            site_id = await self._client.where(session_id)
            self._found[session_id] = (site_id, now_ms + (_FOUND_MS if site_id else _NOWHERE_MS))
        return site_id

    async def _begin(self, asked: Asked) -> None:
        name = CopyName(
            resource_id=asked.session_id, kind="session", app_id=asked.app_id, terminal_id=asked.terminal_id
        )
        with contextlib.suppress(TargetError):
            if await self._mover.start(name):
                self._on_session(name, SessionState.STARTED)

    async def _pass_on(self, asked: Asked, url: str) -> Response | None:
        """To the host's ingress; what it did not do is tried again."""
        if not url:
            return None
        request = asked.request
        try:
            answer = await self._http.at(url).ask(
                request.method, request.target, headers=asked.onward(), body=request.body
            )
        except UnsentError:
            self._found.pop(asked.session_id, None)
            return None
        except BrokenError:
            self._found.pop(asked.session_id, None)
            return None if asked.is_idempotent else Response(502)
        if answer.status in _AWAY:
            self._found.pop(asked.session_id, None)
            return None
        if asked.ends_session:
            self._found.pop(asked.session_id, None)
        return answer

    async def _serve_here(self, asked: Asked, copy: Copy) -> Response | None:
        copy.touched_ms = self._now_ms()
        if asked.ends_session:
            return await self._end(copy)
        request, target = asked.request, f"/{quote(asked.app_id)}/{asked.path}"
        query = request.target.partition("?")[2]
        try:
            answer = await copy.backend.ask(
                request.method, f"{target}?{query}" if query else target, headers=asked.inward(), body=request.body
            )
        except UnsentError:
            return None
        except BrokenError:
            return None if asked.is_idempotent else Response(502)
        if answer.status == _CONFLICT and SESSION_STATE in answer.headers:
            self._learn(copy, answer.headers[SESSION_STATE])
            return None if not asked.hops else Response(421, headers={SESSION_STATE: answer.headers[SESSION_STATE]})
        return served(answer, self._routes.site_id)

    async def _end(self, copy: Copy) -> Response:
        await self._mover.end(copy.name.resource_id)
        self._on_session(copy.name, SessionState.ENDED)
        return Response(204)

    def _learn(self, copy: Copy, state: str) -> None:
        """Its replica says otherwise: a lease has ended there, or the copy is gone."""
        if state == "none":
            if self._copies.get(copy.name.resource_id) is copy:
                self._copies.remove(copy.name.resource_id)
        elif state == CopyState.PARKED:
            copy.state = CopyState.PARKED
