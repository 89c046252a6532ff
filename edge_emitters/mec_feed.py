"""A MEC location feed: terminals that walk from zone to zone as a scenario says, told as MEC 012 and 013 tell it.

A walk gives ENTER at its first stop, TRANSFER at each further one (a RadioEvent with the preparation before it), LEAVE
at its end. A terminal is named by a keyed hash of its address: who has not the salt cannot find the address again.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from schemas.location import LocationEvent, Movement, RadioEvent

from .atlas import access_point_of
from .clock import Clock, wall_ms
from .noise import between, seed_of
from .records import Record, record_of
from .sender import Unsent, Way

_PREPARATION: Final = 1
_BEAT_S: Final = 0.02
_RETRY_S: Final = 0.5
_MOST_AT_ONCE: Final = 1_000


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """One stay: from when, where; `ap_id` empty: the zone's first access point."""

    at_ms: int
    zone_id: str
    ap_id: str = ""

    @property
    def cell(self) -> str:
        """The access point stood under."""
        return self.ap_id or access_point_of(self.zone_id)


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """The way of one terminal: at least one stop, times growing; `leaves_at_ms` 0: it stays."""

    terminal_id: str
    stops: tuple[Stop, ...]
    leaves_at_ms: int = 0


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One leg of a crowd: its terminals arrive in the zone evenly between these times."""

    zone_id: str
    from_ms: int
    until_ms: int


def terminal_name(address: str, salt: bytes) -> str:
    """The terminal's name: BLAKE2b of its address, keyed with the salt (at most 64 bytes)."""
    return "t-" + hashlib.blake2b(address.encode(), key=salt, digest_size=16).hexdigest()


def crowd(seed: int, addresses: Sequence[str], legs: Sequence[Leg], salt: bytes, *, leaves_ms: int = 0) -> list[Walk]:
    """Terminals that all walk the same legs, each in its own time; with `leaves_ms` they go home around then."""
    walks: list[Walk] = []
    for address in addresses:
        chance = seed_of(seed, address)
        pace = between(chance, 0, 0.0, 1.0)
        stops = tuple(Stop(at_ms=_within(leg, pace), zone_id=leg.zone_id) for leg in legs)
        home_ms = leaves_ms + round(between(chance, 1, 0, 1_000)) if leaves_ms else 0
        walks.append(Walk(terminal_id=terminal_name(address, salt), stops=stops, leaves_at_ms=home_ms))
    return walks


def movements(walks: Iterable[Walk], *, boot_id: str, lead_ms: int = 800) -> Iterator[LocationEvent | RadioEvent]:
    """All that the walks give, by time; location events are numbered in this order."""
    told = heapq.merge(*(_of_walk(walk, lead_ms) for walk in walks), key=_when)
    for number, event in enumerate(told, 1):
        if isinstance(event, LocationEvent):
            yield msgspec.structs.replace(event, boot_id=boot_id, sequence=number)
        else:
            yield event


class MecFeed:
    """Tells movements at their times; `source` names the feed (`/edge/<site>/mec`)."""

    def __init__(self, way: Way, *, source: str, clock: Clock = wall_ms) -> None:
        self.told = 0
        self._way = way
        self._source = source
        self._clock = clock

    async def run(
        self, events: Iterable[LocationEvent | RadioEvent], on_told: Callable[[int], None] | None = None
    ) -> None:
        """Until the last is told; while the broker is away they wait here and go out late, in order."""
        due: list[Record] = []
        for event in events:
            if due and (event.observed_at_ms > self._clock() or len(due) >= _MOST_AT_ONCE):
                await self._tell(due, on_told)
            await self._until(event.observed_at_ms)
            due.append(self._record(event))
        if due:
            await self._tell(due, on_told)

    async def _until(self, at_ms: int) -> None:
        """Sleep by the given clock, which may be no wall clock: in steps of at most a second."""
        wait_ms = at_ms - self._clock()
        while wait_ms > 0:
            await asyncio.sleep(max(_BEAT_S, min(wait_ms, 1_000) / 1000))
            wait_ms = at_ms - self._clock()

    def _record(self, event: LocationEvent | RadioEvent) -> Record:
        kind = event.event if isinstance(event, LocationEvent) else "radio"
        name = f"{event.terminal_id}/{kind}/{event.observed_at_ms}"
        return record_of(event, source=self._source, event_id=name, accepted_ms=self._clock())

    async def _tell(self, due: list[Record], on_told: Callable[[int], None] | None) -> None:
        while True:
            try:
                await self._way.send(due)
            except Unsent:
                await asyncio.sleep(_RETRY_S)
            else:
                break
        self.told += len(due)
        due.clear()
        if on_told:
            on_told(self.told)


def _within(leg: Leg, pace: float) -> int:
    return leg.from_ms + round((leg.until_ms - leg.from_ms) * pace)


def _of_walk(walk: Walk, lead_ms: int) -> list[LocationEvent | RadioEvent]:
    """One walk's events in order of time."""
    first = walk.stops[0]
    told: list[LocationEvent | RadioEvent] = [_location(walk, first, Movement.ENTER, "")]
    here = first
    for stop in walk.stops[1:]:
        assert stop.at_ms > here.at_ms, f"{walk.terminal_id}: a walk only goes on"
        told.append(_preparation(walk, here, stop, max(here.at_ms, stop.at_ms - lead_ms)))
        told.append(_location(walk, stop, Movement.TRANSFER, here.cell))
        here = stop
    if walk.leaves_at_ms:
        gone = msgspec.structs.replace(here, at_ms=max(walk.leaves_at_ms, here.at_ms))
        told.append(_location(walk, gone, Movement.LEAVE, here.cell))
    return told


def _location(walk: Walk, stop: Stop, event: Movement, before: str) -> LocationEvent:
    return LocationEvent(
        terminal_id=walk.terminal_id,
        event=event,
        zone_id=stop.zone_id,
        ap_id=stop.cell,
        prev_ap_id=before,
        observed_at_ms=stop.at_ms,
        dialect="mec-013",
    )


def _preparation(walk: Walk, here: Stop, there: Stop, at_ms: int) -> RadioEvent:
    return RadioEvent(
        terminal_id=walk.terminal_id,
        src_cell=here.cell,
        trg_cells=(there.cell,),
        ho_status=_PREPARATION,
        observed_at_ms=at_ms,
    )


def _when(event: LocationEvent | RadioEvent) -> int:
    return event.observed_at_ms
