"""The command line as a person meets it: help that is quick, one sentence per mistake, the agreed exit codes."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

NOWHERE = "127.0.0.1:9"


def edgeweir(*words: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, with a clean environment."""
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd or Path.home())} | environ
    command = [str(Path(sys.executable).with_name("edgeweir")), *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=60, check=False)


def test_help_is_there_without_arguments_and_costs_less_than_a_blink() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = edgeweir("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert done.returncode == 0
    assert "topics" in done.stdout
    assert used_s < 1.0, "help must not import Kafka or Faust (0.35 s on an idle machine)"


@pytest.mark.parametrize("words", [["topics"], ["nonsense"], ["watch", "nothing"], ["topics", "plan", "--nope"]])
def test_wrong_usage_ends_with_2(words: list[str]) -> None:
    assert edgeweir(*words).returncode == 2


def test_wrong_settings_are_all_named_at_once_and_end_with_2(tmp_path: Path) -> None:
    (tmp_path / "edgeweir.toml").write_text("[kafka]\npartitons = 4\nreplication = 'many'\n")
    done = edgeweir("config", cwd=tmp_path, EDGEWEIR_KAFKA_BOTSTRAP="x")
    assert done.returncode == 2
    for fault in ("BOTSTRAP", "partitons", "replication"):
        assert fault in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_show_where_they_came_from_and_hide_secrets(tmp_path: Path) -> None:
    done = edgeweir("config", "--json", cwd=tmp_path, EDGEWEIR_KAFKA_PARTITIONS="4", EDGEWEIR_KAFKA_PASSWORD="hush")
    shown = json.loads(done.stdout)
    assert shown["kafka.partitions"]["value"] == "4"
    assert "EDGEWEIR_KAFKA_PARTITIONS" in shown["kafka.partitions"]["origin"]
    assert "hush" not in done.stdout


def test_a_named_settings_file_that_is_absent_ends_with_3(tmp_path: Path) -> None:
    done = edgeweir("config", cwd=tmp_path, EDGEWEIR_CONFIG="absent.toml")
    assert (done.returncode, "absent.toml" in done.stderr) == (3, True)


def test_a_broker_that_does_not_answer_ends_with_5_and_the_next_step() -> None:
    done = edgeweir("topics", "plan", "--bootstrap", NOWHERE)
    assert done.returncode == 5
    assert "edgeweir dev up" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_bad_estate_is_refused_whole_with_every_fault_before_kafka_is_asked(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[[site]]\nid = "a b"\nregion = "none"\ntier = "roof"\n[[policy]]\nid = "p"\nversion = 1\n')
    done = edgeweir("apply", "-f", str(bad), "--bootstrap", NOWHERE)
    assert done.returncode == 2
    for fault in ("id:", "tier:", "lat_e7: missing", "lon_e7: missing", "it says nothing"):
        assert fault in done.stderr


def test_a_plan_of_a_sound_file_lists_what_would_be_written_and_asks_no_broker(tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    good.write_text('[[region]]\nid = "bay"\n')
    done = edgeweir("apply", "-f", str(good), "--plan", "--bootstrap", NOWHERE)
    assert done.returncode == 0
    assert "region/bay" in done.stdout
