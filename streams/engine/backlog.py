"""What was fetched and not yet folded: urgent topics first, partitions in turn, little of it in a channel at a time.

A channel's queue keeps its order; so it is given two chunks and the rest waits here, where what is urgent may pass. How
long something will take is told by what folding its topic took before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from topics.catalogue import Keyspace, Topic

if TYPE_CHECKING:
    from streams.engine.chunk import Chunk

IN_HAND = 2
"""Chunks of one controller in its channel or being folded: one at work, one ready."""
CHUNK_US = 5_000
"""A chunk should take no longer: whatever has just become urgent waits for the end of one."""
LEAST_RECORDS, MOST_RECORDS = 16, 1_000
URGENT_IN_A_ROW = 8
"""After so many urgent chunks a controller folds one that is not: a flood of requests must not look like silence."""
_FIRST_GUESS_US = 100.0
_LEARNING = 0.2

Lanes = dict[int, "deque[Chunk]"]


class Backlog:
    """Chunks by controller, urgency and partition."""

    def __init__(self) -> None:
        """Nothing waits."""
        self.waiting_us = 0
        self._is_given_up = False
        self._lanes: dict[tuple[Keyspace, bool], Lanes] = {(k, u): {} for k in Keyspace for u in (False, True)}
        self._in_hand = dict.fromkeys(Keyspace, 0)
        self._in_a_row = dict.fromkeys(Keyspace, 0)
        self._cost_us: dict[str, float] = {}
        self._news = asyncio.Event()

    def chunk_records(self, topic: Topic) -> int:
        """How many records of the topic make a chunk of about `CHUNK_US`."""
        return max(LEAST_RECORDS, min(MOST_RECORDS, int(CHUNK_US / self.cost_us(topic))))

    def cost_us(self, topic: Topic) -> float:
        """What folding one record of the topic takes, by experience."""
        return self._cost_us.get(topic.name, _FIRST_GUESS_US)

    def add(self, chunks: Iterable[Chunk]) -> None:
        """These wait from now on; once all is given up they go at once."""
        for chunk in chunks:
            if self._is_given_up:
                chunk.leave_queue()
                continue
            chunk.backlog = self
            chunk.weight_us = int(len(chunk) * self.cost_us(chunk.topic))
            self.waiting_us += chunk.weight_us
            self._lanes[chunk.keyspace, chunk.topic.urgent].setdefault(chunk.partition, deque()).append(chunk)
        self._news.set()

    def take(self) -> Chunk | None:
        """The next chunk for a controller that has its hands free; None while there is none."""
        for keyspace, count in self._in_hand.items():
            if count < IN_HAND:
                chunk = self._next(keyspace)
                if chunk is not None:
                    self._in_hand[keyspace] += 1
                    return chunk
        return None

    def give_up(self) -> None:
        """The worker ends: what no controller has in hand is its next owner's, who reads it again."""
        self._is_given_up = True
        for lanes in self._lanes.values():
            for chunk in [chunk for chunks in lanes.values() for chunk in chunks]:
                chunk.leave_queue()
                self.waiting_us -= chunk.weight_us
            lanes.clear()

    async def news(self, patience_s: float) -> None:
        """Return when something came or was folded, at the latest after `patience_s`."""
        self._news.clear()
        try:
            await asyncio.wait_for(self._news.wait(), patience_s)
        except TimeoutError:
            return

    def folded(self, chunk: Chunk, events: int, seconds: float) -> None:
        """A chunk left its controller's hands after folding so many events in that time."""
        self._in_hand[chunk.keyspace] -= 1
        self.waiting_us -= chunk.weight_us
        if events:
            was, now = self.cost_us(chunk.topic), seconds * 1e6 / events
            self._cost_us[chunk.topic.name] = max(0.5, was + _LEARNING * (now - was))
        self._news.set()

    def _next(self, keyspace: Keyspace) -> Chunk | None:
        urgent_first = self._in_a_row[keyspace] < URGENT_IN_A_ROW
        for is_urgent in (urgent_first, not urgent_first):
            chunk = self._from(self._lanes[keyspace, is_urgent])
            if chunk is not None:
                self._in_a_row[keyspace] = self._in_a_row[keyspace] + 1 if is_urgent else 0
                return chunk
        return None

    def _from(self, lanes: Lanes) -> Chunk | None:
        """The first chunk of the partition whose turn it is; partitions whose journal is behind are passed over."""
        for number in list(lanes):
            chunks = lanes[number]
            while chunks and not chunks[0].is_live:
                self.waiting_us -= chunks.popleft().weight_us
            if not chunks:
                del lanes[number]
            elif chunks[0].has_room:
                del lanes[number]
                chunk = chunks.popleft()
                if chunks:
                    lanes[number] = chunks  # at the end: the others come first
                return chunk
        return None
