"""A scrape comes in pieces: counters become rates, late pieces change nothing, a whole one becomes one sample."""

from __future__ import annotations

import random

import pytest

from edge_control.inventory.parts import LIVE_MS, LONGEST_GAP_MS, MOST_SERIES, PartsRow, sample_of, take
from schemas.base import MOST
from schemas.parts import NodePart, Quantity, Reading
from schemas.telemetry import NodeTelemetry
from schemas.wire import decode, encode_json

GIB = 1_073_741_824
T0 = 1_700_000_000_000


def node() -> PartsRow:
    """A node of which nothing is known."""
    return PartsRow(site_id="bay", node_id="edge-17")


def hear(row: PartsRow, at_s: float, **readings: int | dict[str, int]) -> NodeTelemetry | None:
    """One part at a time; the sample if it made one."""
    at_ms = T0 + round(at_s * 1_000)
    told = [
        Reading(Quantity[name], value, series)
        for name, held in readings.items()
        for series, value in (held.items() if isinstance(held, dict) else [("", held)])
    ]
    take(row, NodePart(node_id=row.node_id, observed_at_ms=at_ms, readings=tuple(told)), at_ms)
    sample = sample_of(row, "payload")
    if sample is not None:
        assert decode(NodeTelemetry, encode_json(sample)) == sample
    return sample


def test_idle_time_of_every_cpu_becomes_the_load_of_the_node() -> None:
    row = node()
    assert hear(row, 0, CPU_IDLE_TOTAL={"0": 0, "0/iowait": 0, "1": 50_000}, MEM_TOTAL=GIB, MEM_AVAILABLE=GIB) is None
    hear(row, 10, CPU_IDLE_TOTAL={"0": 2_500, "0/iowait": 500})
    sample = hear(row, 10, CPU_IDLE_TOTAL={"1": 60_000}, MEM_AVAILABLE=GIB // 4)
    assert sample is not None
    assert (sample.cpu_used_milli, sample.cpu_allocatable_milli) == (700, 2_000)
    assert (sample.mem_used_bytes, sample.mem_allocatable_bytes) == (GIB * 3 // 4, GIB)
    assert sample.observed_at_ms == T0 + 10_000


def test_one_scrape_gives_one_sample_in_whatever_order_it_comes() -> None:
    for seed in range(20):
        row, chance, told = node(), random.Random(seed), 0
        for scrape in range(5):
            pieces: list[tuple[Quantity, str, int]] = [
                *((Quantity.CPU_IDLE_TOTAL, str(cpu), scrape * 7_500) for cpu in range(8)),
                (Quantity.MEM_TOTAL, "", 16 * GIB),
                (Quantity.MEM_AVAILABLE, "", 4 * GIB),
                (Quantity.NET_RX_TOTAL, "eth0", scrape),
            ]
            chance.shuffle(pieces)
            for quantity, series, value in pieces:
                sample = hear(row, scrape * 15, **{quantity.name: {series: value}})
                told += sample is not None
                if sample is not None:
                    assert (sample.cpu_used_milli, sample.cpu_allocatable_milli) == (4_000, 8_000)
        assert told == 4


def test_a_counter_that_began_again_costs_one_sample_and_no_false_load() -> None:
    row = node()
    loads = []
    for at_s, busy in ((0, 500_000), (10, 505_000), (20, 1_000), (30, 6_000)):
        sample = hear(row, at_s, CPU_BUSY_TOTAL=busy, CPU_CAPACITY=4_000, MEM_TOTAL=GIB, MEM_USED=5)
        loads.append(sample.cpu_used_milli if sample else None)
    assert loads == [None, 500, None, 500]
    assert row.resets == 1


def test_a_first_scrape_that_was_overtaken_by_the_second_still_tells_the_growth_between_them() -> None:
    row = node()
    assert hear(row, 10, CPU_BUSY_TOTAL=505_000, CPU_CAPACITY=4_000, MEM_TOTAL=GIB, MEM_USED=5) is None
    sample = hear(row, 0, CPU_BUSY_TOTAL=500_000, CPU_CAPACITY=4_000, MEM_TOTAL=GIB, MEM_USED=5)
    assert sample is not None
    assert (sample.cpu_used_milli, sample.observed_at_ms) == (500, T0 + 10_000)


def test_growth_over_a_long_gap_says_nothing_of_now() -> None:
    row = node()
    hear(row, 0, CPU_BUSY_TOTAL=0, CPU_CAPACITY=4_000, MEM_TOTAL=GIB, MEM_USED=5)
    gone_s = LONGEST_GAP_MS // 1_000 + 1
    assert hear(row, gone_s, CPU_BUSY_TOTAL=10, MEM_USED=5) is None
    assert hear(row, gone_s + 10, CPU_BUSY_TOTAL=10_010, MEM_USED=5) is not None


def test_a_late_or_repeated_piece_changes_nothing() -> None:
    row = node()
    hear(row, 0, CPU_BUSY_TOTAL=0, CPU_CAPACITY=4_000, MEM_TOTAL=GIB, MEM_USED=5)
    assert hear(row, 10, CPU_BUSY_TOTAL=10_000, MEM_USED=7) is not None
    assert hear(row, 10, CPU_BUSY_TOTAL=10_000, MEM_USED=7) is None
    assert hear(row, 5, CPU_BUSY_TOTAL=9_000, MEM_USED=9) is None
    assert row.late == 2
    sample = hear(row, 20, CPU_BUSY_TOTAL=30_000, MEM_USED=8)
    assert sample is not None
    assert (sample.cpu_used_milli, sample.mem_used_bytes) == (2_000, 8)


def test_a_cpu_taken_off_line_is_forgotten_and_not_waited_for_for_ever() -> None:
    row, told = node(), []
    for scrape in range(60):
        cpus = {"0": scrape * 5_000} | ({"1": scrape * 5_000} if scrape < 5 else {})
        sample = hear(row, scrape * 10, CPU_IDLE_TOTAL=cpus, MEM_TOTAL=GIB, MEM_AVAILABLE=5)
        told.append(sample.cpu_allocatable_milli if sample else 0)
    assert told[4] == 2_000
    assert told[5] == 0
    assert told[5 + LIVE_MS // 10_000 + 1 :] == [1_000] * (60 - 6 - LIVE_MS // 10_000)


@pytest.mark.parametrize(
    ("readings", "used", "room"),
    [
        ({"CPU_SHARE": 250, "CPU_CAPACITY": 8_000}, 2_000, 8_000),
        ({"CPU_IDLE_SHARE": {"": 700, "/iowait": 50}, "CPU_CAPACITY": 4_000}, 1_000, 4_000),
        ({"CPU_IDLE_SHARE": {"": 990, "cpu0": 700, "cpu0/iowait": 50, "cpu1": 1_000}}, 250, 2_000),
        ({"CPU_USED": 166, "CPU_ALLOCATABLE": 3_920}, 166, 3_920),
        ({"CPU_USED": 9_000, "CPU_CAPACITY": 4_000, "CPU_ALLOCATABLE": 3_920}, 3_920, 3_920),
        ({"CPU_SHARE": 4_000_000, "CPU_CAPACITY": 8_000}, 8_000, 8_000),
    ],
)
def test_every_way_of_telling_cpu_leads_to_the_same_two_numbers(
    readings: dict[str, int | dict[str, int]], used: int, room: int
) -> None:
    sample = hear(node(), 0, MEM_TOTAL=GIB, MEM_USED=5, **readings)
    assert sample is not None
    assert (sample.cpu_used_milli, sample.cpu_allocatable_milli) == (used, room)


@pytest.mark.parametrize(
    ("readings", "used", "room"),
    [
        ({"MEM_TOTAL": 100, "MEM_AVAILABLE": 60, "MEM_USED": 10}, 40, 100),
        ({"MEM_TOTAL": 100, "MEM_IDLE": {"free": 10, "cached": 20, "buffers": 30}}, 40, 100),
        ({"MEM_USED": 40, "MEM_AVAILABLE": 60}, 40, 100),
        ({"MEM_USED": 40, "MEM_TOTAL_ABOUT": 100}, 40, 100),
        ({"MEM_USED": 40, "MEM_ALLOCATABLE": 90}, 40, 90),
        ({"MEM_TOTAL": 100, "MEM_AVAILABLE": 60, "MEM_ALLOCATABLE": 90}, 40, 90),
        ({"MEM_TOTAL": 100, "MEM_AVAILABLE": 160}, 0, 100),
    ],
)
def test_every_way_of_telling_memory_leads_to_the_same_two_numbers(
    readings: dict[str, int | dict[str, int]], used: int, room: int
) -> None:
    sample = hear(node(), 0, CPU_SHARE=1, CPU_CAPACITY=1_000, **readings)
    assert sample is not None
    assert (sample.mem_used_bytes, sample.mem_allocatable_bytes) == (used, room)


def test_inferred_memory_does_not_flicker() -> None:
    row, sizes = node(), set()
    for second, about in enumerate((16_000_000, 16_010_000, 15_990_000, 16_100_000, 16_000_001)):
        sample = hear(row, second, CPU_SHARE=1, CPU_CAPACITY=1_000, MEM_USED=5, MEM_TOTAL_ABOUT=about)
        assert sample is not None
        sizes.add(sample.mem_allocatable_bytes)
    assert sizes == {16_000_000}
    sample = hear(row, 9, CPU_SHARE=1, MEM_USED=5, MEM_TOTAL_ABOUT=32_000_000)
    assert sample is not None
    assert sample.mem_allocatable_bytes == 32_000_000


def test_the_rest_of_a_node_is_told_with_it() -> None:
    row = node()
    sample = hear(
        row, 0, CPU_SHARE=1, CPU_CAPACITY=1_000, MEM_TOTAL=100, MEM_USED=5, FS_TOTAL=900, FS_FREE=300,
        NET_RX_TOTAL={"eth0": 5, "eth1": 6}, NET_TX_TOTAL=7, GPU_SHARE={"0": 400, "1": 2_000}, GPU_MEM_USED={"0": 9},
        TEMPERATURE={"a": -5_000, "b": 55_000}, POWER={"0": 10, "1": 20}, READY=0, CORDONED=1,
    )  # fmt: skip
    assert sample is not None
    assert (sample.fs_used_bytes, sample.fs_allocatable_bytes) == (600, 900)
    assert (sample.net_rx_bytes_total, sample.net_tx_bytes_total) == (11, 7)
    assert (sample.gpu_used_milli, sample.gpu_allocatable_milli, sample.gpu_mem_used_bytes) == (1_400, 2_000, 9)
    assert (sample.temperature_milli_cel, sample.power_mw) == (55_000, 30)
    assert (sample.conditions.ready, sample.conditions.cordoned) == (False, True)


def test_the_largest_numbers_still_make_a_sound_sample() -> None:
    everything = {quantity.name: {"": MOST, "a": MOST, "b": MOST} for quantity in Quantity}
    row = node()
    hear(row, 0, **everything)
    assert hear(row, 1, **everything) is not None


def test_a_node_with_too_many_series_keeps_the_first_and_counts_the_rest() -> None:
    row = node()
    hear(row, 0, TEMPERATURE={str(number): number for number in range(MOST_SERIES + 50)})
    assert row.beyond == 50
    assert len(row.quantities[Quantity.TEMPERATURE]) == MOST_SERIES
