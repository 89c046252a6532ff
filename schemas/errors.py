"""What is wrong with bytes that came in: one exception for the border, its reason from a closed list."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """Why an input was refused; the value labels metrics and the dead letter's reason header."""

    TOO_LARGE = "too-large"
    TOO_DEEP = "too-deep"
    TOO_MANY_KEYS = "too-many-keys"
    STRING_TOO_LONG = "string-too-long"
    BAD_UTF8 = "bad-utf8"
    NOT_JSON = "not-json"
    NOT_A_LINE = "not-a-line"
    NOT_FINITE = "not-finite"
    SCHEMA = "schema"
    NO_DATA = "no-data"
    CONTENT_TYPE = "content-type"
    ENVELOPE = "envelope"
    BAD_TIME = "bad-time"
    UNKNOWN_TYPE = "unknown-type"
    OTHER_KEY = "other-key"
    NO_NODE_IDENTITY = "no-node-identity"
    NO_SITE = "no-site"
    NO_TERMINAL_IDENTITY = "no-terminal-identity"
    OUT_OF_RANGE = "out-of-range"
    TOO_MANY_PARTS = "too-many-parts"
    ROW = "row"
    SETTINGS = "settings"
    DOCUMENT = "document"


class BadInput(ValueError):
    """Input that is refused: `reason` counts, `detail` tells a person every fault, never a foreign value."""

    def __init__(self, reason: Fault, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[BadInput], tuple[Fault, str]]:
        """Pickled and copied by its two parts (an exception would otherwise be rebuilt from its text)."""
        return (BadInput, (self.reason, self.detail))
