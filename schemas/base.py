"""What every message is: a frozen value whose names carry their units, and the identifiers messages speak of."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Final

import msgspec

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:/@-]+\Z")]
"""A name of a thing: site, node, app, terminal, session, instance, command."""
IdOrNone = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[A-Za-z0-9._:/@-]*\Z")]
"""A name, or nothing."""
ResourceId = Annotated[str, msgspec.Meta(min_length=1, max_length=402, pattern=r"^[A-Za-z0-9._:/@-]+\Z")]
"""A name made of up to two others: `app@site`, `terminal/app`."""
KeyspaceName = Annotated[str, msgspec.Meta(pattern=r"^(site|terminal|app|region)\Z")]
"""Whose controllers are meant (topics.topic.Keyspace)."""
MOST: Final = 9_007_199_254_740_991
"""2**53-1: up to here every JSON reader keeps a number exact."""
Natural = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
"""A count or amount, also one that we computed."""
MOST_AMOUNT: Final = 70_368_744_177_663
"""2**46-1: 70 TB, 70 Tbit/s; so many of them add up to an exact sum."""
Amount = Annotated[int, msgspec.Meta(ge=0, le=MOST_AMOUNT)]
"""What one thing measured or declared of a resource."""
Count = Annotated[int, msgspec.Meta(ge=0, le=4_294_967_295)]
"""How many of something were counted or are wanted: up to 2**32-1."""
Replicas = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
"""Copies of one app that are wanted or seen in one place."""
Version = Annotated[int, msgspec.Meta(ge=0, le=4_503_599_627_370_495)]
"""What others number and we go on from: up to 2**52-1, so that what follows is still a Natural."""
LATEST_MS: Final = 140_737_488_355_327
"""In the year 6429: nanoseconds and microseconds are told by their size."""
Millis = Annotated[int, msgspec.Meta(ge=0, le=LATEST_MS)]
"""Milliseconds since the epoch, UTC."""
Span = Annotated[int, msgspec.Meta(ge=0, le=4_398_046_511_103)]
"""For how many milliseconds: up to 139 years, so that a moment and a span make a moment."""
Permille = Annotated[int, msgspec.Meta(ge=0, le=1000)]
"""Share in thousandths."""

ID_PATTERN: Final = re.compile(r"^[A-Za-z0-9._:/@-]{1,200}\Z")
_NAMESPACE: Final = uuid.UUID("8d1c2f4e-6f0b-5c2a-9b57-0e1d6a7c3e11")


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A value that travels: closed for writers by its fields, open for readers (unknown fields are ignored)."""


def capped(number: int) -> int:
    """A computed amount as it may travel and be kept."""
    return min(number, MOST)


def derive_id(kind: str, resource: str, cause_id: str, ordinal: int = 0) -> str:
    """The id of what follows from a cause: UUIDv5, so that the same cause gives the same id on every replay."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}|{resource}|{cause_id}|{ordinal}"))
