"""The site's state endpoint: peers pull states and running copies from it, ask where a session is, keep checkpoints."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import unquote

import msgspec

from schemas.statuses import CopyState

from .control import Control
from .copies import Copies
from .http1 import Request, Response, split_target
from .http_server import Server
from .state_client import TOKEN_HEADER, Checkpointed
from .states import StateFiles
from .targets.base import TargetError


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    site_id: str
    states: list[Checkpointed]


_BATCH: Final = msgspec.json.Decoder(_Batch)


class StateEndpoint:
    """One HTTP server; every request but `/healthz` needs the peers' token."""

    def __init__(self, site_id: str, files: StateFiles, copies: Copies, control: Control, token: str) -> None:
        self._site_id = site_id
        self._files = files
        self._copies = copies
        self._control = control
        self._token = token
        self.server = Server(self.answer)

    async def answer(self, request: Request) -> Response:
        """One request of a peer."""
        path, _ = split_target(request.target)
        if path == "/healthz":
            return Response(200, b"ok")
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, ""), self._token):
            return Response(401)
        if path == "/checkpoints" and request.method == "PUT":
            return self._keep(request.body)
        if request.method != "GET":
            return Response(405)
        if path.startswith("/state/"):
            state = self._files.read(path)
            return Response(404) if state is None else Response(200, state)
        if path.startswith("/running/"):
            return await self._running(unquote(path[len("/running/") :]))
        if path.startswith("/where/"):
            return self._where(unquote(path[len("/where/") :]))
        return Response(404)

    def _keep(self, body: bytes) -> Response:
        try:
            batch = _BATCH.decode(body)
        except msgspec.DecodeError:
            return Response(400)
        refs = [self._files.put(batch.site_id, s.resource_id, s.version, s.state.encode()) for s in batch.states]
        return Response(200, msgspec.json.encode(refs))

    async def _running(self, resource_id: str) -> Response:
        copy = self._copies.get(resource_id)
        if copy is None or copy.state is CopyState.PREPARED:
            return Response(404)
        try:
            held = await self._control.export(copy.backend, resource_id)
        except TargetError:
            return Response(503)
        return Response(404) if held is None else Response(200, held.data)

    def _where(self, resource_id: str) -> Response:
        copy = self._copies.get(resource_id)
        if copy is None or copy.state is CopyState.PREPARED:
            return Response(404)
        return Response(200, copy.state.encode())
