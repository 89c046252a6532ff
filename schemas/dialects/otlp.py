"""OpenTelemetry metrics as OTLP/JSON: host metrics, kubelet and cluster receivers, GPU and hardware conventions.

One record holds many resources; each data point keeps its own time, so points of one scrape may be told in parts.
Old and new attribute names are read; whatever no node's sample needs is passed over and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ..parts import Quantity
from ..wire import decode
from .amounts import Number, millis, number_of
from .coercions import Coercion, Unused
from .harvest import LIMITS, Harvest, Raw, Sample
from .identity import node_of, site_of
from .otlp_memory import Memory
from .otlp_rules import OLD_NAMES, RULES
from .rules import Rule, apply, note, series_of

_NO_VALUE: Final = 1
_DELTA: Final = (1, "1", "AGGREGATION_TEMPORALITY_DELTA")
_PER_S: Final = 1_000_000_000
_RATES: Final = {Quantity.CPU_IDLE_TOTAL: Quantity.CPU_IDLE_SHARE, Quantity.CPU_BUSY_TOTAL: Quantity.CPU_USED}
"""Whose rate is a quantity too: idle milliseconds per second are thousandths, busy ones thousandths of a CPU."""


class _Value(msgspec.Struct, rename="camel", gc=False):
    string_value: str | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None

    @property
    def text(self) -> str:
        held = (self.string_value, self.int_value, self.double_value, self.bool_value)
        return next((str(value) for value in held if value is not None), "")


class _KeyValue(msgspec.Struct, gc=False):
    key: str
    value: _Value | None = None


class _Resource(msgspec.Struct):
    attributes: list[_KeyValue] = []


class _Point(msgspec.Struct, rename="camel"):
    attributes: list[_KeyValue] = []
    time_unix_nano: Number = 0
    start_time_unix_nano: Number = 0
    as_double: Number | None = None
    as_int: Number | None = None
    flags: int = 0


class _Points(msgspec.Struct, rename="camel"):
    data_points: list[_Point] = []
    aggregation_temporality: int | str = 0


class _Metric(msgspec.Struct, rename="camel"):
    name: str = ""
    gauge: _Points | None = None
    sum: _Points | None = None


class _Scope(msgspec.Struct):
    metrics: list[_Metric] = []


class _ResourceMetrics(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_metrics: list[_Scope] = []
    instrumentation_library_metrics: list[_Scope] = []


class _Export(msgspec.Struct, rename="camel"):
    """ExportMetricsServiceRequest; traces and logs have other members and are refused."""

    resource_metrics: list[_ResourceMetrics]


def read(raw: Raw) -> Harvest:
    """All readings of an export; BadInput for what is no export of metrics."""
    harvest = Harvest(raw)
    for resource in decode(_Export, raw.value, LIMITS).resource_metrics:
        _read_resource(resource, harvest)
    return harvest.settled()


def _read_resource(told: _ResourceMetrics, harvest: Harvest) -> None:
    known = [(metric, points) for metric in _metrics(told, harvest) if (points := _points(metric, harvest))]
    attributes = _texts(told.resource.attributes) if told.resource else {}
    node_id = node_of(attributes, harvest) if known else ""
    if not node_id:
        return
    who, memory = (node_id, site_of(attributes)), Memory()
    for metric, points in known:
        for point in points.data_points:
            if point.flags & _NO_VALUE:
                harvest.pass_over(Unused.NOT_RECORDED)
            else:
                sample = harvest.sample(*who, millis(point.time_unix_nano, _PER_S))
                _read_point(metric, points, point, sample, memory)
    memory.conclude()


def _metrics(told: _ResourceMetrics, harvest: Harvest) -> Iterable[_Metric]:
    if told.instrumentation_library_metrics:
        harvest.coerced(Coercion.OLD_SCOPE_NAME)
    for scope in (*told.scope_metrics, *told.instrumentation_library_metrics):
        yield from scope.metrics


def _points(metric: _Metric, harvest: Harvest) -> _Points | None:
    """The points of a metric that a node's sample needs."""
    points = metric.gauge or metric.sum
    if points is None or metric.name not in RULES:
        harvest.pass_over(Unused.OTHER_METRIC)
        return None
    return points


def _read_point(metric: _Metric, points: _Points, point: _Point, sample: Sample, memory: Memory) -> None:
    number = _number(point, sample.harvest)
    attributes = _texts(point.attributes)
    if not OLD_NAMES.isdisjoint(attributes):
        sample.harvest.coerced(Coercion.OLD_ATTRIBUTE_NAME)
    if memory.takes(metric.name, attributes, number, sample):
        return
    if metric.sum is not None and points.aggregation_temporality in _DELTA:
        _note_delta(RULES[metric.name][0], number, point, attributes, sample)
    else:
        apply(RULES[metric.name], number, attributes, sample)


def _note_delta(rule: Rule, number: float | None, point: _Point, attributes: Mapping[str, str], sample: Sample) -> None:
    """Growth over the point's own interval, read as a rate; a total of traffic cannot be had from it."""
    quantity = _RATES.get(rule.quantity)
    series = series_of(rule, attributes)
    began_ms, ended_ms = (millis(stamp, _PER_S) for stamp in (point.start_time_unix_nano, point.time_unix_nano))
    if quantity is None or series is None or began_ms is None or ended_ms is None or ended_ms <= began_ms:
        sample.harvest.pass_over(Unused.DELTA_COUNTER)
        return
    sample.harvest.coerced(Coercion.DELTA_TO_RATE)
    rate = None if number is None else number * rule.per * 1_000 / (ended_ms - began_ms)
    note(sample, quantity, rate, 1, series)


def _number(point: _Point, harvest: Harvest) -> float | None:
    if point.as_int is not None:
        if not isinstance(point.as_int, str):
            harvest.coerced(Coercion.INT64_AS_NUMBER)
        return number_of(point.as_int)
    if isinstance(point.as_double, str):
        harvest.coerced(Coercion.NUMBER_AS_STRING)
    return number_of(point.as_double)


def _texts(attributes: list[_KeyValue]) -> dict[str, str]:
    return {held.key: held.value.text for held in attributes if held.value is not None}
