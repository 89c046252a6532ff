"""What a measurement says: rows for people and programs, ratios for whoever judges, and on what machine it was."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import median

import msgspec

_PACKAGES = ("aiokafka", "faust-streaming", "msgspec")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: the median of its rounds, the least and the greatest of them.

    `value` is None when it could not be measured, and `note` then says why. `cpu_us` is processor time per event.
    """

    section: str
    name: str
    unit: str
    value: float | None = None
    low: float = 0
    high: float = 0
    rounds: int = 0
    cpu_us: float | None = None
    events: int = 0
    note: str = ""


class Report(msgspec.Struct, kw_only=True):
    """All that a run found; `ratios` are the figures that have a bar."""

    rows: list[Row] = []
    ratios: dict[str, float] = {}
    machine: dict[str, str] = {}

    def take(self, other: Report) -> None:
        """Add what another section found."""
        self.rows += other.rows
        self.ratios |= other.ratios

    def value(self, section: str, name: str) -> float | None:
        """The figure of that name."""
        return next((row.value for row in self.rows if (row.section, row.name) == (section, name)), None)


def row_of(section: str, name: str, unit: str, values: list[float], **more: object) -> Row:
    """The row of several rounds."""
    facts = {"value": median(values), "low": min(values), "high": max(values), "rounds": len(values)}
    return msgspec.convert({"section": section, "name": name, "unit": unit, **facts, **more}, Row)


def not_measured(section: str, name: str, unit: str, why: str) -> Row:
    """A contender that could not take part."""
    return Row(section=section, name=name, unit=unit, note=why)


def percentile(ordered: list[float], permille: int) -> float:
    """The value below which that share of the (sorted) values lies; 0 of none."""
    return ordered[min(len(ordered) - 1, len(ordered) * permille // 1000)] if ordered else 0.0


def machine(kafka: str, cores: str) -> dict[str, str]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cpus": str(os.cpu_count()),
        "cores": cores,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kafka": kafka,
        "load_before": f"{os.getloadavg()[0]:.2f}",
        **{name: version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
