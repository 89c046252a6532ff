"""CloudEvents 1.0 over Kafka, thin: binary mode out; binary, structured and bare JSON in.

Rules (Kafka protocol binding): attributes are headers `ce_<name>`; a content type that starts with
`application/cloudevents` means structured mode; no data means a null value, which is a tombstone on a compacted topic.
Of headers with one name the last counts. Only what every reader needs is read at once; the rest when asked for.
Measured (CPython 3.11, one core of a shared machine): telemetry's headers 1.7 us out, 2.3 us in; a command's 5.5 and 3.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Final, TypeVar, cast

import msgspec

from . import wire
from .attributes import (
    CONTENT_TYPE,
    JSON,
    KNOWN,
    PREFIX,
    REQUIRED,
    Envelope,
    check_attributes,
    decimal,
    envelope_of,
    optional_headers,
)
from .checks import refuse_unsound
from .errors import BadInput, Fault
from .instants import from_rfc3339, to_rfc3339
from .limits import MAX_NAME_BYTES, RECORD, Limits
from .registry import full_type, short_type
from .structured import MEDIA_TYPE, is_json, unpack

__all__ = ["BARE_JSON", "NO_CONTENT_TYPE", "Envelope", "Headers", "Received", "headers", "read", "short_type"]

T = TypeVar("T")
Headers = Sequence[tuple[str, bytes | None]]
"""Headers as Kafka clients hand them over; a null value is a header that is not there."""

BARE_JSON: Final = "bare-json"
"""Coercion: a record without attributes, taken as its topic's default type."""
NO_CONTENT_TYPE: Final = "no-content-type"
"""Coercion: an event that does not say what its data is, taken as JSON."""

_SPECVERSION: Final = ("ce_specversion", b"1.0")
_JSON_HEADER: Final = (CONTENT_TYPE, JSON.encode())
_required: Final = itemgetter(*REQUIRED)
_MEDIA_TYPE: Final = MEDIA_TYPE.encode()


class Received(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event as it came. `type` is the whole CloudEvents type, `data` the body's bytes (None: a tombstone).

    `attributes` are all headers that say something (bytes, by header name); `record_time_ms` is the record's stamp.
    """

    type: str
    id: str
    source: str
    data: bytes | None
    record_time_ms: int
    content_type: str = JSON
    attributes: dict[str, bytes] = {}
    coercions: tuple[str, ...] = ()

    @property
    def short_type(self) -> str:
        """The type's short name (`node.telemetry.v1`)."""
        return short_type(self.type)

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two records the same event; published examples share id and source across types."""
        return (self.source, self.id, self.type)

    @property
    def time_ms(self) -> int:
        """When it happened: `ce_time`, else the record's stamp; BadInput for a time that is none."""
        text = self.attribute("time")
        return from_rfc3339(text) if text else self.record_time_ms

    @property
    def sequence(self) -> int:
        """The sender's number of the event, 0 without one; BadInput if it is none. Reads no other attribute."""
        raw = self.attributes.get("ce_sequence")
        return decimal(_text(raw, "sequence")) if raw else 0

    def attribute(self, name: str) -> str:
        """One attribute's text (`keyspace`, `expirytime`), empty if it is not there; BadInput if not UTF-8."""
        return _text(self.attributes.get(PREFIX + name, b""), name)

    def envelope(self) -> Envelope:
        """Every attribute, typed; BadInput names all that cannot be read."""
        if self.attributes:
            return envelope_of(self.attributes)
        return Envelope(id=self.id, source=self.source, type=self.type, time_ms=self.record_time_ms)

    def body(self, kind: builtins.type[T], limits: Limits = RECORD) -> T:
        """The data as a value; BadInput for a tombstone, data that is not JSON, does not fit `kind` or is unsound."""
        if self.data is None:
            raise BadInput(Fault.NO_DATA, "a tombstone where a body is needed")
        if not is_json(self.content_type):
            raise BadInput(Fault.CONTENT_TYPE, "the data is not JSON in UTF-8")
        value = wire.decode(kind, self.data, limits)
        refuse_unsound(value)
        return value


def headers(envelope: Envelope) -> list[tuple[str, bytes]]:
    """The headers of an event in binary mode: the required six first, then what else the envelope says."""
    out = [
        _SPECVERSION,
        ("ce_id", envelope.id.encode()),
        _static_header("ce_source", envelope.source),
        _static_header("ce_type", envelope.type),
        _JSON_HEADER if envelope.content_type == JSON else (CONTENT_TYPE, envelope.content_type.encode()),
    ]
    if envelope.time_ms is not None:
        out.append(("ce_time", to_rfc3339(envelope.time_ms).encode()))
    out += optional_headers(envelope)
    return out


def read(
    record_headers: Headers,
    value: bytes | None,
    *,
    key: bytes | None,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    default_type: str = "",
) -> Received:
    """The event of one Kafka record, its envelope checked, its data untouched.

    `default_type`: short name that a record without any attribute is taken for; empty where a topic has no default.
    BadInput names every missing attribute; it never quotes a value.
    """
    raw = _held(record_headers)
    content_type = raw.get(CONTENT_TYPE, b"")
    if content_type != _JSON_HEADER[1] and content_type[: len(_MEDIA_TYPE)].lower() == _MEDIA_TYPE:
        raw, value = unpack(_text(content_type, CONTENT_TYPE), value)
    elif "ce_type" not in raw and not any(name.startswith(PREFIX) for name in raw):
        place = f"{topic}/{partition}/{offset}"
        return _bare(value, key=key, topic=topic, place=place, at_ms=timestamp_ms, default_type=default_type)
    return _received(raw, value, timestamp_ms)


def _held(record_headers: Headers) -> dict[str, bytes]:
    """Headers that say something. Nearly always all do, and then C builds the dictionary."""
    raw = dict(record_headers)
    if all(raw.values()):
        return cast("dict[str, bytes]", raw)
    return {name: held for name, held in record_headers if held}


def _received(raw: dict[str, bytes], value: bytes | None, timestamp_ms: int) -> Received:
    if not KNOWN.issuperset(raw) or len(b"".join(raw.values())) > MAX_NAME_BYTES:
        check_attributes(raw)
    try:
        version, event_id, source, kind = _required(raw)
    except KeyError:
        raise BadInput(Fault.ENVELOPE, _missing(raw)) from None
    type_, source_, content_type = _constants(version, kind, source, raw.get(CONTENT_TYPE))
    return Received(
        type=type_,
        id=event_id.decode() if event_id.isascii() else _text(event_id, "id"),
        source=source_,
        data=value,
        record_time_ms=timestamp_ms,
        content_type=content_type or JSON,
        attributes=raw,
        coercions=() if content_type or value is None else (NO_CONTENT_TYPE,),
    )


@lru_cache(maxsize=4096)
def _constants(version: bytes, kind: bytes, source: bytes, content_type: bytes | None) -> tuple[str, str, str]:
    """Type, source and content type as text, remembered: of these there are few."""
    if version != b"1.0":
        raise BadInput(Fault.ENVELOPE, "ce_specversion is not 1.0")
    return _text(kind, "type"), _text(source, "source"), _text(content_type or b"", CONTENT_TYPE)


def _bare(value: bytes | None, *, key: bytes | None, topic: str, place: str, at_ms: int, default_type: str) -> Received:
    """A record of a plain producer (kcat, console). A bare tombstone needs no type: its key says what goes."""
    if value is not None and not default_type:
        raise BadInput(Fault.ENVELOPE, "no ce_ headers, and the topic has no default type")
    return Received(
        type=full_type(default_type) if default_type else "",
        id=place,
        source=key.decode(errors="backslashreplace") if key else topic,
        data=value,
        record_time_ms=at_ms,
        coercions=(BARE_JSON,),
    )


def _missing(raw: dict[str, bytes]) -> str:
    faults = [f"missing {name}" for name in REQUIRED if name not in raw]
    if raw.get("ce_specversion", b"1.0") != b"1.0":
        faults.append("ce_specversion is not 1.0")
    return "; ".join(faults)


def _text(raw: bytes, name: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadInput(Fault.BAD_UTF8, f"{name} is not UTF-8") from None


@lru_cache(maxsize=4096)
def _static_header(name: str, text: str) -> tuple[str, bytes]:
    return (name, text.encode())
