"""Runs a Promela model through Spin: how many states it has, and the story of the first error if there is one.

`python -m tests.model.spin_run` writes the counterexamples in docs/model/counterexamples anew.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

MODELS = Path(__file__).resolve().parents[2] / "docs" / "model"
KEPT = MODELS / "counterexamples"
NAIVE = {
    "journal": (
        "EARLY_RELEASE",
        "IGNORE_GAP",
        "SPLIT_POSITION",
        "NO_RETAKE",
        "READ_BEFORE_FENCE",
        "NO_WATERMARK",
    ),
    "lease": ("NO_WAIT", "NO_FENCE", "TIMEOUT_IS_FAILURE", "EXPIRED_FIRST", "LEASE_BY_EXECUTOR"),
}
"""Per model the rules that can be left out."""
SMALL = {"journal": ("LIVES=2", "MOVES=1", "DEATHS=1"), "lease": ("HORIZON=6",)}
"""The smallest worlds in which each of these omissions shows."""
_BOUNDS_S = 240


class Outcome(NamedTuple):
    """`failed`: the assertion that does not hold (empty: all hold); `story`: how it came to that."""

    states: int
    failed: str
    story: str


def explore(model: str, defines: tuple[str, ...], folder: Path, *, shortest: bool = False, effort: int = 1) -> Outcome:
    """Look at every state of a model; `shortest` finds the shortest way to an error, `effort` is the compiler's."""
    source = f"{model}.pml"
    shutil.copy(MODELS / source, folder)
    switches = [f"-D{define}" for define in defines]
    _run(["spin", "-a", *switches, source], folder)
    manner = ["-DBFS", "-O1"] if shortest else [f"-O{effort}"]
    _run(["gcc", *manner, "-w", "-DSAFETY", "-DVECTORSZ=1024", "-DMEMLIM=2048", "-o", "pan", "pan.c"], folder)
    output = _run(["./pan", "-E", "-m20000", "-w22"], folder)
    states = re.search(r"(\d+) states, stored", output)
    assert states is not None, output
    assert "Search not completed" not in output or "errors: 0" not in output, output
    if "errors: 0" in output:
        return Outcome(int(states[1]), "", "")
    told = _run(["spin", "-t", "-T", *switches, source], folder)
    failed = re.search(r"text of failed assertion: assert\((.*)\)", told)
    assert failed is not None, told
    return Outcome(int(states[1]), failed[1], _story(told, failed[1]))


def _story(told: str, failed: str) -> str:
    """What the model printed on the way."""
    lines = [line for line in told.split("spin: ", 1)[0].splitlines() if line.strip()]
    return "\n".join([*lines, f"broken: {failed}"]) + "\n"


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_BOUNDS_S, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done.stdout


def main() -> None:
    """Write all counterexamples anew."""
    for model, variants in NAIVE.items():
        for variant in variants:
            with tempfile.TemporaryDirectory() as folder:
                found = explore(model, (*SMALL[model], variant), Path(folder), shortest=True)
            assert found.failed, f"{model} holds without {variant}"
            (KEPT / f"{model}-{variant.lower().replace('_', '-')}.txt").write_text(found.story, "utf-8")
            print(f"{model} {variant}: {found.states} states, {len(found.story.splitlines())} lines")


if __name__ == "__main__":
    main()
