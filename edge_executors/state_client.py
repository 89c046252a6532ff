"""Pulls states from other sites' executors, edge to edge, and proves them by their sha256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec

from schemas.commands import StateRef

from .http_client import BrokenError, Peers, UnsentError
from .states import StateFiles
from .targets.base import TargetError

TOKEN_HEADER: Final = "x-edgeweir-peer-token"  # noqa: S105 - a header's name, no secret
_OK: Final = 200
_GONE: Final = 404


class PeerSite(msgspec.Struct, frozen=True, kw_only=True):
    """How another site is reached: users' traffic and states."""

    ingress_url: str = ""
    state_url: str = ""


class Checkpointed(msgspec.Struct, frozen=True, kw_only=True):
    """One state to be kept at a peer; `state` is text (JSON) so that a batch stays one document."""

    resource_id: str
    version: int
    state: str


class StateClient:
    """Asks the peers' state endpoints. `peers` may be filled later, when the neighbours' ports are known."""

    def __init__(self, files: StateFiles, peers: Mapping[str, PeerSite], token: str) -> None:
        self._files = files
        self._peers = peers
        self._headers = {TOKEN_HEADER: token}
        self._http = Peers()

    async def pull(self, state: StateRef) -> bytes:
        """The state behind a reference; TargetError `no-state`, `source-unreachable` or `sha256`."""
        data = self._files.read(state.ref) or await self._get(state.ref)
        if data is None:
            raise TargetError("no-state", state.ref, retryable=False)
        if state.sha256 and hashlib.sha256(data).hexdigest() != state.sha256:
            raise TargetError("sha256", "the state pulled is not the state named")
        return data

    async def running(self, site_id: str, resource_id: str) -> bytes:
        """The state of a copy that runs at another site, as it is now."""
        peer = self._peers.get(site_id)
        if peer is None or not peer.state_url:
            raise TargetError("source-unreachable", f"no state endpoint is known of {site_id}")
        data = await self._get(f"{peer.state_url}/running/{quote(resource_id, safe='')}")
        if data is None:
            raise TargetError("no-state", f"{site_id} has no such copy", retryable=False)
        return data

    async def where(self, resource_id: str) -> str:
        """The neighbour where a copy of this resource is active or frozen; empty if none says so in time."""
        for site_id, peer in tuple(self._peers.items()):
            if not peer.state_url:
                continue
            try:
                answer = await self._http.at(peer.state_url).ask(
                    "GET", f"/where/{quote(resource_id, safe='')}", headers=self._headers, timeout_s=0.5
                )
            except (UnsentError, BrokenError):
                continue
            if answer.status == _OK:
                return site_id
        return ""

    async def keep(self, url: str, site_id: str, states: Sequence[Checkpointed]) -> list[StateRef]:
        """Have a peer keep these states; its references, in the same order. Raises ConnectionError if it does not."""
        body = msgspec.json.encode({"site_id": site_id, "states": list(states)})
        answer = await self._http.at(url).ask("PUT", "/checkpoints", headers=self._headers, body=body, timeout_s=5.0)
        if answer.status != _OK:
            raise BrokenError(f"the peer answered {answer.status}")
        return msgspec.convert(json.loads(answer.body), list[StateRef])

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()

    async def _get(self, url: str) -> bytes | None:
        parts = urlsplit(url)
        if parts.scheme != "http":
            raise TargetError("source-unreachable", "not an address of a state endpoint")
        try:
            answer = await self._http.at(url).ask("GET", parts.path, headers=self._headers, timeout_s=5.0)
        except (UnsentError, BrokenError) as error:
            raise TargetError("source-unreachable", str(error)) from None
        if answer.status == _GONE:
            return None
        if answer.status != _OK:
            raise TargetError("source-unreachable", f"answered {answer.status}")
        return answer.body
