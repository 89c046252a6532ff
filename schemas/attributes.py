"""The context attributes of an event (CloudEvents 1.0): which we know, how each becomes a header and is read back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from .errors import BadInput, Fault
from .instants import from_rfc3339, to_rfc3339
from .limits import MAX_ATTRIBUTES_BYTES, MAX_NAME_BYTES

PREFIX: Final = "ce_"
CONTENT_TYPE: Final = "content-type"
HOP_TRACEPARENT: Final = "traceparent"
JSON: Final = "application/json"
REQUIRED: Final = ("ce_specversion", "ce_id", "ce_source", "ce_type")

_NAME: Final = re.compile(r"ce_[a-z0-9]{1,20}")
_DECIMAL: Final = re.compile(r"[0-9]{1,20}")


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is said about an event beside its body; an empty text or None is an attribute that is not there.

    `type` is the whole CloudEvents type. `traceparent` is the trace's origin (an attribute), `hop_traceparent` that of
    this hop (a plain header). `extensions` are attributes that we do not know and pass on.
    """

    id: str
    source: str
    type: str
    time_ms: int | None = None
    content_type: str = JSON
    subject: str = ""
    partitionkey: str = ""
    recordedtime_ms: int | None = None
    sequence: int | None = None
    dataschema: str = ""
    correlationid: str = ""
    causationid: str = ""
    expirytime_ms: int | None = None
    fenceepoch: int | None = None
    fencerevision: int | None = None
    keyspace: str = ""
    traceparent: str = ""
    hop_traceparent: str = ""
    extensions: dict[str, str] = {}


class Attribute(NamedTuple):
    """One attribute that we know: its header, its field in `Envelope`, how it is written and read."""

    header: str
    field: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def decimal(text: str) -> int:
    """A number past the 32 bits of a CloudEvents Integer, which travels as decimal text; BadInput for other text."""
    if _DECIMAL.fullmatch(text) is None:
        raise BadInput(Fault.ENVELOPE, "not a decimal number of at most 20 digits")
    return int(text)


def _twenty_digits(number: int) -> str:
    """Padded, so that the order of the texts is the order of the numbers."""
    return f"{number:020d}"


OPTIONAL: Final = (
    Attribute("ce_subject", "subject", str, str),
    Attribute("ce_partitionkey", "partitionkey", str, str),
    Attribute("ce_recordedtime", "recordedtime_ms", to_rfc3339, from_rfc3339),
    Attribute("ce_sequence", "sequence", _twenty_digits, decimal),
    Attribute("ce_dataschema", "dataschema", str, str),
    Attribute("ce_correlationid", "correlationid", str, str),
    Attribute("ce_causationid", "causationid", str, str),
    Attribute("ce_expirytime", "expirytime_ms", to_rfc3339, from_rfc3339),
    Attribute("ce_fenceepoch", "fenceepoch", str, decimal),
    Attribute("ce_fencerevision", "fencerevision", str, decimal),
    Attribute("ce_keyspace", "keyspace", str, str),
    Attribute("ce_traceparent", "traceparent", str, str),
    Attribute(HOP_TRACEPARENT, "hop_traceparent", str, str),
)
KNOWN: Final = frozenset((*REQUIRED, "ce_time", CONTENT_TYPE, HOP_TRACEPARENT, *(known.header for known in OPTIONAL)))

_TIME: Final = Attribute("ce_time", "time_ms", to_rfc3339, from_rfc3339)
_optional_values: Final = attrgetter(*(known.field for known in OPTIONAL), "extensions")
_NOTHING: Final = _optional_values(Envelope(id="", source="", type=""))


def optional_headers(envelope: Envelope) -> list[tuple[str, bytes]]:
    """Headers of the attributes beyond the six that every event carries; telemetry has none and pays one comparison."""
    values = _optional_values(envelope)
    if values == _NOTHING:
        return []
    headers = [
        (known.header, known.write(value).encode())
        for known, value in zip(OPTIONAL, values, strict=False)  # the extensions stand after the last
        if value is not None and value != ""
    ]
    for name, text in envelope.extensions.items():
        assert _NAME.fullmatch(PREFIX + name) is not None, name
        headers.append((PREFIX + name, text.encode()))
    return headers


def envelope_of(headers: Mapping[str, bytes]) -> Envelope:
    """All attributes of a checked event, typed; BadInput names every one that cannot be read."""
    fields: dict[str, Any] = {}
    faults: list[str] = []
    for known in (_TIME, *OPTIONAL):
        raw = headers.get(known.header)
        if raw is not None:
            _read_into(fields, faults, known, raw)
    extensions = {name[3:]: text for name in headers if (text := _extension(name, headers[name], faults))}
    if faults:
        raise BadInput(Fault.ENVELOPE, "; ".join(faults))
    version, event_id, source, kind = (headers[name].decode() for name in REQUIRED)
    assert version == "1.0", version
    content_type = headers.get(CONTENT_TYPE, JSON.encode()).decode()
    return Envelope(id=event_id, source=source, type=kind, content_type=content_type, extensions=extensions, **fields)


def _read_into(fields: dict[str, Any], faults: list[str], known: Attribute, raw: bytes) -> None:
    try:
        fields[known.field] = known.read(raw.decode())
    except UnicodeDecodeError:
        faults.append(f"{known.header}: not UTF-8")
    except BadInput as error:
        faults.append(f"{known.header}: {error.detail}")


def _extension(name: str, raw: bytes, faults: list[str]) -> str:
    """The text of an attribute that we do not know; empty for all other headers."""
    if name in KNOWN or not name.startswith(PREFIX):
        return ""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        faults.append(f"{name}: not UTF-8")
        return ""


def check_attributes(headers: Mapping[str, bytes]) -> None:
    """Refuse attributes that are misnamed or too large; the detail lists every fault."""
    ours = {name: raw for name, raw in headers.items() if name.startswith(PREFIX)}
    faults = [f"attribute name {name[:40]!r}" for name in ours if _NAME.fullmatch(name) is None]
    faults += [
        f"{name} of {len(headers[name])} bytes, at most {MAX_NAME_BYTES}"
        for name in (*REQUIRED, CONTENT_TYPE)
        if len(headers.get(name, b"")) > MAX_NAME_BYTES
    ]
    total = sum(map(len, ours.values()))
    if total > MAX_ATTRIBUTES_BYTES:
        faults.append(f"{total} bytes of attributes, at most {MAX_ATTRIBUTES_BYTES}")
    if faults:
        raise BadInput(Fault.ENVELOPE, "; ".join(faults))
