"""What executors report: the state of a command, and who they are and what they run (CONTRACTS 5)."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from .base import Id, IdOrNone, KeyspaceName, Message, Millis, Permille, Replicas, ResourceId, Version
from .commands import Fence, StateRef


class CommandState(StrEnum):
    """The life of a command."""

    ISSUED = "ISSUED"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    PROGRESSING = "PROGRESSING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    SUPERSEDED = "SUPERSEDED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows it."""
        return self not in (
            CommandState.ISSUED,
            CommandState.ACCEPTED,
            CommandState.PROGRESSING,
        )


class Result(Message, frozen=True, kw_only=True):
    """What the target really looks like now; `observed` is the replicas that run, read back."""

    endpoints: tuple[str, ...] = ()
    instance_ids: tuple[str, ...] = ()
    state: StateRef | None = None
    observed: Replicas | None = None
    moot: bool = False


class Fault(Message, frozen=True, kw_only=True):
    """Why it failed; `code` no-state means that the copy is gone."""

    code: str
    retryable: bool
    cls: str = ""
    detail: str = ""


class Status(Message, frozen=True, kw_only=True):
    """One state of one command; counts only if its `state_version` is greater than the last one seen."""

    command_id: Id
    attempt: Version
    state: CommandState
    state_version: Version
    entered_at_ms: Millis
    executor_id: Id
    resource_id: ResourceId
    site_id: IdOrNone
    boot_id: str
    observed_fence: Fence | None = None
    progress_permille: Permille = 0
    phase: str = ""
    result: Result | None = None
    error: Fault | None = None
    observed_generation: Version = 0
    late: bool = False


class CopyState(StrEnum):
    """What a copy of a stateful resource is doing."""

    ACTIVE = "active"
    PARKED = "parked"
    FROZEN = "frozen"
    PREPARED = "prepared"


class Observed(Message, frozen=True, kw_only=True):
    """One resource as the executor finds it: replicas of an app (`app@site`), or a copy of a session or device.

    `kind` is the resource's type (replicas, ingress, session ..): replicas and an ingress share their id.
    """

    resource_id: ResourceId
    kind: str = ""
    generation: Version = 0
    replicas: Replicas = 0
    state: CopyState | None = None
    version: Version = 0
    checkpoint_ref: str = ""


class Hello(Message, frozen=True, kw_only=True):
    """An executor came up, came back or was asked: one to each owner with that owner's resources, one for the site.

    `owner_keyspace` and the record's key say to whom it speaks; `resources` are only that owner's.
    """

    executor_id: Id
    site_id: Id
    boot_id: str
    at_ms: Millis
    owner_keyspace: KeyspaceName
    last_applied: dict[str, Version] = msgspec.field(default_factory=dict)
    observed: tuple[Observed, ...] = ()
    unmanaged: tuple[str, ...] = ()
    why: str = "start"
