"""Telegraf: JSON (one metric, a batch, an array), CloudEvents around them, and influx line protocol.

The serializer's default time unit is the second for JSON and the nanosecond for CloudEvents and lines; a time's size
tells its unit. Percentages are of 100.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ..errors import BadInput, Fault
from ..limits import check_border
from ..parts import Quantity
from ..wire import decode
from .amounts import Number, millis, unit_of
from .coercions import Coercion, Unused
from .harvest import LIMITS, Harvest, Raw
from .identity import node_of, site_of
from .influx import Line, lines_of
from .rules import ROOT, Rule, Where, apply

_S: Final = 1
_NS: Final = 1_000_000_000
_ALL_CPUS: Final = "cpu-total"
_CPU: Final = ("cpu",)
_PATH: Final = (Where(("path",), ROOT),)
_DEVICE: Final = ("interface",)
_SENSOR: Final = ("sensor",)
_GPU: Final = ("index", "uuid")
_MIB: Final = 1_048_576

RULES: Final[dict[str, dict[str, tuple[Rule, ...]]]] = {
    "cpu": {
        "usage_idle": (Rule(Quantity.CPU_IDLE_SHARE, 10, _CPU),),
        "usage_iowait": (Rule(Quantity.CPU_IDLE_SHARE, 10, _CPU),),
    },
    "system": {"n_cpus": (Rule(Quantity.CPU_CAPACITY, 1_000),)},
    "mem": {
        "total": (Rule(Quantity.MEM_TOTAL),),
        "available": (Rule(Quantity.MEM_AVAILABLE),),
        "used": (Rule(Quantity.MEM_USED),),
    },
    "disk": {
        "total": (Rule(Quantity.FS_TOTAL, where=_PATH),),
        "free": (Rule(Quantity.FS_FREE, where=_PATH),),
        "used": (Rule(Quantity.FS_USED, where=_PATH),),
    },
    "net": {
        "bytes_recv": (Rule(Quantity.NET_RX_TOTAL, 1, _DEVICE, wires_only=True),),
        "bytes_sent": (Rule(Quantity.NET_TX_TOTAL, 1, _DEVICE, wires_only=True),),
        "speed": (Rule(Quantity.NET_CAPACITY, 1_000_000, _DEVICE, wires_only=True),),
    },
    "temp": {"temp": (Rule(Quantity.TEMPERATURE, 1_000, _SENSOR),)},
    "nvidia_smi": {
        "utilization_gpu": (Rule(Quantity.GPU_SHARE, 10, _GPU),),
        "memory_used": (Rule(Quantity.GPU_MEM_USED, _MIB, _GPU),),
        "temperature_gpu": (Rule(Quantity.TEMPERATURE, 1_000, _GPU),),
        "power_draw": (Rule(Quantity.POWER, 1_000, _GPU),),
    },
}
"""By measurement and field."""


class _Metric(msgspec.Struct, gc=False):
    name: str
    fields: dict[str, Any]
    tags: dict[str, str] = {}
    timestamp: Number | None = None


class _Batch(msgspec.Struct):
    metrics: list[_Metric]


class _Shape(msgspec.Struct):
    """What an object's members tell about its kind."""

    metrics: msgspec.Raw = msgspec.Raw()
    specversion: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw(b"null")


def read(raw: Raw) -> Harvest:
    """All readings of a record; BadInput for what is neither Telegraf's JSON nor lines."""
    harvest = Harvest(raw)
    start = raw.value[:64].lstrip()[:1]
    if start == b"{":
        _read_object(raw.value, harvest, _S)
    elif start == b"[":
        _read_array(raw.value, harvest)
    else:
        _read_lines(raw.value, harvest)
    return harvest.settled()


def _read_lines(value: bytes, harvest: Harvest) -> None:
    check_border(value, msgspec.structs.replace(LIMITS, max_string_bytes=LIMITS.max_bytes, max_keys=LIMITS.max_bytes))
    if not value.strip():
        raise BadInput(Fault.NO_DATA, "an empty record")
    for line in lines_of(value.decode()):
        _read_metric(line, line.stamp, _NS, harvest)


def _read_object(value: bytes, harvest: Harvest, per_s: int) -> None:
    shape = decode(_Shape, value, LIMITS)
    if bytes(shape.specversion):
        _read_event(bytes(shape.data), harvest)
    elif bytes(shape.metrics):
        for metric in decode(_Batch, value, LIMITS).metrics:
            _read_metric(metric, metric.timestamp, per_s, harvest)
    else:
        metric = decode(_Metric, value, LIMITS)
        _read_metric(metric, metric.timestamp, per_s, harvest)


def _read_array(value: bytes, harvest: Harvest) -> None:
    for item in decode(list[msgspec.Raw], value, LIMITS):
        shape = decode(_Shape, bytes(item), LIMITS)
        if bytes(shape.specversion):
            harvest.coerced(Coercion.EVENTS_AS_ARRAY)
        _read_object(bytes(item), harvest, _S)


def _read_event(data: bytes, harvest: Harvest) -> None:
    """The data of a CloudEvent; in binary mode the same data stands alone and tells its unit by its size."""
    if b"application/cloudevents" not in harvest.raw.headers.get("content-type", b"").lower():
        harvest.coerced(Coercion.BARE_CLOUDEVENT)
    if data == b"null":
        raise BadInput(Fault.NO_DATA, "a CloudEvent without data")
    _read_object(data, harvest, _NS)


def _read_metric(metric: _Metric | Line, stamp: Number | None, per_s: int, harvest: Harvest) -> None:
    rules = RULES.get(metric.name)
    if rules is None:
        harvest.pass_over(Unused.OTHER_METRIC)
        return
    node_id = node_of(metric.tags, harvest)
    if not node_id:
        return
    sample = harvest.sample(node_id, site_of(metric.tags), _at_ms(stamp, per_s, harvest))
    for name, value in metric.fields.items():
        if name in rules:
            tags = _cpu_tags(metric.tags, name, harvest) if metric.name == "cpu" else metric.tags
            number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
            apply(rules[name], number, tags, sample)
        else:
            harvest.pass_over(Unused.OTHER_METRIC)


def _cpu_tags(tags: Mapping[str, str], field: str, harvest: Harvest) -> dict[str, str]:
    """Telegraf's name for the sum over all CPUs is our series without a name; io wait is a series beside it."""
    cpu = tags.get("cpu", _ALL_CPUS)
    if cpu == _ALL_CPUS:
        harvest.coerced(Coercion.CPU_TOTAL)
        cpu = ""
    return {"cpu": f"{cpu}/iowait" if field == "usage_iowait" else cpu}


def _at_ms(stamp: Number | None, per_s: int, harvest: Harvest) -> int | None:
    if stamp is None:
        return None
    told = unit_of(stamp)
    if told != per_s:
        harvest.coerced(Coercion.TIMESTAMP_UNIT)
    return millis(stamp, told)
