"""Terminals that walk: each tells its place as an operator's MEC system would, and keeps a session's counter going."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable

from edge_emitters.mec_feed import Stop, Walk
from edge_executors.http_client import BrokenError, Peers, UnsentError
from edgeweir.dev.counters import Counter, told, unanswered
from edgeweir.dev.crowd_plan import is_in_handover, session_id, steps_of, terminal_id, zone_at
from edgeweir.dev.crowd_steering import Door, Steered
from edgeweir.dev.crowd_tally import Tally
from edgeweir.dev.scenario import Play

_LOG = logging.getLogger(__name__)
_OK = 200
_PATIENCE_S = 12.0
_LOOK_S = 0.1
_LEAVES_AFTER_S = 2


class Walker:
    """One terminal with one session."""

    def __init__(self, number: int, play: Play, steered: Steered, http: Peers, tally: Tally) -> None:
        self.counter = Counter()
        self._number = number
        self._play = play
        self._steered = steered
        self._http = http
        self._tally = tally

    async def live(self, clock: Callable[[], float]) -> None:
        """Ask once per interval while it is somewhere and not changing zones; at last close the session and go home."""
        walkers = self._play.walkers
        await asyncio.sleep(max(0.0, walkers.start_s + self._number / walkers.count - clock()))
        while clock() < walkers.home_s:
            began = time.monotonic()
            at_s = clock()
            zone = zone_at(walkers, self._number, at_s)
            door = self._steered.door(walkers.app, zone) if zone else None
            if door is None or is_in_handover(walkers, self._number, at_s):
                await asyncio.sleep(_LOOK_S)
                continue
            await self._next(door, clock)
            await asyncio.sleep(max(0.0, walkers.every_ms / 1000 - (time.monotonic() - began)))
        await self._end(clock)

    async def _next(self, door: Door, clock: Callable[[], float]) -> None:
        app, began = self._play.walkers.app, time.monotonic()
        try:
            answer = await self._http.at(door.url).ask(
                "POST", f"{self._path}/next", headers=self._headers(), timeout_s=_PATIENCE_S
            )
        except (UnsentError, BrokenError) as error:
            self._fail(door, str(error), clock())
            return
        if answer.status != _OK:
            self._fail(door, str(answer.status), clock())
            return
        site = answer.headers.get("x-edgeweir-served-by", "").partition("/")[0]
        self._tally.answered(app, site, (time.monotonic() - began) * 1000)
        before = (self.counter.gaps, self.counter.repeats, self.counter.last)
        number = int(json.loads(answer.body)["n"])
        told(self.counter, number, site)
        if before[:2] != (self.counter.gaps, self.counter.repeats):
            _LOG.warning("%s went from %d to %d at %s by %s", self._path, before[2], number, site, door.site_id)

    async def _end(self, clock: Callable[[], float]) -> None:
        """Close the session where its user is now; one that cannot be closed is its site's to forget."""
        door = self._steered.door(self._play.walkers.app, zone_at(self._play.walkers, self._number, clock()))
        if door is not None:
            with contextlib.suppress(UnsentError, BrokenError):
                await self._http.at(door.url).ask("DELETE", self._path, headers=self._headers(), timeout_s=_PATIENCE_S)

    def _fail(self, door: Door, why: str, at_s: float) -> None:
        here = {door.site_id, *self.counter.sites[-1:]}
        died = any(act.do == "kill-site" and act.at_s <= at_s and act.site in here for act in self._play.acts)
        unanswered(self.counter, site_died=died)
        self._tally.failed(self._play.walkers.app, door.site_id, why)

    @property
    def _path(self) -> str:
        app = self._play.walkers.app
        return f"/{app}/session/{session_id(self._number, app)}"

    def _headers(self) -> dict[str, str]:
        """Who it is, and once its session was answered, that it exists and must never begin anew."""
        app = self._play.walkers.app
        who = {
            "x-edgeweir-terminal": terminal_id(self._number),
            "x-edgeweir-session": session_id(self._number, app),
        }
        return who | ({"x-edgeweir-resume": "1"} if self.counter.last else {})


def walks(play: Play, kickoff_ms: int) -> list[Walk]:
    """The ways of all walkers, for the MEC feed; they leave shortly after they closed their sessions."""
    walkers = play.walkers
    return [
        Walk(
            terminal_id=terminal_id(number),
            stops=tuple(
                Stop(at_ms=kickoff_ms + round(at_s * 1000), zone_id=zone) for at_s, zone in steps_of(walkers, number)
            ),
            leaves_at_ms=kickoff_ms + round((walkers.home_s + _LEAVES_AFTER_S) * 1000),
        )
        for number in range(walkers.count)
    ]
