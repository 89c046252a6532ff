"""Crash points for tests: `EDGEWEIR_TEST_CRASH=point:chance,..` kills this very process there, as `kill -9` would.

`EDGEWEIR_TEST_STALL=point` freezes it once instead; somebody else sends SIGCONT. Neither does anything unset.
"""

from __future__ import annotations

import os
import random
import signal
from typing import Literal

Point = Literal[
    "after_fence",
    "after_fold",
    "after_output",
    "after_send",
    "after_ack",
    "after_trim",
    "at_begin",
    "at_end",
    "at_slice",
    "before_fence",
    "before_live",
    "before_release",
    "before_send",
    "before_trim",
]


def _chances(text: str) -> dict[str, float]:
    pairs = (part.split(":") for part in text.split(",") if part)
    return {point: float(chance) for point, chance in pairs}


_CHANCES = _chances(os.environ.get("EDGEWEIR_TEST_CRASH", ""))
_STALLS = {os.environ.get("EDGEWEIR_TEST_STALL", "")} - {""}


def reached(point: Point) -> None:
    """Die or freeze here if a test wants it."""
    if _CHANCES and random.random() < _CHANCES.get(point, 0):  # noqa: S311 - chance of a test, no secret
        os.write(2, f"crash point {point}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
    if point in _STALLS:
        _STALLS.discard(point)
        os.kill(os.getpid(), signal.SIGSTOP)
