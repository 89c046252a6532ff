"""What a contender's process is told and what it answers: an order as its only argument, one line of JSON as its last.

Scripts of `benchmarks/` speak the same; they may not import us where they run in an environment of their own.
"""

from __future__ import annotations

import os

import msgspec

from edgeweir.dev.errors import NoAnswer


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Read these records: those below `first` without being timed (rows come to be), then those below `end`.

    `mode` is `read` (fetch, decode, update a row per key) or `durable` (and write every changed row to `changelog`).
    """

    bootstrap: str
    topic: str
    changelog: str
    lead: tuple[int, ...]
    first: tuple[int, ...]
    end: tuple[int, ...]
    mode: str = "read"
    group: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What it did: events counted and the time and processor time between the first and the last.

    `rows` are the keys it holds a row for, `written` the changelog records that were acknowledged.
    """

    events: int
    seconds: float
    cpu_s: float
    rows: int = 0
    written: int = 0


def order_of(argv: list[str]) -> Order:
    """The order that this process was started with."""
    return msgspec.json.decode(argv[1], type=Order)


def answer(outcome: Outcome) -> None:
    """Tell the outcome; past `sys.stdout`, which a framework may have taken."""
    os.write(1, b"\n" + msgspec.json.encode(outcome) + b"\n")


def outcome_in(output: str, name: str) -> Outcome:
    """The outcome among all that a process wrote; NoAnswer without one."""
    for line in reversed(output.splitlines()):
        if line.startswith('{"events"'):
            return msgspec.json.decode(line, type=Outcome)
    raise NoAnswer(f"{name} ended without a result", output[-2000:])
