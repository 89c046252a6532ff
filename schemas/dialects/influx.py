"""InfluxDB line protocol: `measurement,tag=v field=1i,other=2.5 1700000000000000000`, one point a line."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ..errors import BadInput, Fault

Field = int | float | str | bool
MOST_LINES: Final = 20_000

_PARTS: Final = (2, 3)
"""Measurement with tags, fields, and perhaps a time."""
_ESCAPED: Final = re.compile(r"\\([,= \"\\])")
_SPACE: Final = re.compile(r'(?:\\.|"(?:\\.|[^"\\])*"|[^ \\"])+', re.DOTALL)
_COMMA: Final = re.compile(r'(?:\\.|"(?:\\.|[^"\\])*"|[^,\\"])+', re.DOTALL)
_PAIR: Final = re.compile(r"((?:\\.|[^=\\])+)=(.*)\Z", re.DOTALL)
_FLOAT: Final = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,4})?\Z", re.ASCII)
_WHOLE: Final = re.compile(r"(-?\d{1,20})[iu]\Z", re.ASCII)
_STAMP: Final = re.compile(r"-?\d{1,20}\Z", re.ASCII)
_BOOL: Final = {"t": True, "T": True, "true": True, "True": True, "TRUE": True} | {
    "f": False, "F": False, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


class Line(NamedTuple):
    """One point; `stamp` is as written, None where the line has no time."""

    name: str
    tags: dict[str, str]
    fields: dict[str, Field]
    stamp: int | None


def lines_of(text: str) -> list[Line]:
    """All points of a record; BadInput for the first line that is none. Comments and empty lines are skipped."""
    written = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    if len(written) > MOST_LINES:
        raise BadInput(Fault.TOO_MANY_PARTS, f"more than {MOST_LINES} lines")
    return [_line(line.strip("\r "), number) for number, line in enumerate(written, 1)]


def _line(text: str, number: int) -> Line:
    parts = _SPACE.findall(text)
    if len(parts) not in _PARTS or sum(map(len, parts)) + len(parts) - 1 != len(text):
        raise _fault(number, "needs a measurement, fields and at most a time")
    stamp = parts[2] if len(parts) == max(_PARTS) else None
    if stamp is not None and not _STAMP.match(stamp):
        raise _fault(number, "has a time that is no whole number")
    name, *tags = _items(parts[0], number)
    fields = {_plain(key): _value(text, number) for key, text in _pairs(_items(parts[1], number), number)}
    named = {_plain(key): _plain(value) for key, value in _pairs(tags, number)}
    return Line(_plain(name), named, fields, None if stamp is None else int(stamp))


def _items(text: str, number: int) -> list[str]:
    items = _COMMA.findall(text)
    if sum(map(len, items)) + len(items) - 1 != len(text):
        raise _fault(number, "has an empty name or a comma too many")
    return items


def _pairs(items: list[str], number: int) -> list[tuple[str, str]]:
    pairs = [_PAIR.match(item) for item in items]
    if not all(pairs):
        raise _fault(number, "has a tag or field without `=`")
    return [(pair[1], pair[2]) for pair in pairs if pair is not None]


def _value(text: str, number: int) -> Field:
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return _plain(text[1:-1])
    if whole := _WHOLE.match(text):
        return int(whole[1])
    if _FLOAT.match(text):
        return float(text)
    if text not in _BOOL:
        raise _fault(number, "has a field value that is no number, text or boolean")
    return _BOOL[text]


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def _fault(number: int, what: str) -> BadInput:
    return BadInput(Fault.NOT_A_LINE, f"line {number} {what}")
