"""What is due when: a heap, so that a tick costs what is due and not what is known. Derived from rows, never stored."""

from __future__ import annotations

import heapq
from collections.abc import Iterator


class Deadlines:
    """At most one deadline per key; setting it again replaces it."""

    def __init__(self) -> None:
        """Nothing is due."""
        self._heap: list[tuple[int, str]] = []
        self._at: dict[str, int] = {}

    def set(self, key: str, at_ms: int) -> None:
        """Be reminded of the key at this time."""
        if self._at.get(key) != at_ms:
            self._at[key] = at_ms
            heapq.heappush(self._heap, (at_ms, key))

    def sooner(self, key: str, at_ms: int) -> None:
        """Be reminded at this time unless an earlier one is set."""
        if at_ms < self._at.get(key, at_ms + 1):
            self.set(key, at_ms)

    def clear(self, key: str) -> None:
        """Forget the key's deadline."""
        self._at.pop(key, None)

    def due(self, now_ms: int) -> Iterator[str]:
        """Keys whose time has come, earliest first, ties by key; each is given once and forgotten."""
        while self._heap and self._heap[0][0] <= now_ms:
            at_ms, key = heapq.heappop(self._heap)
            if self._at.get(key) == at_ms:
                del self._at[key]
                yield key

    def __len__(self) -> int:
        """How many keys wait."""
        return len(self._at)
