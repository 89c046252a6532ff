"""What the executor remembers of a command, and what reaches it from a command topic."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from schemas import wire
from schemas.commands import Command
from schemas.decisions import Resource
from schemas.statuses import Status


class Phase(StrEnum):
    """How far a command is; `intended` without `done` at a restart must be verified against the target."""

    ACCEPTED = "accepted"
    INTENDED = "intended"
    DONE = "done"


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A command whose id was seen, with the latest status said about it."""

    command: Command
    append_ms: int
    phase: Phase
    status: Status


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One command as it came: `append_ms` is the broker's time, `sequence` 0 where the sender keeps none."""

    command: Command
    topic: str
    partition: int
    offset: int
    append_ms: int
    sequence: int = 0
    raw: bytes = b""
    signature_header: str = ""


class Unsaid(msgspec.Struct, frozen=True, kw_only=True):
    """A status that is not yet acknowledged by the broker."""

    key: str
    keyspace: str
    status: Status


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who last ordered a resource at a site, and the newest generation ordered."""

    key: str
    keyspace: str
    generation: int


def known_of(raw: bytes | None) -> Known | None:
    """The record of a command, if its id was seen."""
    return None if raw is None else wire.decode_row(Known, raw)


def resource_key(resource: Resource) -> str:
    """One resource's name among all types."""
    return f"{resource.type}/{resource.id}"
