"""Tables of a controller: rows by key that remember which changed.

Rows are decoded when first read and encoded when flushed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import msgspec

ROW_VERSION = 2
_VERSION_BYTE = bytes([ROW_VERSION])
_encode = msgspec.msgpack.Encoder().encode


class Row(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A private row: may be changed in place by its controller, which then puts it back to mark the change."""


R = TypeVar("R", bound=msgspec.Struct)


class Table(Generic[R]):
    """Rows of one type by key.

    Change a row by `table[key] = row` (also after a change in place) or `del table[key]`; nothing else marks it.
    """

    def __init__(self, name: str, row_type: type[R]) -> None:
        """An empty table; `name` is its name in the journal."""
        self.name, self.row_type = name, row_type
        self.dirty: dict[str, None] = {}
        self._rows: dict[str, R | bytes] = {}
        self._decode = msgspec.msgpack.Decoder(row_type).decode

    def get(self, key: str) -> R | None:
        """The row, or None."""
        row = self._rows.get(key)
        if isinstance(row, bytes):
            row = self._rows[key] = self._decode(memoryview(row)[1:])
        return row

    def __getitem__(self, key: str) -> R:
        """The row; KeyError when absent."""
        row = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def __setitem__(self, key: str, row: R) -> None:
        """Put the row and mark it changed."""
        self._rows[key] = row
        self.dirty[key] = None

    def __delitem__(self, key: str) -> None:
        """Remove the row and mark that."""
        del self._rows[key]
        self.dirty[key] = None

    def discard(self, key: str) -> None:
        """Remove the row if it is there."""
        if self._rows.pop(key, None) is not None:
            self.dirty[key] = None

    def __contains__(self, key: object) -> bool:
        """Whether there is such a row."""
        return key in self._rows

    def __len__(self) -> int:
        """How many rows."""
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        """Keys in the order in which they came."""
        return iter(tuple(self._rows))

    def items(self) -> Iterator[tuple[str, R]]:
        """Keys and rows, decoded."""
        for key in tuple(self._rows):
            yield key, self[key]

    def values(self) -> Iterator[R]:
        """Rows, decoded."""
        for key in tuple(self._rows):
            yield self[key]

    def take_changes(self) -> tuple[dict[str, bytes], list[str]]:
        """What changed since the last call, as journalled: rows by key, and the keys of those that went."""
        rows, kept = self._rows, dict[str, bytes]()
        removed: list[str] = []
        for key in self.dirty:
            row = rows.get(key)
            if row is None:
                removed.append(key)
            else:
                kept[key] = row if isinstance(row, bytes) else _VERSION_BYTE + _encode(row)
        self.dirty = {}
        return kept, removed

    def copy(self, keys: list[str], into: dict[str, bytes], *, most: int, limit_bytes: int) -> tuple[int, int]:
        """Copy rows of the last keys as journalled unless they are there, and take those keys off; keys and bytes.

        Ends after `most` keys or about so many bytes; a key whose row went meanwhile needs no copy.
        """
        rows, before, size = self._rows, len(keys), 0
        for _ in range(min(most, before)):
            key = keys.pop()
            row = rows.get(key)
            if row is not None and key not in into:
                data = into[key] = row if isinstance(row, bytes) else _VERSION_BYTE + _encode(row)
                size += len(data)
                if size >= limit_bytes:
                    break
        return before - len(keys), size

    def encoded(self, key: str) -> bytes | None:
        """The row as journalled (a version byte and msgpack), None when it is gone."""
        row = self._rows.get(key)
        if row is None or isinstance(row, bytes):
            return row
        return _VERSION_BYTE + _encode(row)

    def load(self, key: str, data: bytes | None) -> None:
        """Take a row from the journal as it is, undecoded; not a change."""
        if data is None:
            self._rows.pop(key, None)
        else:
            self.load_all({key: data})

    def load_all(self, rows: Mapping[str, bytes]) -> None:
        """Take rows from the journal as they are, undecoded; not changes. ValueError for rows of another version."""
        if {data[0] for data in rows.values()} - {ROW_VERSION}:
            key, version = next((key, data[0]) for key, data in rows.items() if data[0] != ROW_VERSION)
            msg = f"row {self.name}/{key} has version {version}, this program reads {ROW_VERSION}"
            raise ValueError(msg)
        self._rows.update(rows)
