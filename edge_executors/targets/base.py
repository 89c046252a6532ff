"""What every target can do: plan, apply, read back what is really there, and tell all it holds."""

from __future__ import annotations

from typing import Protocol

import msgspec

from schemas.commands import Command
from schemas.statuses import Observed, Result
from topics.topic import Keyspace


class TargetError(Exception):
    """The world would not do it. `code` goes to the owner (`no-state` = the copy is gone); retryable = ask again."""

    def __init__(self, code: str, detail: str = "", *, retryable: bool = True) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.retryable = retryable


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What the target really looks like, and whether that is what the command wants."""

    holds: bool
    result: Result = Result()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One resource that is there; `kind` is its type (ids of replicas and of an ingress are spelled alike).

    The owner is named as far as the target itself can tell.
    """

    kind: str
    observed: Observed
    owner_key: str = ""
    owner_keyspace: str = ""


def replicas_found(site_id: str, app_id: str, replicas: int) -> Found:
    """An app's replicas at a site: they are the site controller's."""
    observed = Observed(resource_id=f"{app_id}@{site_id}", replicas=replicas)
    return Found(kind="replicas", observed=observed, owner_key=site_id, owner_keyspace=str(Keyspace.SITE))


class Target(Protocol):
    """A part of one site that commands act on. Applying a wanted state twice changes nothing.

    `apply` may be cancelled between two of its steps when a newer wanted state of the same resource has come.
    """

    def takes(self, command: Command) -> bool:
        """Whether it is this target's to do."""
        ...

    async def plan(self, command: Command) -> tuple[str, ...]:
        """What `apply` would change now, in words; nothing is touched (dry run)."""
        ...

    async def apply(self, command: Command) -> None:
        """Make it so; TargetError when the world refuses."""
        ...

    async def read_back(self, command: Command) -> Reading:
        """What is there now, asked from the thing itself."""
        ...

    async def survey(self) -> tuple[Found, ...]:
        """All that is there, whoever ordered it."""
        ...

    async def close(self) -> None:
        """Let go of everything this process holds."""
        ...
