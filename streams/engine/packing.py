"""Packed records: the content of frames (docs/decisions/006).

A record `R` + `space/table/` carries rows of one table by key and the keys that went; a record `O` carries outbox
entries by sequence number and the numbers that went. A key stands in a frame once, so order within it says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from streams.engine.frames import BATCH_BYTES, Entry, Record, encode_entry

ROWS_MARK: Final = b"R"
OUTBOX_KEY: Final = b"O"
RECORD_BYTES: Final = 262_144
"""A record is cut when it outgrows this: a reader holds whole records, and batches are filled with them."""
LIMIT_BYTES: Final = BATCH_BYTES
"""A single row or entry beyond this cannot be journalled: a bug of its controller."""

K = TypeVar("K", str, int)

_encode = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(tuple[dict[str, bytes], list[str]]).decode
_decode_outbox = msgspec.msgpack.Decoder(tuple[dict[int, bytes], list[int]]).decode


def pack_rows(prefix: str, rows: dict[str, bytes], removed: list[str]) -> list[Record]:
    """Records for changes of the table `space/table/`; AssertionError names a row that no journal could hold."""
    return _pack(ROWS_MARK + prefix.encode(), rows, removed)


def pack_outbox(entries: Mapping[int, Entry], removed: list[int]) -> list[Record]:
    """Records for new outbox entries and those that went; AssertionError names an entry that no journal could hold."""
    return _pack(OUTBOX_KEY, {sequence: encode_entry(entry) for sequence, entry in entries.items()}, removed)


def unpack_rows(value: bytes) -> tuple[dict[str, bytes], list[str]]:
    """Rows by key as journalled, and the keys that went."""
    return _decode_rows(value)


def unpack_outbox(value: bytes) -> tuple[dict[int, bytes], list[int]]:
    """Entries by sequence number as journalled, and the numbers that went."""
    return _decode_outbox(value)


def _pack(name: bytes, kept: dict[K, bytes], removed: list[K]) -> list[Record]:
    value = _encode((kept, removed))
    if len(value) <= RECORD_BYTES:
        return [(name, value)]
    if len(kept) + len(removed) == 1:
        found = f"{name.decode()}{next(iter(kept), '')} of {len(value)} bytes"
        assert len(value) <= LIMIT_BYTES, f"{found} cannot be journalled, {LIMIT_BYTES} is the most"
        return [(name, value)]
    if kept and removed:
        return _pack(name, kept, []) + _pack(name, {}, removed)
    pieces = len(value) // RECORD_BYTES + 1
    if removed:
        return [record for keys in _cut(removed, pieces) for record in _pack(name, {}, keys)]
    parts = ({key: kept[key] for key in keys} for keys in _cut(list(kept), pieces))
    return [record for part in parts for record in _pack(name, part, [])]


def _cut(items: list[K], pieces: int) -> list[list[K]]:
    """At most so many stretches of about the same length."""
    size = -(-len(items) // pieces)
    return [items[start : start + size] for start in range(0, len(items), size)]
