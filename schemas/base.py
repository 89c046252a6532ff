"""What every message is: a frozen value whose names carry their units, and the identifiers messages speak of."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Final

import msgspec

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:/@-]+\Z")]
"""A name of a thing: site, node, app, terminal, session, instance, command."""
Natural = Annotated[int, msgspec.Meta(ge=0, le=9_007_199_254_740_991)]
"""A count or amount: 0 .. 2**53-1, so that every JSON reader keeps it exact."""
Millis = Natural
"""Milliseconds since the epoch, UTC."""
Permille = Annotated[int, msgspec.Meta(ge=0, le=1000)]
"""Share in thousandths."""

ID_PATTERN: Final = re.compile(r"^[A-Za-z0-9._:/@-]{1,200}\Z")
_NAMESPACE: Final = uuid.UUID("8d1c2f4e-6f0b-5c2a-9b57-0e1d6a7c3e11")


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A value that travels: closed for writers by its fields, open for readers (unknown fields are ignored)."""


def derive_id(kind: str, resource: str, cause_id: str, ordinal: int = 0) -> str:
    """The id of what follows from a cause: UUIDv5, so that the same cause gives the same id on every replay."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}|{resource}|{cause_id}|{ordinal}"))
