"""Fuses the parts of one scrape into one sample of a node: counters become rates, series add up, resets are seen.

Rule: a sample is told once CPU and memory are both newer than the last one told, so that a scrape that comes in many
records, in any order and from any partition, gives one sample. What never comes in full is never told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from edge_control.inventory.tables import Row
from schemas.base import MOST, MOST_AMOUNT
from schemas.parts import NodePart, Quantity, Reading
from schemas.telemetry import Conditions, NodeTelemetry

MOST_SERIES: Final = 2_048
"""Series that one node may have; those beyond are not kept."""
LIVE_MS: Final = 300_000
"""A series that is silent for so long is gone: a CPU taken off-line, an interface removed."""
LONGEST_GAP_MS: Final = 600_000
"""Growth over a longer gap says nothing of the load now."""
FORGET_MS: Final = 3_600_000
"""A node of which no piece came for so long is forgotten: its counters begin anew."""
_MINUTE_MS: Final = 60_000
UNKNOWN: Final = -1
_FULL: Final = 1_000
_SAME_PERMILLE: Final = 20
_HOTTEST: Final = 10_000_000


class Point(msgspec.Struct, array_like=True):
    """The latest reading of one series; of a counter also its growth per second (`UNKNOWN` until two readings)."""

    value: int
    at_ms: int
    rate: int = UNKNOWN


Points = dict[str, Point]


class PartsRow(Row):
    """What is known of a node piece by piece.

    `told_ms`: the time of the last sample told. `about_bytes`: its memory where only inferred, kept while it is nearly
    the same, as a node's size must not flicker. `resets`: counters that began again.
    """

    site_id: str
    node_id: str
    quantities: dict[str, Points] = msgspec.field(default_factory=dict)
    told_ms: int = 0
    heard_ms: int = 0
    about_bytes: int = 0
    late: int = 0
    resets: int = 0
    beyond: int = 0

    @property
    def key(self) -> str:
        """Site and node."""
        return f"{self.site_id}/{self.node_id}"

    @property
    def forget_at_ms(self) -> int:
        """By the whole minute: pieces come by the hundred, and each deadline costs a place in a heap."""
        return (self.heard_ms + FORGET_MS) // _MINUTE_MS * _MINUTE_MS + _MINUTE_MS


def take(row: PartsRow, part: NodePart, at_ms: int) -> None:
    """Keep what is newer; `at_ms` is the part's time as it may count (never in the future)."""
    row.heard_ms = max(row.heard_ms, at_ms)
    for reading in part.readings:
        _take(row, reading, at_ms)


def sample_of(row: PartsRow, time_source: str) -> NodeTelemetry | None:
    """The node's sample if a whole new one is there, else None; it counts as told."""
    memory, cpu = _memory(row), _cpu(row)
    if memory is None or cpu is None:
        return None
    (mem_used, mem_total, mem_at_ms), (cpu_used, cpu_total, cpu_at_ms) = memory, cpu
    if min(mem_at_ms, cpu_at_ms) <= row.told_ms:
        return None
    row.told_ms = max(mem_at_ms, cpu_at_ms)
    fs_total = _latest(row, Quantity.FS_TOTAL) or _latest(row, Quantity.FS_USED) + _latest(row, Quantity.FS_FREE)
    gpus = _series(row, Quantity.GPU_SHARE)
    return NodeTelemetry(
        node_id=row.node_id,
        site_id=row.site_id,
        observed_at_ms=row.told_ms,
        cpu_used_milli=min(cpu_used, cpu_total),
        cpu_allocatable_milli=cpu_total,
        mem_used_bytes=min(mem_used, mem_total),
        mem_allocatable_bytes=mem_total,
        gpu_used_milli=sum(min(point.value, _FULL) for point in gpus.values()),
        gpu_allocatable_milli=len(gpus) * _FULL,
        gpu_mem_used_bytes=_sum(row, Quantity.GPU_MEM_USED),
        fs_used_bytes=min(
            _latest(row, Quantity.FS_USED) or max(0, fs_total - _latest(row, Quantity.FS_FREE)), MOST_AMOUNT
        ),
        fs_allocatable_bytes=min(fs_total, MOST_AMOUNT),
        net_rx_bytes_total=_sum(row, Quantity.NET_RX_TOTAL, MOST),
        net_tx_bytes_total=_sum(row, Quantity.NET_TX_TOTAL, MOST),
        net_capacity_bps=_sum(row, Quantity.NET_CAPACITY),
        temperature_milli_cel=_hottest(row),
        power_mw=_sum(row, Quantity.POWER),
        conditions=Conditions(ready=_is_ready(row), cordoned=bool(_latest(row, Quantity.CORDONED))),
        time_source=time_source,
    )


def _take(row: PartsRow, reading: Reading, at_ms: int) -> None:
    points = row.quantities.get(reading.quantity, {})
    last = points.get(reading.series)
    if last is None:
        if sum(map(len, row.quantities.values())) >= MOST_SERIES:
            row.beyond += 1
            return
        row.quantities.setdefault(reading.quantity, points)[reading.series] = Point(reading.value, at_ms)
        return
    if at_ms <= last.at_ms:
        _take_late(row, reading, last, at_ms)
        return
    if reading.quantity.is_counter:
        row.resets += reading.value < last.value
        last.rate = _growth_per_s(reading.value - last.value, at_ms - last.at_ms)
    last.value, last.at_ms = reading.value, at_ms


def _take_late(row: PartsRow, reading: Reading, last: Point, at_ms: int) -> None:
    """What overtook it counts; but where the growth up to there is unknown, an older reading tells it."""
    row.late += at_ms < last.at_ms
    if reading.quantity.is_counter and last.rate == UNKNOWN and at_ms < last.at_ms:
        last.rate = _growth_per_s(last.value - reading.value, last.at_ms - at_ms)


def _growth_per_s(growth: int, gap_ms: int) -> int:
    """Growth a second between two readings; unknown after a reset, as nobody knows when it was."""
    if growth < 0 or gap_ms > LONGEST_GAP_MS:
        return UNKNOWN
    return min(growth * 1_000 // gap_ms, MOST_AMOUNT)


def _cpu(row: PartsRow) -> tuple[int, int, int] | None:
    """CPU used and allocatable, in thousandths of a CPU, and their time, by the newest way in which it is told."""
    counted = _FULL * max(_cpus(row, quantity) for quantity in _PER_CPU)
    allocatable = _latest(row, Quantity.CPU_ALLOCATABLE)
    capacity = _latest(row, Quantity.CPU_CAPACITY) or counted or allocatable
    ways = [way for way in (_used(row), *(_idle(row, quantity, capacity) for quantity in _PER_CPU)) if way is not None]
    if not ways or not capacity:
        return None
    used, at_ms = max(ways, key=lambda way: way[1])
    return used, min(allocatable or capacity, MOST_AMOUNT), at_ms


def _used(row: PartsRow) -> tuple[int, int] | None:
    """What is told as such: thousandths of a CPU, else busy time."""
    points = _series(row, Quantity.CPU_USED)
    if points:
        return sum(point.value for point in points.values()), _oldest(points.values())
    busy = _series(row, Quantity.CPU_BUSY_TOTAL)
    if not busy or any(point.rate == UNKNOWN for point in busy.values()):
        return None
    return sum(point.rate for point in busy.values()), _oldest(busy.values())


def _idle(row: PartsRow, quantity: Quantity, capacity: int) -> tuple[int, int] | None:
    """What is left beside the idle CPUs; the share of all of them together is the series without a name."""
    points = _series(row, quantity)
    if quantity is Quantity.CPU_SHARE:
        whole = points.get("")
        return (capacity * min(whole.value, _FULL) // _FULL, whole.at_ms) if whole else None
    single = [point for name, point in points.items() if name and not name.startswith("/")]
    counted = single or list(points.values())
    idle = [point.rate if quantity.is_counter else point.value for point in counted]
    if not idle or UNKNOWN in idle:
        return None
    if single:
        return max(0, _cpus(row, quantity) * _FULL - sum(idle)), _oldest(counted)
    return capacity - capacity * min(sum(idle), _FULL) // _FULL, _oldest(counted)


_PER_CPU: Final = (Quantity.CPU_SHARE, Quantity.CPU_IDLE_SHARE, Quantity.CPU_IDLE_TOTAL)


def _cpus(row: PartsRow, quantity: Quantity) -> int:
    """How many CPUs tell of themselves; a wait for devices is no CPU of its own."""
    return sum(1 for name in _series(row, quantity) if name and "/" not in name)


def _memory(row: PartsRow) -> tuple[int, int, int] | None:
    """Memory used and allocatable, in bytes, and their time, by the newest way in which it is told."""
    idle, available = _series(row, Quantity.MEM_IDLE), _point(row, Quantity.MEM_AVAILABLE)
    used, allocatable = _point(row, Quantity.MEM_USED), _latest(row, Quantity.MEM_ALLOCATABLE)
    total = _latest(row, Quantity.MEM_TOTAL) or _about(row, used, available) or allocatable
    ways: list[tuple[int, int]] = []
    if available is not None:
        ways.append((total - available.value, available.at_ms))
    if used is not None:
        ways.append((used.value, used.at_ms))
    if idle:
        ways.append((total - sum(point.value for point in idle.values()), _oldest(idle.values())))
    if not ways or not total:
        return None
    amount, at_ms = max(ways, key=lambda way: way[1])
    return max(0, amount), min(allocatable or total, MOST_AMOUNT), at_ms


def _about(row: PartsRow, used: Point | None, available: Point | None) -> int:
    """The node's memory where nothing tells it: inferred, and kept while it is within 2 % of what it was."""
    told = _latest(row, Quantity.MEM_TOTAL_ABOUT)
    inferred = told or (used.value + available.value if used and available else 0)
    if inferred and abs(inferred - row.about_bytes) * _FULL > row.about_bytes * _SAME_PERMILLE:
        row.about_bytes = inferred
    return row.about_bytes


def _series(row: PartsRow, quantity: Quantity) -> Points:
    """The series of a quantity that still speak; those that fell silent are forgotten."""
    points = row.quantities.get(quantity)
    if not points:
        return {}
    since_ms = max(point.at_ms for point in points.values()) - LIVE_MS
    for name in [name for name, point in points.items() if point.at_ms < since_ms]:
        del points[name]
    return points


def _point(row: PartsRow, quantity: Quantity) -> Point | None:
    return row.quantities.get(quantity, {}).get("")


def _latest(row: PartsRow, quantity: Quantity) -> int:
    point = _point(row, quantity)
    return point.value if point else 0


def _sum(row: PartsRow, quantity: Quantity, most: int = MOST_AMOUNT) -> int:
    return min(sum(point.value for point in _series(row, quantity).values()), most)


def _hottest(row: PartsRow) -> int:
    points = _series(row, Quantity.TEMPERATURE)
    return min(max((point.value for point in points.values()), default=0), _HOTTEST)


def _is_ready(row: PartsRow) -> bool:
    point = _point(row, Quantity.READY)
    return point is None or point.value > 0


def _oldest(points: Iterable[Point]) -> int:
    return min(point.at_ms for point in points)
