"""What could not be used is kept aside for a person: damaged bytes and records that the broker refuses."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

_LOG: Final = logging.getLogger(__name__)
_MAX_FILES: Final = 32


class Aside:
    """A folder of at most 32 files and a byte bound; the oldest goes first, each with a log line."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._max_bytes = max_bytes
        self._sizes = {path: path.stat().st_size for path in sorted(folder.iterdir())}
        self._next = 1 + max((int(path.name.split("-")[0]) for path in self._sizes), default=0)

    @property
    def size_bytes(self) -> int:
        """Bytes kept."""
        return sum(self._sizes.values())

    def keep(self, name: str, data: bytes) -> None:
        """Keep these bytes (what is over the bound is cut off), making room among older ones."""
        path = self._folder / f"{self._next:08d}-{name}"
        self._next += 1
        kept = data[: self._max_bytes]
        while self._sizes and (len(self._sizes) >= _MAX_FILES or self.size_bytes + len(kept) > self._max_bytes):
            oldest = next(iter(self._sizes))
            del self._sizes[oldest]
            oldest.unlink(missing_ok=True)
            _LOG.warning("%s: removed to make room for newer ones", oldest.name)
        path.write_bytes(kept)
        self._sizes[path] = len(kept)
        _LOG.warning("%d bytes are set aside in %s", len(data), path)
