"""Parts of a node's sample as foreign collectors carry them, until the site's controller fuses those of one scrape."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from .base import MOST, Id, Message, Millis

LOWEST: Final = -273_150
"""The least value of any reading: the absolute zero in thousandths of a degree Celsius; all others begin at 0."""


class Quantity(StrEnum):
    """What a reading measures; the unit stands last in the value. `series` tells CPUs, interfaces or devices apart.

    Counters (`*_total`) only grow, until their source starts again.
    """

    CPU_ALLOCATABLE = "cpu_allocatable_milli"
    CPU_CAPACITY = "cpu_capacity_milli"
    CPU_USED = "cpu_used_milli"
    CPU_SHARE = "cpu_share_permille"
    CPU_IDLE_SHARE = "cpu_idle_permille"
    CPU_IDLE_TOTAL = "cpu_idle_ms_total"
    CPU_BUSY_TOTAL = "cpu_busy_ms_total"
    MEM_ALLOCATABLE = "mem_allocatable_bytes"
    MEM_TOTAL = "mem_total_bytes"
    MEM_TOTAL_ABOUT = "mem_total_about_bytes"
    MEM_AVAILABLE = "mem_available_bytes"
    MEM_USED = "mem_used_bytes"
    MEM_IDLE = "mem_idle_bytes"
    FS_TOTAL = "fs_total_bytes"
    FS_FREE = "fs_free_bytes"
    FS_USED = "fs_used_bytes"
    NET_RX_TOTAL = "net_rx_bytes_total"
    NET_TX_TOTAL = "net_tx_bytes_total"
    NET_CAPACITY = "net_capacity_bps"
    GPU_SHARE = "gpu_used_permille"
    GPU_MEM_USED = "gpu_mem_used_bytes"
    TEMPERATURE = "temperature_milli_cel"
    POWER = "power_mw"
    READY = "ready"
    CORDONED = "cordoned"

    @property
    def is_counter(self) -> bool:
        """Whether only its growth says something."""
        return self in (Quantity.CPU_IDLE_TOTAL, Quantity.CPU_BUSY_TOTAL)


class Reading(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One number of one series, in the unit that its quantity names. A CPU's io wait is the series `<cpu>/iowait`."""

    quantity: Quantity
    value: Annotated[int, msgspec.Meta(ge=LOWEST, le=MOST)]
    series: Annotated[str, msgspec.Meta(max_length=64)] = ""


class NodePart(Message, frozen=True, kw_only=True):
    """Readings of one node of one moment; `time_source` is `record` where the payload named no time."""

    node_id: Id
    observed_at_ms: Millis
    readings: tuple[Reading, ...]
    time_source: str = "payload"


class NodeParts(Message, frozen=True, kw_only=True):
    """What one record of a foreign collector said of nodes of one site."""

    site_id: Id
    dialect: str
    parts: tuple[NodePart, ...]
