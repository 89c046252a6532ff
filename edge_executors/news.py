"""Wakes those who wait for one thing at this site to change: a session's copy or rule, an app's replicas."""

from __future__ import annotations

import asyncio


class News:
    """Waiters of a name look again after each change of it; nobody is told what it was."""

    def __init__(self) -> None:
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}

    def tell(self, name: str) -> None:
        """It changed."""
        for waiter in self._waiters.pop(name, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, name: str, timeout_s: float) -> bool:
        """Until it changes (True) or the time is over (False)."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(name, []).append(waiter)
        done, _ = await asyncio.wait([waiter], timeout=timeout_s)
        if not done and waiter in (held := self._waiters.get(name, [])):
            held.remove(waiter)
            if not held:
                del self._waiters[name]
        return bool(done)
