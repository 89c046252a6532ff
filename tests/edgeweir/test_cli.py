"""The command line as a person meets it: help that is quick, one sentence per mistake, the agreed exit codes."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from edgeweir.cli import watch

NOWHERE = "127.0.0.1:9"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A record of a watched topic; its key would turn a terminal red."""

    value: bytes
    topic: str = "edge.decision.scaling.v1"
    key: bytes = b"a\x1b[31m"
    headers: tuple[tuple[str, bytes], ...] = (("ce_specversion", b"1.0"),)
    partition: int = 0
    offset: int = 0
    timestamp: int = 1


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


@pytest.mark.parametrize(
    ("name", "content", "code", "sentence"),
    [
        ("latin.toml", b"\xff\xfe", 2, "latin.toml is not UTF-8 (byte 0)"),
        ("empty.toml", b"", 2, "says nothing"),
        ("broken.toml", b"a = [", 2, "is no TOML"),
        ("flat.toml", b"site = 5", 2, "write each as a table of its own: [[site]]"),
        (".", None, 3, "cannot be read: Is a directory"),
        ("absent.toml", None, 3, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_taken_is_told_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, code: int, sentence: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = edgeweir("apply", "-f", name, "--plan", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "bug" not in done.stderr


@pytest.mark.parametrize("content", [b"\xff", b"kafka = 5"])
def test_a_settings_file_that_is_none_ends_with_2(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "edgeweir.toml").write_bytes(content)
    done = edgeweir("config", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1 if content == b"\xff" else 2)


@pytest.mark.parametrize("address", ["127.0.0.1:99999999", "[::", "nowhere", "ho st:9", "a:1,,b:2"])
def test_an_address_that_can_be_none_is_a_wrong_setting_and_no_bug(address: str) -> None:
    done = edgeweir("topics", "plan", "--bootstrap", address)
    assert done.returncode == 2
    assert "HOST:PORT" in done.stderr


@pytest.mark.parametrize("words", [["dev", "up", "--name", "../x"], ["watch", "--since-s", "-5"]])
def test_a_name_that_is_a_path_and_a_time_to_come_are_wrong_usage(words: list[str], tmp_path: Path) -> None:
    assert edgeweir(*words, cwd=tmp_path).returncode == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["emit", "--help"], ["topology"]])
def test_a_reader_who_has_seen_enough_ends_it_silently_with_0(words: list[str]) -> None:
    program = str(Path(sys.executable).with_name("edgeweir"))
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([program, *words], stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_record_that_nobody_can_read_is_a_line_of_the_watch_and_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    watch._show(record := Seen(value=b"{"))
    watch._show_json(record)
    line, document = capsys.readouterr().out.splitlines()
    assert (
        line
        == "1970-01-01T00:00:00.001Z  a?[31m  unreadable, envelope: missing ce_id; missing ce_source; missing ce_type"
    )
    assert json.loads(document)["unreadable"].startswith("envelope")


def test_the_topology_names_what_each_controller_really_writes() -> None:
    found = {entry["controller"]: entry["outputs"] for entry in json.loads(edgeweir("topology", "--json").stdout)}
    assert all("edge.request.v1" in outputs for outputs in found.values())
    writers = {name for name, outputs in found.items() if "edge.command.scaling.v1" in outputs}
    assert writers == {"site"}
    assert not [topic for topic in found["region"] if ".command." in topic]
