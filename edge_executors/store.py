"""The executor's durable memory: one SQLite file (WAL), every entry with its checksum, mirrored in memory.

Written before an effect (intent) and after it (result). WAL with synchronous=NORMAL survives any death of the process;
after a power loss it falls back to an earlier commit as a whole: position, marks and fences go back together, so what
is read again raises them again. A file that is damaged is set aside, never repaired: what is true is read back from the
targets and asked from the owners (hello). Fences alone are salvaged, since they only ever grow.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SALVAGED: Final = ("fence",)
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS entries"
    " (kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (kind, key))"
    " WITHOUT ROWID"
)
_PUT: Final = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)"
_REMOVE: Final = "DELETE FROM entries WHERE kind = ? AND key = ?"


class StoreBusyError(RuntimeError):
    """Another process holds this store: two executors with one identity must not run."""


class DamagedError(Exception):
    """The file is no store of ours any more."""


class Store:
    """Entries by kind and key. `lost` says why the memory of the last boot is gone (`missing`, `damaged` or empty)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, dict[str, bytes]] = {}
        self._dirty: dict[tuple[str, str], bytes | None] = {}
        self.lost = "" if path.exists() else "missing"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = self._open()
            self._load()
        except DamagedError:
            self._set_aside()

    def get(self, kind: str, key: str) -> bytes | None:
        """One entry's value as last put, committed or not."""
        return self._entries.get(kind, {}).get(key)

    def items(self, kind: str) -> Iterator[tuple[str, bytes]]:
        """All entries of a kind; a copy, so that entries may be changed meanwhile."""
        return iter(tuple(self._entries.get(kind, {}).items()))

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Set an entry; durable with the next `commit`."""
        self._entries.setdefault(kind, {})[key] = value
        self._dirty[(kind, key)] = value

    def remove(self, kind: str, key: str) -> None:
        """Forget an entry; durable with the next `commit`."""
        if self._entries.get(kind, {}).pop(key, None) is not None:
            self._dirty[(kind, key)] = None

    def commit(self) -> None:
        """Make durable all that changed, as one transaction; a file that fails us is rewritten from memory."""
        if not self._dirty:
            return
        dirty, self._dirty = self._dirty, {}
        try:
            self._write(dirty)
        except sqlite3.DatabaseError:
            self.rewrite()

    def is_intact(self) -> bool:
        """Whether the file that we hold is still the one at its path (somebody may have deleted it)."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def rewrite(self) -> None:
        """Write everything we remember into a fresh file."""
        self._db.close()
        self._aside("replaced")
        self._db = self._open()
        self._dirty = {}
        self._write({(kind, key): value for kind, held in self._entries.items() for key, value in held.items()})

    def close(self) -> None:
        """Commit and let go of the file."""
        self.commit()
        self._db.close()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=0.2)
        try:
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL"):
                db.execute(f"PRAGMA {pragma}")
            db.execute(_SCHEMA)
            db.execute("BEGIN IMMEDIATE")
            db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            db.close()
            if "locked" in str(error):
                raise StoreBusyError(f"{self._path.name} is held by another executor") from None
            raise DamagedError from None
        self._inode = self._path.stat().st_ino
        return db

    def _load(self) -> None:
        try:
            if self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise DamagedError
            rows = self._db.execute("SELECT kind, key, value, crc FROM entries").fetchall()
        except sqlite3.DatabaseError:
            raise DamagedError from None
        if any(not isinstance(value, bytes) or crc != _crc(kind, key, value) for kind, key, value, crc in rows):
            raise DamagedError
        for kind, key, value, _ in rows:
            self._entries.setdefault(kind, {})[key] = value

    def _write(self, entries: dict[tuple[str, str], bytes | None]) -> None:
        put = [(k, key, v, _crc(k, key, v)) for (k, key), v in entries.items() if v is not None]
        gone = [place for place, value in entries.items() if value is None]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(_PUT, put)
        self._db.executemany(_REMOVE, gone)
        self._db.execute("COMMIT")

    def _set_aside(self) -> None:
        """Start anew beside the damaged file, with the fences that can still be read and proven."""
        fences = self._salvage()
        if hasattr(self, "_db"):
            self._db.close()
        self._aside("damaged")
        self.lost = "damaged"
        self._entries = {}
        self._db = self._open()
        for kind, key, value in fences:
            self.put(kind, key, value)
        self.commit()

    def _salvage(self) -> list[tuple[str, str, bytes]]:
        found: list[tuple[str, str, bytes]] = []
        try:
            for kind, key, value, crc in self._db.execute("SELECT kind, key, value, crc FROM entries"):
                if kind in SALVAGED and isinstance(value, bytes) and crc == _crc(kind, key, value):
                    found.append((kind, key, value))
        except (sqlite3.DatabaseError, AttributeError):
            return found
        return found

    def _aside(self, why: str) -> None:
        """Keep the newest file of each kind of trouble for a person to look at; its WAL goes."""
        if self._path.exists():
            self._path.replace(self._path.with_suffix(f".{why}"))
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _crc(kind: str, key: str, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(f"{kind}|{key}".encode()))
