"""The ladder names the rung it takes, never falls from a forced one, and a skip is an error where CI says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeweir.dev.errors import NoAnswer
from edgeweir.dev.places import Places
from edgeweir.dev.ports import free_port
from edgeweir.dev.runs import Run
from tests.kafka import ladder
from tests.kafka.docker_broker import environment

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = """
import pytest

@pytest.mark.needs("no-such-program")
def test_one_that_needs_a_program(): ...

def test_one_that_needs_a_broker(broker): ...
"""


def session(tmp_path: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    """A pytest session of its own over the sample, with the project's settings and conftest."""
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    command += ["-p", "tests.conftest", "-p", "no:cacheprovider", *arguments, str(tmp_path / "test_sample.py")]
    own = {"EDGEWEIR_DEV_STATE_DIR": str(tmp_path), "EDGEWEIR_TEST_REQUIRE": "", "EDGEWEIR_TEST_BROKER": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | own | environ, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def java_less(tmp_path: Path) -> dict[str, str]:
    return {"EDGEWEIR_DEV_JAVA": str(tmp_path / "no-java"), "DOCKER_HOST": f"unix://{tmp_path}/no-docker"}


def test_without_any_broker_a_test_is_skipped_with_what_is_missing(tmp_path: Path) -> None:
    code, output = session(tmp_path, **java_less(tmp_path))
    assert code == 0
    assert "Kafka needs Java 17 or newer; found no working Java at" in output
    assert "no Docker engine answers" in output
    assert "no-such-program is not installed (apt-get install no-such-program)" in output
    assert "2 skipped" in output


def test_where_ci_requires_them_the_same_skips_are_errors(tmp_path: Path) -> None:
    code, output = session(tmp_path, **java_less(tmp_path), EDGEWEIR_TEST_REQUIRE="broker,no-such-program")
    assert code == 1
    assert "2 errors" in output


def test_a_forced_rung_never_falls_back(tmp_path: Path) -> None:
    code, output = session(tmp_path, "--broker=jvm", "-k", "broker", **java_less(tmp_path))
    assert code == 1
    assert "broker: jvm -> none (Kafka needs Java 17 or newer" in output
    assert "1 error" in output


def test_a_rung_that_does_not_exist_is_refused_before_anything_runs(tmp_path: Path) -> None:
    code, output = session(tmp_path, "--broker=rabbit")
    assert code == 4
    assert "--broker=rabbit: known are auto, jvm, docker or HOST:PORT" in output


def test_a_given_broker_that_does_not_answer_is_a_failure(
    places: Places, test_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder, "_GIVEN_DEADLINE_S", 0.2)
    address = f"127.0.0.1:{free_port()}"
    with (
        pytest.raises(NoAnswer, match=f"the broker given as {address} makes no topics"),
        ladder.serve(address, places, test_run),
    ):
        pass


@pytest.mark.kafka
def test_a_given_broker_is_used_as_it_is(broker: str, places: Places, test_run: Run) -> None:
    with ladder.serve(broker, places, test_run) as bootstrap:
        assert bootstrap == broker


def test_the_container_gets_the_same_settings_and_tells_clients_the_hosts_port() -> None:
    given = environment(40_123)
    assert given["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://127.0.0.1:40123"
    assert given["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert given["KAFKA_PROCESS_ROLES"] == "broker,controller"
