"""A site's witness of its peers: how long they take to answer, or that they do not."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec

from schemas.telemetry import LinkProbe

_WINDOW: Final = 10
_DEADLINE_S: Final = 1.0
_SERVER_ERROR: Final = 500
_FRESH_INTERVALS: Final = 3


class Peer(NamedTuple):
    """A peer site and where it is probed: `http(s)://..` (its `/healthz` is asked) or `tcp://host:port`."""

    site_id: str
    url: str


class _Seen(msgspec.Struct):
    rtt_us: int | None
    at_s: float
    answers: deque[bool]


class Probing:
    """Probes every peer once per interval, all at the same time; the peers are asked for anew each round."""

    def __init__(self, peers: Callable[[], Sequence[Peer]], interval_s: float) -> None:
        self._peers = peers
        self._interval_s = interval_s
        self._deadline_s = min(_DEADLINE_S, interval_s)
        self._seen: dict[str, _Seen] = {}

    async def run(self) -> None:
        """Probe until cancelled."""
        timeout = aiohttp.ClientTimeout(total=self._deadline_s)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                began_s = time.monotonic()
                await self.round(session)
                await asyncio.sleep(max(0.01, self._interval_s - (time.monotonic() - began_s)))

    async def round(self, session: aiohttp.ClientSession) -> None:
        """Ask every peer once; a site that is no peer any more is forgotten."""
        peers = list(self._peers())
        answers = await asyncio.gather(*(self._rtt_us(session, peer) for peer in peers))
        now_s = time.monotonic()
        before, self._seen = self._seen, {}
        for peer, rtt_us in zip(peers, answers, strict=True):
            held = before[peer.site_id].answers if peer.site_id in before else deque[bool](maxlen=_WINDOW)
            held.append(rtt_us is not None)
            self._seen[peer.site_id] = _Seen(rtt_us, now_s, held)

    def links(self) -> tuple[LinkProbe, ...]:
        """What is known of the peers; a result older than three intervals says nothing any more."""
        oldest_s = time.monotonic() - _FRESH_INTERVALS * self._interval_s - self._deadline_s
        return tuple(_link(site_id, seen) for site_id, seen in self._seen.items() if seen.at_s >= oldest_s)

    async def _rtt_us(self, session: aiohttp.ClientSession, peer: Peer) -> int | None:
        """Microseconds until the answer; None if there is none (a server error is none: nobody is served there)."""
        began_ns = time.perf_counter_ns()
        try:
            async with asyncio.timeout(self._deadline_s):
                if not await _answers(session, peer.url):
                    return None
        except (OSError, aiohttp.ClientError, ValueError):
            return None
        return max(1, (time.perf_counter_ns() - began_ns) // 1_000)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    place = urlsplit(url)
    if place.scheme == "tcp":
        _, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.close()
        return True
    async with session.get(url.rstrip("/") + "/healthz", allow_redirects=False) as answer:
        await answer.read()
        return answer.status < _SERVER_ERROR


def _link(site_id: str, seen: _Seen) -> LinkProbe:
    lost = sum(not answered for answered in seen.answers)
    return LinkProbe(
        to_site=site_id,
        rtt_us=seen.rtt_us,
        loss_permille=lost * 1000 // len(seen.answers),
        probes=len(seen.answers),
    )
