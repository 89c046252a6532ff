"""The fast lane: telemetry of known things is read with no more checks than decisions need (docs/decisions/007).

What it does not take goes the whole way (`decode`), in order; so the lane itself never refuses anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from schemas.base import ID_PATTERN
from schemas.cloudevents import Headers
from schemas.limits import BATCH
from schemas.registry import full_type
from schemas.telemetry import NodeReading, SiteReading
from streams.engine.decode import homed
from streams.engine.envelopes import SOURCE_PREFIX
from streams.records import Record

Reading = NodeReading | SiteReading
Read = Callable[[bytes], Reading]

_SPECVERSION: Final = ("ce_specversion", b"1.0")
_JSON: Final = ("content-type", b"application/json")
_ENGINES: Final = SOURCE_PREFIX.encode()
_NAME_BYTES: Final = 200
_TIME_BYTES: Final = 40
"""Longer ids, sources and times are rare: the whole way judges them."""
_SMALL_BYTES: Final = BATCH.max_string_bytes
"""Nothing in so small a record can be too long."""
_WINDOW_BYTES: Final = _SMALL_BYTES // 2
_MOST_NAMES: Final = 50_000
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_sample: Final[Read] = msgspec.json.Decoder(NodeReading).decode
_batch: Final[Read] = msgspec.json.Decoder(SiteReading).decode
_BY_TYPE: Final[dict[tuple[str, bytes | None], Read]] = {
    ("ce_type", full_type("node.telemetry.v1").encode()): _sample,
    ("ce_type", full_type("node.telemetry-batch.v1").encode()): _batch,
}


class Lane:
    """One partition's fast lane. It remembers names that it found good, never anything that a decision needs."""

    __slots__ = ("_gateways", "_number", "_partitions", "_sources")

    def __init__(self, number: int, partitions: int) -> None:
        """No name is known yet."""
        self._number, self._partitions = number, partitions
        self._sources: dict[tuple[str, bytes | None], None] = {}
        self._gateways: dict[str, None] = {}

    def read(self, record: Record) -> Reading | None:
        """What a plain record says: bare JSON, or behind the very headers that our emitters write; else None."""
        value, headers = record.value, record.headers
        site, home = homed(record.key, self._partitions)
        read = self._reader(headers) if headers else _sample
        if not site or home != self._number or read is None or value is None or not value.isascii():
            return None
        if len(value) > _SMALL_BYTES and not (read is _batch and _fits(value)):
            return None
        try:
            reading = read(value)
        except _UNREADABLE:
            return None
        if reading.site_id != site or (read is _batch and not self._is_named(reading)):
            return None
        return reading

    def _reader(self, headers: Headers) -> Read | None:
        """How to read the body behind these headers, if they are plain."""
        try:
            version, (id_name, event_id), source, kind, content_type, (time_name, time) = headers
        except ValueError:
            return None
        if version != _SPECVERSION or content_type != _JSON or id_name != "ce_id" or time_name != "ce_time":
            return None
        if not event_id or not time or len(event_id) > _NAME_BYTES or len(time) > _TIME_BYTES:
            return None
        if not event_id.isascii() or (source not in self._sources and not self._is_plain(source)):
            return None
        return _BY_TYPE.get(kind)

    def _is_plain(self, source: tuple[str, bytes | None]) -> bool:
        """Whether this is a short source and no engine's (those are numbered, and their copies dropped)."""
        name, value = source
        if name != "ce_source" or not value or len(value) > _NAME_BYTES:
            return False
        if not value.isascii() or value.startswith(_ENGINES):
            return False
        _remember(self._sources, source)
        return True

    def _is_named(self, reading: Reading) -> bool:
        """Whether a batch's gateway, which rows keep, has a good name."""
        assert isinstance(reading, SiteReading)
        gateway = reading.gateway_id
        if gateway in self._gateways:
            return True
        if ID_PATTERN.match(gateway) is None:
            return False
        _remember(self._gateways, gateway)
        return True


def _fits(value: bytes) -> bool:
    """Whether a batch is within its limits; a text that is too long leaves a window of half its length unquoted."""
    if len(value) > BATCH.max_bytes or b"\\" in value:
        return False
    starts = range(0, len(value) - _WINDOW_BYTES + 1, _WINDOW_BYTES)
    return all(value.find(b'"', start, start + _WINDOW_BYTES) >= 0 for start in starts)


def _remember(names: dict[Any, None], name: object) -> None:
    """Strangers may send any number of names."""
    if len(names) >= _MOST_NAMES:
        names.clear()
    names[name] = None
