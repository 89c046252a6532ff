"""What a run measures and how much of it; quick runs are for a look, full ones for publishing."""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatch

import msgspec


class Section(StrEnum):
    """The parts of a run; each can be run alone."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    RECOVERY = "recovery"
    GROWTH = "growth"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The command line. `only`: patterns of contenders' names; `events`: records per round of the throughput."""

    sections: tuple[Section, ...] = tuple(Section)
    quick: bool = False
    rounds: int = 5
    events: int = 200_000
    sites: int = 500
    nodes_per_site: int = 24
    only: tuple[str, ...] = ()

    def wants(self, name: str) -> bool:
        """Whether a contender takes part."""
        return not self.only or any(fnmatch(name, pattern) for pattern in self.only)


QUICK_ONLY = ("edgeweir", "edgeweir-batches", "aiokafka-*", "faust-table")
QUICK_EVENTS = 20_000
QUICK_SECTIONS = (Section.THROUGHPUT, Section.LATENCY)
