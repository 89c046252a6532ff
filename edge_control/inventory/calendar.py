"""When to look again at which of very many keys. Derived from rows, never stored.

What is due within about a minute stands in a heap, what is due later in lists of a minute each, without its moment:
they are opened as their minute begins, and the rows say what is due in it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

_GRAIN_MS: Final = 1 << 16


class Calendar:
    """The next reminder of each key; it may come too early (never too late), so whoever is reminded asks the row."""

    def __init__(self) -> None:
        """Nothing is due."""
        self._heap: list[tuple[int, str]] = []
        self._later: dict[int, list[str]] = {}
        self._at: dict[str, int] = {}
        self._opened_ms = 0

    def remind(self, key: str, at_ms: int) -> None:
        """Be reminded of the key at this time or before; an earlier reminder that stands is enough."""
        known_ms = self._at.get(key)
        if known_ms is not None and known_ms <= at_ms:
            return
        if at_ms < self._opened_ms:
            self._at[key] = at_ms
            heapq.heappush(self._heap, (at_ms, key))
            return
        start_ms = at_ms - at_ms % _GRAIN_MS
        page = self._later.get(start_ms)
        if page is None:
            page = self._later[start_ms] = []
        page.append(key)
        self._at[key] = start_ms

    def due(self, now_ms: int) -> list[str]:
        """Keys to be looked at, each once; their reminders are used up."""
        return [*self._turn_pages(now_ms), *self._ripe(now_ms)]

    def __len__(self) -> int:
        """How many keys wait."""
        return len(self._at)

    def _turn_pages(self, now_ms: int) -> Iterator[str]:
        if now_ms < self._opened_ms:
            return
        for start_ms in sorted(start for start in self._later if start <= now_ms):
            for key in self._later.pop(start_ms):
                if self._at.get(key) == start_ms:
                    del self._at[key]
                    yield key
        self._opened_ms = now_ms - now_ms % _GRAIN_MS + _GRAIN_MS

    def _ripe(self, now_ms: int) -> Iterator[str]:
        while self._heap and self._heap[0][0] <= now_ms:
            at_ms, key = heapq.heappop(self._heap)
            if self._at.get(key) == at_ms:
                del self._at[key]
                yield key
