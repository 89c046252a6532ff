"""What `run.json` says of a run: enough for another process to show it, and to end what a killed supervisor left."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import msgspec

from edgeweir.dev.proc import bearers, boot_id, end_group, started_ticks

TOKEN_NAME = "RUN_OF_EDGEWEIR"  # noqa: S105 - names a run, opens nothing


class ChildRecord(msgspec.Struct, frozen=True):
    """One child: pid (also of its group) and start time in clock ticks after boot, which tell it from a reused pid."""

    name: str
    pid: int
    started_ticks: int


class RunRecord(msgspec.Struct):
    """One run: its supervisor, its children in order of start, its ports by name.

    `token` stands in the environment of every process of the run, so that grandchildren are found as well.
    """

    name: str
    token: str
    boot_id: str
    supervisor_pid: int
    started_at_ms: int
    keep: bool = False
    children: list[ChildRecord] = []
    ports: dict[str, int] = {}

    def write(self, folder: Path) -> None:
        """Replace `run.json` in one step: a reader never sees half of it."""
        draft = folder / "run.json.draft"
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(self)))
        draft.replace(folder / "run.json")


def read_record(folder: Path) -> RunRecord | None:
    """The record in that folder, or None when there is none that can be read."""
    try:
        return msgspec.json.decode((folder / "run.json").read_bytes(), type=RunRecord)
    except (OSError, msgspec.DecodeError):
        return None


def end_leftovers(record: RunRecord) -> list[str]:
    """SIGKILL to what is left of a run that nobody supervises; returns who it was. Pids of another boot are spared."""
    if record.boot_id != boot_id():
        return []
    return [*_end_children(record), *end_bearers(record.token)]


def _end_children(record: RunRecord) -> list[str]:
    ended: list[str] = []
    for child in record.children:
        if started_ticks(child.pid) == child.started_ticks:
            end_group(child.pid)
            ended.append(f"{child.name} (pid {child.pid})")
    return ended


def end_bearers(token: str) -> list[str]:
    """SIGKILL to every process that was started within the run of that token; returns who it was."""
    ended: list[str] = []
    for pid in bearers(f"{TOKEN_NAME}={token}"):
        if started_ticks(pid) is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                ended.append(f"pid {pid}")
    return ended
