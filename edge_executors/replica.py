"""A replica of an app: a small HTTP server in a process of its own that serves work and keeps its sessions' state.

Import-light (standard library only), so that a replica answers within 150 ms. Sessions are counters: `next` adds one
and tells the new number, so a gap or a repeat over a migration is seen by every client. Leases are enforced here, where
the state is: a copy whose lease has ended parks itself whatever became of the executor. The control half of the
interface (`/~control/...`) needs the token that the executor gave at the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import signal
import sys
import time
from typing import Any, Final
from urllib.parse import unquote

from edge_executors.http1 import Request, Response, split_target
from edge_executors.http_server import Server

CONTROL: Final = "/~control/"
TOKEN_HEADER: Final = "x-edgeweir-token"  # noqa: S105 - a header's name, no secret
STATE_HEADER: Final = "x-edgeweir-session-state"
ACTIVE, FROZEN, PARKED, PREPARED = "active", "frozen", "parked", "prepared"
_PR_SET_PDEATHSIG: Final = 1
_SELF_DELETE_EARLY_MS: Final = 5_000


class Copy:
    """One session's copy: its counter, the stamp of its last change, and whether it may serve."""

    def __init__(self, count: int, state: str, lease_until_ms: int, prepared_until_ms: int) -> None:
        self.count = count
        self.state = state
        self.lease_until_ms = lease_until_ms
        self.prepared_until_ms = prepared_until_ms
        self.changed_at = 0
        self._in_hand = 0
        self._rest = asyncio.Event()
        self._rest.set()

    def take(self) -> None:
        """A request begins."""
        self._in_hand += 1
        self._rest.clear()

    def give(self) -> None:
        """A request has ended."""
        self._in_hand -= 1
        if not self._in_hand:
            self._rest.set()

    async def at_rest(self) -> None:
        """Until no request is in hand."""
        await self._rest.wait()

    def export(self) -> bytes:
        """The state as bytes: equal states give equal bytes."""
        return json.dumps({"n": self.count}, sort_keys=True).encode()


class Replica:
    """All that one process serves."""

    def __init__(self, app_id: str, instance_id: str, token: str) -> None:
        self._prefix = f"/{app_id}/"
        self._instance = {"x-edgeweir-instance": instance_id}
        self._token = token
        self._copies: dict[str, Copy] = {}
        self._changes = 0

    async def answer(self, request: Request) -> Response:
        """One request of a user or, with the token, of the executor."""
        path, query = split_target(request.target)
        if path == "/healthz":
            return Response(200, b"ok", self._instance)
        if path.startswith(CONTROL):
            if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, ""), self._token):
                return Response(401)
            return await self._control(path[len(CONTROL) :], query, request.body)
        if not path.startswith(self._prefix):
            return Response(404, headers=self._instance)
        return await self._serve(path[len(self._prefix) :].split("/"), query)

    async def _serve(self, parts: list[str], query: dict[str, str]) -> Response:
        if parts[0] == "work":
            await _spend(query)
            return Response(200, b"{}", self._instance)
        if parts[0] == "session" and parts[2:] == ["next"]:
            return await self._count(unquote(parts[1]), query)
        return Response(404, headers=self._instance)

    async def _count(self, session_id: str, query: dict[str, str]) -> Response:
        copy = self._copy(session_id)
        if copy is None or copy.state != ACTIVE:
            state = "none" if copy is None else copy.state
            return Response(409, headers={**self._instance, STATE_HEADER: state})
        copy.take()
        try:
            await _spend(query)
            copy.count += 1
            self._touch(copy)
        finally:
            copy.give()
        return Response(200, json.dumps({"session": session_id, "n": copy.count}).encode(), self._instance)

    async def _control(self, verb: str, query: dict[str, str], body: bytes) -> Response:
        if verb == "list":
            return _json({name: self._told(name) for name in tuple(self._copies) if self._copy(name)})
        if verb == "changed":
            return self._changed_since(int(query.get("since", "0")))
        session_id = unquote(query.get("session", ""))
        if verb == "import":
            return self._import(session_id, query, body)
        copy = self._copy(session_id)
        if copy is None:
            return Response(404)
        if verb == "freeze":
            copy.state = FROZEN
            await copy.at_rest()
        elif verb == "thaw":
            copy.state, copy.lease_until_ms = ACTIVE, int(query.get("lease", "0"))
        elif verb == "drop":
            del self._copies[session_id]
            return Response(200)
        elif verb != "export":
            return Response(404)
        return Response(200, copy.export(), {"x-edgeweir-version": str(copy.count), STATE_HEADER: copy.state})

    def _import(self, session_id: str, query: dict[str, str], body: bytes) -> Response:
        try:
            count = int(json.loads(body)["n"]) if body else 0
        except (ValueError, KeyError, TypeError):
            return Response(400)
        state = query.get("state", ACTIVE)
        copy = Copy(count, state, int(query.get("lease", "0")), int(query.get("prepared", "0")))
        self._copies[session_id] = copy
        self._touch(copy)
        return Response(200, copy.export(), {"x-edgeweir-version": str(count), STATE_HEADER: state})

    def _changed_since(self, since: int) -> Response:
        """States of active copies that changed after change number `since`, and the newest number."""
        changed = {
            name: {"version": copy.count, "state": copy.export().decode()}
            for name, copy in self._copies.items()
            if copy.changed_at > since and copy.state == ACTIVE
        }
        return _json({"until": self._changes, "sessions": changed})

    def _copy(self, session_id: str) -> Copy | None:
        """The copy as time has left it: leases that ended park, prepared ones delete themselves."""
        copy = self._copies.get(session_id)
        if copy is None or (copy.state == ACTIVE and not copy.lease_until_ms):
            return copy
        now_ms = time.time_ns() // 1_000_000
        if copy.state == ACTIVE and copy.lease_until_ms < now_ms:
            copy.state = PARKED
        elif copy.state == PREPARED and 0 < copy.prepared_until_ms - _SELF_DELETE_EARLY_MS < now_ms:
            del self._copies[session_id]
            return None
        return copy

    def _told(self, session_id: str) -> dict[str, Any]:
        copy = self._copies[session_id]
        return {"state": copy.state, "version": copy.count, "lease": copy.lease_until_ms}

    def _touch(self, copy: Copy) -> None:
        self._changes += 1
        copy.changed_at = self._changes


def _json(value: dict[str, Any]) -> Response:
    return Response(200, json.dumps(value).encode(), {"content-type": "application/json"})


async def _spend(query: dict[str, str]) -> None:
    """Take `ms` of time waiting and `cpu_ms` of computing, as the app's work would."""
    if "cpu_ms" in query:
        until = time.process_time() + float(query["cpu_ms"]) / 1000
        while time.process_time() < until:
            pass
    if "ms" in query:
        await asyncio.sleep(float(query["ms"]) / 1000)


def _die_with_parent(parent: int) -> None:
    """SIGKILL when the executor dies; where the system has no such signal, the end of stdin says it."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


async def _serve(app_id: str, instance_id: str, token: str) -> None:
    replica = Replica(app_id, instance_id, token)
    server = Server(replica.answer)
    await server.start("127.0.0.1", 0)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await server.stop()


def main(arguments: list[str]) -> None:
    """Run until SIGTERM or the end of stdin: APP INSTANCE PARENT_PID; the token is the first line of stdin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    app_id, instance_id, parent = arguments
    _die_with_parent(int(parent))
    token = sys.stdin.readline().strip()
    asyncio.run(_serve(app_id, instance_id, token))
