"""`edgeweir dev ...` from outside: what is wrong ends as one sentence and the right exit code, and starts nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeweir.dev.places import Places
from edgeweir.dev.runs import Run


def edgeweir(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"EDGEWEIR_DEV_STATE_DIR": str(state)}
    argv = [sys.executable, "-c", "from edgeweir.cli.main import app; app()", "dev", *arguments]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("words", [("status",), ("down",)])
def test_a_run_that_does_not_exist_is_not_found(tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = edgeweir(tmp_path, *words, "--name", "nobody")
    assert ended.returncode == 4
    assert "no run named nobody is alive" in ended.stderr


def test_a_scenario_that_does_not_exist_is_refused_before_anything_starts(tmp_path: Path) -> None:
    ended = edgeweir(tmp_path, "up", "--scenario", "stadion")
    assert ended.returncode == 2
    assert "there is no scenario stadion; there are stadium" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_duration_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    ended = edgeweir(tmp_path, "up", "--for", "soon")
    assert ended.returncode == 2
    assert "write 90s, 2m or 1h" in ended.stderr


def test_status_shows_processes_and_ports_and_logs_are_printed(tmp_path: Path) -> None:
    run = Run.open(Places(cache=tmp_path, state=tmp_path), "mine")
    run.note_port("kafka", 19092)
    log = run.folder / "logs" / "worker-1.log"
    log.parent.mkdir()
    log.write_text("took over partition 3\n")
    try:
        shown = edgeweir(tmp_path, "status", "--name", "mine")
        assert shown.returncode == 0
        assert f"supervisor  mine   {os.getpid()}" in shown.stdout
        assert "19092" in shown.stdout
        assert edgeweir(tmp_path, "logs", "worker-1", "--name", "mine").stdout == "took over partition 3\n"
        missing = edgeweir(tmp_path, "logs", "worker-9", "--name", "mine")
        assert (missing.returncode, "there are: worker-1" in missing.stderr) == (4, True)
    finally:
        run.close()
