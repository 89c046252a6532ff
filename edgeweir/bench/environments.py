"""Environments of contenders whose dependencies are not ours: made once, in the cache folder, by uv or pip."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgeweir.dev.errors import Missing
from edgeweir.dev.places import Places

_WITHIN_S = 180


def environment(places: Places, packages: Sequence[str]) -> Path:
    """The interpreter of an environment with these packages; Missing when it cannot be made."""
    name = hashlib.sha256(" ".join((*packages, sys.version)).encode()).hexdigest()[:12]
    folder = places.cache / "bench" / name
    interpreter = folder / "bin" / "python"
    if not (folder / "ready").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        for command in _commands(folder, interpreter, packages):
            _run(command, packages[0])
        (folder / "ready").touch()
    return interpreter


def _commands(folder: Path, interpreter: Path, packages: Sequence[str]) -> list[list[str]]:
    """With uv where there is one (seconds), else with what Python brings along."""
    beside = Path(sys.prefix).parent / ".tools" / "bin" / "uv"
    uv = shutil.which("uv") or (str(beside) if beside.is_file() else None)
    if uv is None:
        return [
            [sys.executable, "-m", "venv", str(folder)],
            [str(interpreter), "-m", "pip", "install", "--quiet", *packages],
        ]
    return [
        [uv, "--quiet", "venv", "--python", sys.executable, str(folder)],
        [uv, "--quiet", "pip", "install", "--python", str(interpreter), *packages],
    ]


def _run(command: list[str], name: str) -> None:
    environ = {"UV_SYSTEM_CERTS": "true", **os.environ}
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"not installed: {name} ({type(error).__name__})") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Missing(f"not installed: {name} ({last[:120]})")
