"""How a replica's process is started, found ready, and ended; none outlives the process that started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Final

from edge_executors.fleet import Backend
from edge_executors.http_client import BrokenError, Peer, UnsentError

from .base import TargetError

_ROOT: Final = str(Path(__file__).resolve().parents[2])
_BOOT: Final = (
    # Neither site-packages nor TLS is needed inside: both are left out, which halves the time to start.
    "import sys; sys.modules['ssl'] = None; sys.path.insert(0, sys.argv.pop(1));"
    " from edge_executors.replica import main; main(sys.argv[1:])"
)
_READY_S: Final = 10.0
_TERM_S: Final = 2.0
_OK: Final = 200


class ReplicaProcess:
    """One replica as an OS process."""

    def __init__(self, process: asyncio.subprocess.Process, backend: Backend) -> None:
        self._process = process
        self.backend = backend

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs, as far as the system has told."""
        return self._process.returncode is None

    async def ended(self) -> None:
        """Until the process has ended, for whatever reason."""
        await self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """Ask it to end, and insist after a while."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_TERM_S):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()


async def launch(app_id: str, instance_id: str, node_id: str, token: str) -> ReplicaProcess:
    """Start a replica and wait until it answers; TargetError `start-failed` leaves nothing behind."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-c", _BOOT, _ROOT, app_id, instance_id, str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_READY_S):
            backend = await _ready(process, app_id, instance_id, node_id, token)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(error, TimeoutError | ConnectionError | ValueError):
            raise TargetError("start-failed", f"{instance_id}: {error}") from None
        raise
    return ReplicaProcess(process, backend)


async def _ready(
    process: asyncio.subprocess.Process, app_id: str, instance_id: str, node_id: str, token: str
) -> Backend:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{token}\n".encode())
    port = int((await process.stdout.readline()).decode() or "0")
    if not port:
        raise ValueError("it ended before it listened")
    url = f"http://127.0.0.1:{port}"
    peer = Peer(url)
    try:
        answer = await peer.ask("GET", "/healthz", timeout_s=5.0)
    except (UnsentError, BrokenError) as error:
        raise ValueError(f"it does not answer: {error}") from None
    finally:
        peer.close()
    if answer.status != _OK:
        raise ValueError(f"its health is {answer.status}")
    return Backend(app_id, instance_id, node_id, url)
