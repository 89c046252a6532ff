"""The class archive makes a start shorter, fits one Java and one set of jars, and is never needed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from edgeweir.dev.archive import train
from edgeweir.dev.broker import Broker
from edgeweir.dev.java import Java
from edgeweir.dev.kit import Kit, Size, clean_environ
from edgeweir.dev.places import Places
from edgeweir.dev.runs import Run

pytestmark = pytest.mark.kafka


def kit_of(tmp_path: Path, major: int = 25) -> Kit:
    jar = tmp_path / "kafka_2.13-9.9.9.jar"
    jar.touch()
    places = Places(cache=tmp_path, state=tmp_path)
    return Kit(places, Java(Path("/opt/java"), major, f'openjdk version "{major}"'), (jar,))


def test_an_archive_is_named_for_the_java_the_jars_and_the_flags(tmp_path: Path) -> None:
    kit = kit_of(tmp_path)
    before = kit.archive(Size.SMALL)
    assert kit.archive(Size.SMALL) == before
    assert kit.archive(Size.BENCH) != before
    assert kit_of(tmp_path, major=26).archive(Size.SMALL) != before
    os.utime(kit.jars[0], (1, 1))
    assert kit.archive(Size.SMALL) != before


@pytest.mark.parametrize(("major", "flag"), [(17, "SharedArchiveFile"), (24, "SharedArchiveFile"), (25, "AOTCache")])
def test_an_archive_is_used_only_when_it_was_trained(tmp_path: Path, major: int, flag: str) -> None:
    kit = kit_of(tmp_path, major)
    assert kit.archive_use(Size.SMALL) == []
    archive = kit.archive(Size.SMALL)
    archive.parent.mkdir(parents=True)
    archive.touch()
    assert kit.archive_use(Size.SMALL) == [f"-XX:{flag}={archive}"]


def test_a_command_line_spells_the_jars_out_and_warns_of_nothing(tmp_path: Path) -> None:
    command = kit_of(tmp_path).command("kafka.Kafka", ["server.properties"])
    assert command[0] == "/opt/java"
    assert command[-4:] == ["-cp", str(tmp_path / "kafka_2.13-9.9.9.jar"), "kafka.Kafka", "server.properties"]
    assert {"-Xmx256m", "--enable-native-access=ALL-UNNAMED"} <= set(command)
    assert "--enable-native-access=ALL-UNNAMED" not in kit_of(tmp_path, 17).command("kafka.Kafka", [])


def test_nothing_of_the_users_shell_changes_the_jvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx8g")
    monkeypatch.setenv("KAFKA_OPTS", "-Dx=y")
    assert not {"JAVA_TOOL_OPTIONS", "KAFKA_OPTS"} & set(clean_environ())
    assert "PATH" in clean_environ()


@pytest.mark.slow
async def test_a_trained_archive_is_taken_by_the_next_start(tmp_path: Path, broker_kit: Kit, test_run: Run) -> None:
    kit = replace(broker_kit, places=replace(broker_kit.places, cache=tmp_path))
    archive = await train(test_run, kit)
    assert archive.stat().st_size > 10_000_000
    broker = Broker(test_run, kit, name="kafka-trained")
    await broker.start()
    assert any(str(archive) in argument for argument in broker.child.argv)
    assert "[error]" not in broker.child.output()
    await broker.stop()
