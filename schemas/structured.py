"""Structured mode: a whole event as one JSON object (CloudEvents JSON format 1.0), turned into headers and data."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Final

import msgspec

from .attributes import CONTENT_TYPE, JSON, PREFIX, check_attributes
from .errors import BadInput, Fault
from .limits import BATCH, MAX_ATTRIBUTES_BYTES, MAX_NAME_BYTES, Limits, check_border

MEDIA_TYPE: Final = "application/cloudevents"

_WHOLE: Final = BATCH.max_bytes + MAX_ATTRIBUTES_BYTES
_LIMITS: Final = Limits(max_bytes=_WHOLE, max_depth=BATCH.max_depth + 1, max_string_bytes=_WHOLE)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOT_ATTRIBUTES: Final = ("data", "data_base64", "datacontenttype")


def unpack(content_type: str, value: bytes | None) -> tuple[dict[str, bytes], bytes | None]:
    """The event as binary mode would carry it: headers and data; None where it has no data."""
    _check_format(content_type)
    if value is None:
        raise BadInput(Fault.NO_DATA, "structured mode without a value")
    check_border(value, _LIMITS)
    try:
        members = _MEMBERS.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(Fault.NOT_JSON, str(error)) from None
    headers = _headers(members)
    check_attributes(headers)
    return headers, _data(members, headers[CONTENT_TYPE].decode())


@lru_cache(maxsize=64)
def is_json(content_type: str) -> bool:
    """Whether bytes of this content type are JSON in UTF-8."""
    essence, _, parameters = content_type.lower().partition(";")
    essence = essence.strip()
    if "charset" in parameters and "utf-8" not in parameters:
        return False
    return essence in {JSON, "text/json"} or essence.endswith("+json")


def _check_format(content_type: str) -> None:
    """Kafka knows no batch mode, and of the event formats we read JSON."""
    essence = content_type.lower().partition(";")[0].strip()
    is_short = len(content_type) <= MAX_NAME_BYTES
    if not is_short or essence != f"{MEDIA_TYPE}+json" or not is_json(content_type):
        raise BadInput(Fault.CONTENT_TYPE, f"of the structured formats only {MEDIA_TYPE}+json in UTF-8 is read")


def _headers(members: dict[str, msgspec.Raw]) -> dict[str, bytes]:
    headers: dict[str, bytes] = {}
    faults: list[str] = []
    for name, raw in members.items():
        if name in _NOT_ATTRIBUTES:
            continue
        text = _text(raw)
        if text is None:
            faults.append(f"{name[:40]} is no text, integer or boolean")
        elif text:
            headers[PREFIX + name] = text.encode()
    if faults:
        raise BadInput(Fault.ENVELOPE, "; ".join(faults))
    headers[CONTENT_TYPE] = (_text(members.get("datacontenttype", msgspec.Raw(b"null"))) or JSON).encode()
    return headers


def _text(raw: msgspec.Raw) -> str | None:
    """An attribute's canonical text; empty for null (not set); None for what no attribute may be."""
    try:
        value = msgspec.json.decode(raw)
    except msgspec.DecodeError:  # a number such as 1e999 passes as raw JSON
        return None
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | str):
        return str(value)
    return None


def _data(members: dict[str, msgspec.Raw], content_type: str) -> bytes | None:
    encoded = members.get("data_base64")
    raw = members.get("data")
    if encoded is not None and raw is not None:
        raise BadInput(Fault.ENVELOPE, "both data and data_base64")
    if encoded is not None:
        return _from_base64(encoded)
    data = bytes(raw) if raw is not None else b"null"
    if not is_json(content_type) and data.startswith(b'"'):
        return msgspec.json.decode(data, type=str).encode()
    return None if data == b"null" else data


def _from_base64(encoded: msgspec.Raw) -> bytes:
    try:
        return base64.b64decode(msgspec.json.decode(encoded, type=str), validate=True)
    except (binascii.Error, msgspec.ValidationError, ValueError):
        raise BadInput(Fault.ENVELOPE, "data_base64 is not base64 text") from None
