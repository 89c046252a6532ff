"""What every test may lean on: programs that a test needs are there, or it is skipped with a sentence."""

from __future__ import annotations

import os
import shutil

import pytest

PACKAGES = {"named": "bind9", "knotd": "knot", "nft": "nftables", "amtool": "prometheus-alertmanager"}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program is absent; fail it where EDGEWEIR_TEST_REQUIRE names the program."""
    required = os.environ.get("EDGEWEIR_TEST_REQUIRE", "").replace(",", " ").split()
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if shutil.which(program) is None:
                sentence = f"{program} is not installed (apt-get install {PACKAGES.get(program, program)})"
                (pytest.fail if program in required else pytest.skip)(sentence)
