"""Which core does what, and how much processor time a process has used: a figure without these two means little."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

_SCHEDULER_CLOCK = 2


class Cores(msgspec.Struct, frozen=True):
    """One core for the broker, one for whoever is measured, one for us (the broker's where there are only two)."""

    broker: frozenset[int]
    subject: frozenset[int]
    bench: frozenset[int]

    @property
    def told(self) -> str:
        """The plan in words."""
        if self.broker == self.subject:
            return "not pinned: fewer than two cores"
        return f"broker {_names(self.broker)}, contender {_names(self.subject)}, bench {_names(self.bench)}"


def plan() -> Cores:
    """The cores of this process, given out."""
    mine = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    if len(mine) == 1:
        only = frozenset(mine)
        return Cores(only, only, only)
    bench = mine[2] if len(mine) > 2 else mine[0]  # noqa: PLR2004  # the third core, if there is one
    return Cores(frozenset(mine[:1]), frozenset(mine[1:2]), frozenset({bench}))


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """What is started within stays on these cores for life; this process goes back to its own."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def used_s(pid: int) -> float:
    """Processor time of a living process with all its threads, in seconds; finer than the ticks of /proc."""
    try:
        return time.clock_gettime((~pid << 3) | _SCHEDULER_CLOCK)
    except (OSError, AttributeError):
        import psutil  # where the kernel has no such clock

        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)


def _names(cores: frozenset[int]) -> str:
    return "+".join(map(str, sorted(cores)))
