"""How far a journal may be trimmed: to a complete checkpoint older than what a replay may want (ENGINE 2.6).

Trimming is for space only. Its place is always the BEGIN of a complete checkpoint, so never inside a batch; whoever
does it, owner or deposed, and however late, takes away nothing that a recovery needs.
"""

from __future__ import annotations

from collections import deque


class Trimming:
    """The complete checkpoints of one partition that are still within the horizon."""

    def __init__(self, keep_ms: int) -> None:
        """`keep_ms` of history stay; 0: all of it."""
        self._keep_ms = keep_ms
        self._complete: deque[tuple[int, int]] = deque()

    def completed(self, begin: int, begun_at_ms: int) -> None:
        """A checkpoint is complete: where and when it began."""
        if self._keep_ms:
            self._complete.append((begin, begun_at_ms))

    def due(self, now_ms: int) -> int | None:
        """The newest BEGIN before the horizon, once; None if there is none."""
        found = None
        while self._complete and self._complete[0][1] < now_ms - self._keep_ms:
            found = self._complete.popleft()[0]
        return found
