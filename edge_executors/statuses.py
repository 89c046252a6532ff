"""How a command's states become statuses: each with a growing version, so that a receiver keeps the newest."""

from __future__ import annotations

import msgspec

from schemas.commands import Command
from schemas.statuses import CommandState, Fault, Result, Status


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks for a site in this boot; boots sort by time."""

    executor_id: str
    site_id: str
    boot_id: str


def first(command: Command, who: Identity, state: CommandState, now_ms: int, error: Fault | None = None) -> Status:
    """The first status of a command, whatever it says."""
    return Status(
        command_id=command.command_id,
        attempt=command.attempt,
        state=state,
        state_version=1,
        entered_at_ms=now_ms,
        executor_id=who.executor_id,
        resource_id=command.resource.id,
        site_id=who.site_id,
        boot_id=who.boot_id,
        observed_fence=command.fence,
        observed_generation=command.generation,
        error=error,
    )


def following(
    last: Status,
    state: CommandState,
    now_ms: int,
    *,
    boot_id: str,
    result: Result | None = None,
    error: Fault | None = None,
    phase: str = "",
    late: bool = False,
) -> Status:
    """The next status of the same command."""
    assert not last.state.terminal, f"{last.command_id} is {last.state}: nothing follows it"
    return msgspec.structs.replace(
        last,
        state=state,
        state_version=last.state_version + 1,
        entered_at_ms=now_ms,
        boot_id=boot_id,
        result=result,
        error=error,
        phase=phase,
        progress_permille=1000 if state is CommandState.SUCCEEDED else 0,
        late=late,
    )
