"""One lane per resource: commands on it run one after another in the order in which they were accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Ticket:
    """A place in one or more lanes, taken at once and in order, so that two commands can never wait for each other."""

    def __init__(self, before: list[asyncio.Future[None]], done: asyncio.Future[None]) -> None:
        self._before = before
        self._done = done

    async def wait(self) -> None:
        """Until all that stand before us are done."""
        for earlier in self._before:
            if not earlier.done():
                await asyncio.wait([earlier])

    def leave(self) -> None:
        """Let the next one in."""
        if not self._done.done():
            self._done.set_result(None)


class Lanes:
    """The tail of each lane that somebody still stands in."""

    def __init__(self) -> None:
        self._tails: dict[str, asyncio.Future[None]] = {}

    def queue(self, resource_ids: Sequence[str]) -> Ticket:
        """Stand at the end of these lanes."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        before = [self._tails[name] for name in resource_ids if name in self._tails]
        for name in resource_ids:
            self._tails[name] = done
        done.add_done_callback(lambda _: self._forget(resource_ids, done))
        return Ticket(before, done)

    def _forget(self, resource_ids: Sequence[str], done: asyncio.Future[None]) -> None:
        for name in resource_ids:
            if self._tails.get(name) is done:
                del self._tails[name]
