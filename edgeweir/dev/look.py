"""Looks at runs from outside: status, logs, the end of a run, the cache; each works from `run.json` alone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from edgeweir.dev.archive import train
from edgeweir.dev.errors import NoAnswer, NotFound
from edgeweir.dev.kit import Kit
from edgeweir.dev.places import Places
from edgeweir.dev.proc import started_ticks
from edgeweir.dev.runs import Run, living

_DOWN_S: Final = 40.0
_LOOK_S: Final = 0.2


def status(places: Places, name: str) -> list[tuple[str, str, str, str]]:
    """The supervisor, children and ports of a run as rows; NotFound when nobody supervises it."""
    record = living(places, name)
    rows = [("supervisor", name, str(record.supervisor_pid), "runs")]
    for child in record.children:
        state = "runs" if started_ticks(child.pid) == child.started_ticks else "ended"
        rows.append(("process", child.name, str(child.pid), state))
    return [*rows, *(("port", port, str(number), "") for port, number in record.ports.items())]


def down(places: Places, name: str) -> None:
    """End the run as Ctrl-C would; NotFound when there is none, NoAnswer when it does not end."""
    record = living(places, name)
    ticks = started_ticks(record.supervisor_pid)
    os.kill(record.supervisor_pid, signal.SIGTERM)
    give_up = time.monotonic() + _DOWN_S
    while ticks is not None and started_ticks(record.supervisor_pid) == ticks:
        if time.monotonic() > give_up:
            raise NoAnswer(f"run {name} does not end: kill -9 {record.supervisor_pid} ends it with all it started")
        time.sleep(_LOOK_S)


def logs(places: Places, name: str, child: str, *, follow: bool) -> None:
    """Print a child's log, and go on with it if asked; NotFound names those that there are."""
    folder = places.runs / name / "logs"
    path = folder / f"{child}.log"
    if not path.is_file():
        known = ", ".join(sorted(log.stem for log in folder.glob("*.log"))) or "none"
        raise NotFound(f"run {name} has no process {child}; there are: {known}")
    _print(path, follow=follow)


def fetch(places: Places, *, archive: bool) -> str:
    """Fill the cache; returns what is there now."""
    kit = Kit.prepare(places)
    words = f"{len(kit.jars)} jars of Kafka {kit.kafka_version} are in {places.kafka}"
    if not archive:
        return words
    run = Run.open(places, f"fetch-{os.getpid()}")
    try:
        path = asyncio.run(train(run, kit))
    finally:
        run.close()
    return f"{words}, and its class archive {path.name}"


def _print(path: Path, *, follow: bool) -> None:
    with path.open(errors="replace") as log:
        while True:
            text = log.read()
            if text:
                sys.stdout.write(text)
                sys.stdout.flush()
            elif not follow:
                return
            else:
                time.sleep(_LOOK_S)
