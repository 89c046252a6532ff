"""What the README tells a newcomer to do, done word by word against a running demo."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeweir.dev.kit import Kit
from edgeweir.dev.places import Places
from tests.scenarios.test_demo import Demo

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(240)]
README = Path(__file__).parents[2] / "README.md"
DECIDED = re.compile(r"ScaleOut hello@try \d+ \S+")


def blocks(language: str) -> list[str]:
    """The README's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def bootstrap(broker_kit: Kit, places: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The brokers of a demo that is being played, as the demo itself tells them."""
    folder = tmp_path_factory.mktemp("readme")
    own = Places(cache=places.cache, state=folder / "state", java=places.java, jars=places.jars)
    demo = Demo(own, folder / "out.txt", ("--name", "readme"))
    demo.until_said("kick-off")
    found = re.search(r"127\.0\.0\.1:\d+", demo.said())
    assert found, demo.said()
    yield found[0]
    demo.process.terminate()
    assert demo.process.wait(60) == 0, demo.said()


@pytest.fixture
def run(bootstrap: str, tmp_path: Path) -> Callable[..., str]:
    """Runs a program of the README as a newcomer would; its output."""

    def program(*argv: str) -> str:
        environ = os.environ | {"BOOTSTRAP": bootstrap}
        done = subprocess.run(argv, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return program


def test_one_bare_event_from_a_plain_client_leads_to_a_decision_that_a_plain_client_reads(
    run: Callable[..., str],
) -> None:
    produce, subscribe = blocks("python")
    run(sys.executable, "-c", produce)
    assert DECIDED.match(run(sys.executable, "-c", subscribe))


@pytest.mark.needs("kcat")
def test_the_same_goes_with_a_console_client(run: Callable[..., str]) -> None:
    (console,) = [block for block in blocks("sh") if "kcat" in block]
    out = run(shutil.which("sh") or "sh", "-c", console)
    assert '"hello@try"' in out


def test_the_two_commands_are_targets_of_make() -> None:
    (commands,) = [block for block in blocks("sh") if block.startswith("make")]
    targets = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", commands, re.MULTILINE):
        assert re.search(rf"^{target}:", targets, re.MULTILINE), target
