"""The stateless requests of the crowd: real HTTP to each zone's ingress, at the rates of the play, never in turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from edge_executors.http_client import BrokenError, Peers, UnsentError
from edgeweir.dev.crowd_plan import rates_at
from edgeweir.dev.crowd_steering import Door, Steered
from edgeweir.dev.crowd_tally import Tally
from edgeweir.dev.scenario import Crowd

_OK = 200
_BEAT_S = 0.05
_PATIENCE_S = 12.0
_MOST_OPEN = 400


class Requests:
    """An open loop: what is slow does not slow down what comes after it."""

    def __init__(self, crowd: Crowd, steered: Steered, http: Peers, tally: Tally) -> None:
        self._crowd = crowd
        self._steered = steered
        self._http = http
        self._tally = tally
        self._owed: dict[str, float] = {}
        self._open: set[asyncio.Task[None]] = set()

    async def run(self, clock: Callable[[], float]) -> None:
        """Ask for ever at the rates of the moment."""
        last_s = clock()
        while True:
            await asyncio.sleep(_BEAT_S)
            now_s = clock()
            for zone, rate in rates_at(self._crowd, now_s).items():
                self._ask_for(zone, rate * (now_s - last_s))
            last_s = now_s

    def _ask_for(self, zone: str, requests: float) -> None:
        """Start the whole requests that are owed; a part of one is kept for the next beat."""
        door = self._steered.door(self._crowd.app, zone)
        if door is None:
            return
        owed = self._owed.get(zone, 0.0) + requests
        self._owed[zone] = owed % 1
        for _ in range(int(owed)):
            if len(self._open) >= _MOST_OPEN:
                self._tally.failed(self._crowd.app, door.site_id, "too many open requests")
                continue
            task = asyncio.get_running_loop().create_task(self._ask(door))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _ask(self, door: Door) -> None:
        began = time.monotonic()
        path = f"/{self._crowd.app}/work?ms={self._crowd.work_ms}"
        try:
            answer = await self._http.at(door.url).ask("GET", path, timeout_s=_PATIENCE_S)
        except (UnsentError, BrokenError) as error:
            self._tally.failed(self._crowd.app, door.site_id, str(error))
            return
        if answer.status != _OK:
            self._tally.failed(self._crowd.app, door.site_id, str(answer.status))
            return
        site = answer.headers.get("x-edgeweir-served-by", "").partition("/")[0]
        self._tally.answered(self._crowd.app, site, (time.monotonic() - began) * 1000)
