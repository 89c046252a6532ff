"""Sites whose every effect is written down: real executor code on simulated targets, the world outliving the process.

Run as a program (`python -m tests.chaos.effects`) it carries out the commands for the sites named in its environment.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from edge_executors.executor import Executor
from edge_executors.kafka_voice import KafkaVoice
from edge_executors.reading import Reading
from edge_executors.store import Store
from edge_executors.targets.simulated import SimulatedTarget
from schemas.commands import Command
from schemas.sections import KafkaSettings
from topics.connect import Connect

_LOG = logging.getLogger(__name__)
EFFECTS, STORE, READY = "effects.jsonl", "executor.db", "reading commands"


class Effect(msgspec.Struct, frozen=True):
    """One change of the world, and the command that asked for it."""

    site_id: str
    at_ms: int
    boot: int
    command: Command


class Effects:
    """An append-only file: one line an effect, each written whole by one call."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, site_id: str, command: Command) -> None:
        effect = Effect(site_id, time.time_ns() // 1_000_000, os.getpid(), command)
        os.write(self._file, msgspec.json.encode(effect) + b"\n")


def effects_in(folder: Path) -> Iterator[Effect]:
    """All effects so far, in order."""
    path = folder / EFFECTS
    if path.exists():
        yield from (msgspec.json.decode(line, type=Effect) for line in path.read_bytes().splitlines())


class RecordedSite(SimulatedTarget):
    """A simulated site that notes each effect before anything else can happen to the process."""

    def __init__(self, site_id: str, effects: Effects) -> None:
        super().__init__(site_id, startup_ms=0, drain_ms=0, room=1_000_000_000)
        self._effects = effects

    async def recall(self, command: Command) -> None:
        """The world as an earlier boot left it."""
        await super().apply(command)

    async def apply(self, command: Command) -> None:
        await super().apply(command)
        self._effects.note(self.site_id, command)


async def serve(folder: Path, connect: Connect, sites: list[str]) -> None:
    """Carry out commands until SIGTERM."""
    effects = Effects(folder / EFFECTS)
    targets = {site: RecordedSite(site, effects) for site in sites}
    for effect in effects_in(folder):
        await targets[effect.site_id].recall(effect.command)
    voice = KafkaVoice(connect, "chaos-executors")
    executor = Executor({site: (target,) for site, target in targets.items()}, Store(folder / STORE), voice)
    reading = Reading(connect, executor, "chaos-commands")
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await executor.start()
    await _begin(reading)
    _LOG.warning(READY)
    await ended.wait()
    await reading.stop()
    await executor.stop()
    await voice.stop()


async def _begin(reading: Reading) -> None:
    """A broker may be away when we begin."""
    while True:
        try:
            await reading.start()
        except (OSError, RuntimeError) as error:
            _LOG.warning("no commands yet: %r", error)
            await asyncio.sleep(0.5)
        else:
            return


def environ(settings: KafkaSettings, folder: Path, sites: list[str]) -> dict[str, str]:
    """What the program is told."""
    told = {"KAFKA": msgspec.json.encode(settings).decode(), "FOLDER": str(folder), "SITES": ",".join(sites)}
    return {**os.environ, **{f"CHAOS_{name}": value for name, value in told.items()}}


def main() -> None:
    """Be the executors of the sites named in the environment."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    given: dict[str, Any] = {name: os.environ[f"CHAOS_{name}"] for name in ("KAFKA", "FOLDER", "SITES")}
    settings = msgspec.json.decode(given["KAFKA"], type=KafkaSettings)
    asyncio.run(serve(Path(given["FOLDER"]), Connect(settings), given["SITES"].split(",")))


if __name__ == "__main__":
    main()
