"""What every client of a run did, and what it knows of it: invoked, then ok, failed, or unknown (info)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

Kind = Literal["invoke", "ok", "fail", "info"]


class Entry(NamedTuple):
    """One line: `what` names the operation; `note` says where it went or why it did not."""

    at_ms: int
    who: str
    kind: Kind
    what: str
    note: str = ""


class History:
    """Grows while a run lasts; every client writes to it, the checker reads it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def write(self, who: str, kind: Kind, what: str, note: str = "") -> None:
        self.entries.append(Entry(time.time_ns() // 1_000_000, who, kind, what, note))

    def of(self, who: str, kind: Kind) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.who == who and entry.kind == kind)

    def count(self, who: str, kind: Kind, what: str = "") -> int:
        return sum(not what or entry.what.startswith(what) for entry in self.of(who, kind))

    def save(self, path: Path) -> None:
        path.write_bytes(b"".join(msgspec.json.encode(entry) + b"\n" for entry in self.entries))
