"""The two protocols in every interleaving of small worlds (docs/model): they hold, and each of their rules is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.model.spin_run import KEPT, MODELS, NAIVE, SMALL, explore

pytestmark = [pytest.mark.needs("spin", "gcc"), pytest.mark.slow]

WORLDS = (
    ("journal", ("LIVES=2", "MOVES=2", "DEATHS=1")),
    ("journal", ("LIVES=3", "EVENTS=1", "MOVES=2", "DEATHS=1")),
    ("lease", ("HORIZON=6",)),
)
OMISSIONS = [(model, variant) for model, variants in NAIVE.items() for variant in variants]


@pytest.mark.parametrize(("model", "bounds"), WORLDS, ids=[f"{model}-{bounds[0]}" for model, bounds in WORLDS])
def test_in_no_interleaving_is_a_promise_broken(model: str, bounds: tuple[str, ...], tmp_path: Path) -> None:
    found = explore(model, bounds, tmp_path)
    assert found.failed == "", found.story
    assert found.states > 100_000


@pytest.mark.parametrize(("model", "variant"), OMISSIONS)
def test_without_one_of_its_rules_the_protocol_breaks(model: str, variant: str, tmp_path: Path) -> None:
    assert explore(model, (*SMALL[model], variant), tmp_path, effort=0).failed


@pytest.mark.parametrize(("model", "variant"), OMISSIONS)
def test_how_it_breaks_is_kept_as_a_story(model: str, variant: str) -> None:
    story = (KEPT / f"{model}-{variant.lower().replace('_', '-')}.txt").read_text("utf-8")
    *_, broken = story.splitlines()
    promises = re.findall(
        r"assert\((.*?)\)(?: *;| *$| *//)", (MODELS / f"{model}.pml").read_text("utf-8"), re.MULTILINE
    )
    shapes = [shape(promise.partition(";")[0]) for promise in promises]
    assert shape(broken.removeprefix("broken: ")) in shapes, "write it anew: python -m tests.model.spin_run"


def shape(condition: str) -> str:
    """A condition without brackets, blanks and what stands for a number."""
    return re.sub(r"[() ]", "", re.sub(r"\b(\d+|EVENTS|x|state)\b", "_", condition.partition("/*")[0]))
