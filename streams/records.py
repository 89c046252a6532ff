"""What we ask of a record, whoever reads it: a consumer, a replay or a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Written(Protocol):
    """A record's place and content."""

    @property
    def offset(self) -> int:
        """Its place in its partition."""
        raise NotImplementedError

    @property
    def key(self) -> bytes | None:
        """Its key."""
        raise NotImplementedError

    @property
    def value(self) -> bytes | None:
        """Its value; None is a tombstone."""
        raise NotImplementedError


class Record(Written, Protocol):
    """A record with all that Kafka says about it."""

    @property
    def partition(self) -> int:
        """Its partition."""
        raise NotImplementedError

    @property
    def timestamp(self) -> int:
        """Milliseconds: of appending, or as the producer said."""
        raise NotImplementedError

    @property
    def timestamp_type(self) -> int:
        """0 as created, 1 as appended."""
        raise NotImplementedError

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Its headers."""
        raise NotImplementedError
