"""What a stream worker is told at its start; thresholds are policy and arrive as data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from schemas.settings import KafkaSettings, LogSettings, MetricsSettings, RawSettings, Section, read

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class WorkerSection(Section, frozen=True):
    """One stream worker.

    `instance`: static membership slot (one process per slot and host; empty: a dynamic member). `checkpoint_every`:
    changes between checkpoints, 0 never; `checkpoint_slice`: how many rows of it ride in one frame. `journal_keep_s`:
    how much history a replay still finds, 0: all of it; older history goes once it has a younger checkpoint.
    `incarnation` is raised by whoever restores the system from a backup.
    """

    app_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9.-]{1,100}\Z")] = "edgeweir"
    instance: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9.-]{0,60}\Z")] = ""
    session_timeout_s: Seconds = 10
    heartbeat_s: Seconds = 3
    data_dir: str = ""
    tick_ms: Annotated[int, msgspec.Meta(ge=20, le=60_000)] = 1000
    incarnation: Annotated[int, msgspec.Meta(ge=0)] = 0
    checkpoint_every: Annotated[int, msgspec.Meta(ge=0)] = 100_000
    checkpoint_slice: Annotated[int, msgspec.Meta(ge=1)] = 1_000
    journal_keep_s: Annotated[int, msgspec.Meta(ge=0)] = 3600
    watchdog_s: Seconds = 60


def scratch(environ: Mapping[str, str]) -> str:
    """The user's state folder for workers; what is in it may be deleted."""
    state = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return str(Path(state) / "edgeweir" / "worker")


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All sections that a stream worker reads."""

    kafka: KafkaSettings = KafkaSettings()
    worker: WorkerSection = WorkerSection()
    metrics: MetricsSettings = MetricsSettings(port=0)
    log: LogSettings = LogSettings()
    raw: RawSettings = RawSettings()


def read_settings(environ: Mapping[str, str] | None = None) -> WorkerSettings:
    """Settings from the environment and the configuration file it names; BadInput lists every fault."""
    env = os.environ if environ is None else environ
    name = env.get("EDGEWEIR_CONFIG", "edgeweir.toml")
    path = Path(name)
    settings = read(
        WorkerSettings,
        environ=env,
        toml_text=path.read_text("utf-8") if path.is_file() else None,
        toml_name=name,
        read_file=lambda file: Path(file).read_text("utf-8"),
    ).value
    worker = settings.worker
    if not worker.data_dir:
        worker = msgspec.structs.replace(worker, data_dir=scratch(env))
    return msgspec.structs.replace(settings, worker=worker)
