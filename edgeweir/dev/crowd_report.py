"""What the crowd tells about itself, one line per second in a file of the run: requests, failures, counters, shares."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Failure(msgspec.Struct, frozen=True):
    """One request that got no good answer."""

    at_ms: int
    app: str
    site: str
    why: str


class Line(msgspec.Struct, kw_only=True):
    """The crowd's sums so far; `failures` only since the line before, `served` by site and app."""

    at_ms: int = 0
    asked: int = 0
    failed: int = 0
    failures: list[Failure] = []
    served: dict[str, int] = {}
    p95_ms: float = 0
    sessions: int = 0
    gaps: int = 0
    repeats: int = 0
    rollbacks: int = 0
    rolled_back: int = 0
    moved: int = 0


class CrowdBook:
    """All lines read so far."""

    def __init__(self) -> None:
        self.newest = Line()
        self.failures: list[Failure] = []
        self._offset = 0

    def read(self, path: Path) -> None:
        """Take what was appended since the last look; half a line waits for its other half."""
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._offset)
            whole, _, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + bool(whole)
        for raw in whole.splitlines():
            self.take(msgspec.json.decode(raw, type=Line))

    def take(self, line: Line) -> None:
        """Fold one line."""
        self.newest = line
        self.failures += line.failures
