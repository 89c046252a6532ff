"""A node's memory out of OpenTelemetry's states: its size is often not told, but usage over its share gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..parts import Quantity
from .coercions import Coercion, Unused
from .harvest import Sample
from .otlp_rules import MEMORY_STATE, MEMORY_USAGE, MEMORY_UTILIZATION
from .rules import note

_EXCLUSIVE: Final = ("used", "free", "cached", "buffered", "buffers", "inactive")
"""States that add up to all memory; slab is part of others."""
_USED: Final = "used"


class Memory:
    """The memory points of one resource."""

    def __init__(self) -> None:
        """None seen."""
        self._usage: dict[str, float] = {}
        self._shares: dict[str, float] = {}
        self._sample: Sample | None = None

    def takes(self, name: str, attributes: Mapping[str, str], number: float | None, sample: Sample) -> bool:
        """Whether this is a memory point: it is then kept until all are seen."""
        if name not in (MEMORY_USAGE, MEMORY_UTILIZATION):
            return False
        state = next((attributes[key] for key in MEMORY_STATE if key in attributes), "")
        if number is None or state not in _EXCLUSIVE:
            sample.harvest.pass_over(Unused.OTHER_SERIES)
            return True
        if name == MEMORY_UTILIZATION:
            self._shares[state] = number
            return True
        self._usage[state], self._sample = number, sample
        if state == _USED:
            note(sample, Quantity.MEM_USED, number)
        return True

    def conclude(self) -> None:
        """Tell the node's whole memory, where no limit does."""
        if self._sample is None or any(held.quantity is Quantity.MEM_TOTAL for held in self._sample.readings):
            return
        self._sample.harvest.coerced(Coercion.MEMORY_FROM_STATES)
        note(self._sample, Quantity.MEM_TOTAL_ABOUT, self._whole())

    def _whole(self) -> float:
        """By the largest state whose share is known, else the sum of the states."""
        known = [state for state, share in self._shares.items() if share > 0 and self._usage.get(state, 0) > 0]
        if known:
            state = max(known, key=lambda name: self._usage[name])
            return self._usage[state] / self._shares[state]
        return sum(self._usage.values())
