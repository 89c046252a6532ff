"""What an executor says to its replicas: the control half of their interface, over loopback, with their token."""

from __future__ import annotations

import json
from typing import NamedTuple
from urllib.parse import quote

from schemas.statuses import CopyState

from .fleet import Backend
from .http1 import Response
from .http_client import BrokenError, UnsentError
from .targets.base import TargetError

_PATH = "/~control/"
_TOKEN = "x-edgeweir-token"  # noqa: S105 - a header's name, no secret


class Held(NamedTuple):
    """A copy as its replica has it: state of the copy, its version, the bytes of its state."""

    state: CopyState
    version: int
    data: bytes


class Listed(NamedTuple):
    """A copy as its replica lists it."""

    state: CopyState
    version: int


class Control:
    """Speaks to any replica of this site; TargetError `replica-gone` where one does not answer."""

    def __init__(self, token: str) -> None:
        self.token = token

    async def put(
        self,
        backend: Backend,
        resource_id: str,
        data: bytes,
        state: CopyState,
        *,
        lease_until_ms: int = 0,
        prepared_until_ms: int = 0,
    ) -> Held:
        """Give the replica a copy with this state; it replaces one that is there."""
        query = f"&state={state}&lease={lease_until_ms}&prepared={prepared_until_ms}"
        held = await self._ask(backend, "import", resource_id, query, data)
        if held is None:
            raise TargetError("bad-state", "the replica cannot read this state", retryable=False)
        return held

    async def freeze(self, backend: Backend, resource_id: str) -> Held | None:
        """Finish what is in hand, stop, and give the final state; None when the copy is not there."""
        return await self._ask(backend, "freeze", resource_id)

    async def thaw(self, backend: Backend, resource_id: str, lease_until_ms: int) -> Held | None:
        """Serve again until the lease ends (0: for ever)."""
        return await self._ask(backend, "thaw", resource_id, f"&lease={lease_until_ms}")

    async def export(self, backend: Backend, resource_id: str) -> Held | None:
        """The state now; the copy goes on."""
        return await self._ask(backend, "export", resource_id)

    async def drop(self, backend: Backend, resource_id: str) -> None:
        """Forget the copy, if it is there."""
        await self._call(backend, f"drop?session={quote(resource_id, safe='')}")

    async def listed(self, backend: Backend) -> dict[str, Listed]:
        """All copies of a replica as it has them."""
        answer = json.loads((await self._call(backend, "list")).body)
        return {name: Listed(CopyState(held["state"]), held["version"]) for name, held in answer.items()}

    async def changed(self, backend: Backend, since: int) -> tuple[int, dict[str, Held]]:
        """Active copies that changed after change `since` of this replica, and its newest change."""
        answer = json.loads((await self._call(backend, f"changed?since={since}")).body)
        sessions = {
            name: Held(CopyState.ACTIVE, held["version"], held["state"].encode())
            for name, held in answer["sessions"].items()
        }
        return answer["until"], sessions

    async def _ask(
        self, backend: Backend, verb: str, resource_id: str, query: str = "", data: bytes = b""
    ) -> Held | None:
        answer = await self._call(backend, f"{verb}?session={quote(resource_id, safe='')}{query}", data)
        if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
            return None
        state = CopyState(answer.headers["x-edgeweir-session-state"])
        return Held(state, int(answer.headers["x-edgeweir-version"]), answer.body)

    async def _call(self, backend: Backend, target: str, data: bytes = b"") -> Response:
        try:
            return await backend.ask("POST", _PATH + target, headers={_TOKEN: self.token}, body=data, timeout_s=10.0)
        except (UnsentError, BrokenError) as error:
            raise TargetError("replica-gone", str(error)) from None
