"""Prometheus through prometheus-kafka-adapter: one sample a record; node_exporter, kube-state-metrics and DCGM names.

The adapter cuts times to whole seconds and writes every value as text, also `NaN` (a stale marker) and `+Inf`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from ..errors import BadInput, Fault
from ..parts import Quantity
from ..wire import decode
from .amounts import Number, number_of, rfc3339_ms
from .coercions import Coercion, Unused
from .harvest import LIMITS, Harvest, Raw
from .identity import node_of, site_of
from .rules import IDLE, ROOT, Rule, Where, apply

_MODE: Final = Where(("mode",), IDLE)
_ROOT: Final = (Where(("mountpoint",), ROOT),)
_CHIP: Final = ("sensor",)
_ZONE: Final = ("zone",)
_DEVICE: Final = ("device",)
_GPU: Final = ("gpu", "UUID")
_MIB: Final = 1_048_576
_TRUE: Final = Where(("status",), {"true": ""})

RULES: Final[dict[str, tuple[Rule, ...]]] = {
    "node_cpu_seconds_total": (Rule(Quantity.CPU_IDLE_TOTAL, 1_000, ("cpu",), (_MODE,)),),
    "node_memory_MemTotal_bytes": (Rule(Quantity.MEM_TOTAL),),
    "node_memory_MemAvailable_bytes": (Rule(Quantity.MEM_AVAILABLE),),
    "node_memory_MemFree_bytes": (Rule(Quantity.MEM_IDLE, where=(Where((), {"": "free"}),)),),
    "node_memory_Buffers_bytes": (Rule(Quantity.MEM_IDLE, where=(Where((), {"": "buffers"}),)),),
    "node_memory_Cached_bytes": (Rule(Quantity.MEM_IDLE, where=(Where((), {"": "cached"}),)),),
    "node_filesystem_size_bytes": (Rule(Quantity.FS_TOTAL, where=_ROOT),),
    "node_filesystem_avail_bytes": (Rule(Quantity.FS_FREE, where=_ROOT),),
    "node_network_receive_bytes_total": (Rule(Quantity.NET_RX_TOTAL, 1, _DEVICE, wires_only=True),),
    "node_network_transmit_bytes_total": (Rule(Quantity.NET_TX_TOTAL, 1, _DEVICE, wires_only=True),),
    "node_network_speed_bytes": (Rule(Quantity.NET_CAPACITY, 8, _DEVICE, wires_only=True),),
    "node_thermal_zone_temp": (Rule(Quantity.TEMPERATURE, 1_000, _ZONE),),
    "node_hwmon_temp_celsius": (Rule(Quantity.TEMPERATURE, 1_000, _CHIP),),
    "node_hwmon_power_average_watt": (Rule(Quantity.POWER, 1_000, _CHIP),),
    "kube_node_status_allocatable": (
        Rule(Quantity.CPU_ALLOCATABLE, 1_000, where=(Where(("resource",), {"cpu": ""}),)),
        Rule(Quantity.MEM_ALLOCATABLE, where=(Where(("resource",), {"memory": ""}),)),
    ),
    "kube_node_status_condition": (Rule(Quantity.READY, where=(Where(("condition",), {"Ready": ""}), _TRUE)),),
    "kube_node_spec_unschedulable": (Rule(Quantity.CORDONED),),
    "DCGM_FI_DEV_GPU_UTIL": (Rule(Quantity.GPU_SHARE, 10, _GPU),),
    "DCGM_FI_DEV_FB_USED": (Rule(Quantity.GPU_MEM_USED, _MIB, _GPU),),
    "DCGM_FI_DEV_GPU_TEMP": (Rule(Quantity.TEMPERATURE, 1_000, _GPU),),
    "DCGM_FI_DEV_POWER_USAGE": (Rule(Quantity.POWER, 1_000, _GPU),),
}

_ALIASES: Final = {
    "k8s.node.name": ("node", "k8s_node_name"),
    "host.id": ("host_id",),
    "host.name": ("host_name", "nodename", "Hostname"),
    "host": ("host",),
    "instance": ("instance",),
    "edgeweir.site": ("edgeweir_site",),
    "site": ("site",),
}
"""Label names hold no dots."""


class _Sample(msgspec.Struct):
    name: str
    value: Number
    timestamp: str
    labels: dict[str, str] = {}


def read(raw: Raw) -> Harvest:
    """The reading of a sample; BadInput for what is no sample of the adapter."""
    harvest = Harvest(raw)
    told = decode(_Sample, raw.value, LIMITS)
    rules = RULES.get(told.name)
    if rules is None:
        harvest.pass_over(Unused.OTHER_METRIC)
        return harvest.settled()
    if isinstance(told.value, str):
        harvest.coerced(Coercion.VALUE_AS_STRING)
        if told.value.lower() == "nan":
            harvest.pass_over(Unused.NOT_RECORDED)
            return harvest.settled()
    _read_sample(told, rules, harvest)
    return harvest.settled()


def _read_sample(told: _Sample, rules: tuple[Rule, ...], harvest: Harvest) -> None:
    names = _names(told.labels)
    node_id = node_of(names, harvest)
    if not node_id:
        return
    at_ms = rfc3339_ms(told.timestamp)
    if at_ms is None:
        raise BadInput(Fault.BAD_TIME, "timestamp is no RFC 3339 time since 1970")
    sample = harvest.sample(node_id, site_of(names), at_ms)
    apply(rules, number_of(told.value), told.labels, sample)


def _names(labels: Mapping[str, str]) -> dict[str, str]:
    found = {
        name: next((labels[alias] for alias in aliases if labels.get(alias)), "") for name, aliases in _ALIASES.items()
    }
    return {name: text for name, text in found.items() if text}
