"""Metricbeat's system module: one metricset a record (cpu, memory, filesystem, network)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..errors import BadInput, Fault
from ..parts import Quantity
from ..wire import decode
from .amounts import rfc3339_ms
from .coercions import Coercion, Unused
from .harvest import LIMITS, Harvest, Raw, Sample
from .identity import node_of, site_of
from .rules import is_inner, note, safe

_ROOT: Final = "/"
Tree = dict[str, Any]


class _Event(msgspec.Struct):
    timestamp: str = msgspec.field(name="@timestamp")
    system: dict[str, Any] = {}
    host: dict[str, Any] = {}
    kubernetes: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    labels: dict[str, Any] = {}


def read(raw: Raw) -> Harvest:
    """The readings of one metricset; BadInput for what is no event of a Beat."""
    harvest = Harvest(raw)
    event = decode(_Event, raw.value, LIMITS)
    known = [(name, tree) for name, tree in event.system.items() if name in _SETS and isinstance(tree, dict)]
    if not known:
        harvest.pass_over(Unused.OTHER_METRIC)
        return harvest.settled()
    at_ms = rfc3339_ms(event.timestamp)
    if at_ms is None:
        raise BadInput(Fault.BAD_TIME, "@timestamp is no RFC 3339 time since 1970")
    names = _names(event)
    node_id = node_of(names, harvest)
    if node_id:
        sample = harvest.sample(node_id, site_of(names), at_ms)
        for name, tree in known:
            _SETS[name](tree, sample)
    return harvest.settled()


def _names(event: _Event) -> dict[str, str]:
    found = {
        "k8s.node.name": at(event.kubernetes, "node.name"),
        "host.id": at(event.host, "id"),
        "host.name": at(event.host, "name"),
        "edgeweir.site": at(event.labels, "edgeweir_site") or at(event.fields, "edgeweir.site"),
        "site": at(event.labels, "site") or at(event.fields, "site"),
    }
    return {name: text for name, text in found.items() if isinstance(text, str) and text}


def at(tree: Tree, path: str) -> Any:
    """What stands at a dotted path, nested or with the dots in a key as Beats write it; None for nothing."""
    if path in tree:
        return tree[path]
    head, _, rest = path.partition(".")
    inner = tree.get(head)
    return at(inner, rest) if rest and isinstance(inner, dict) else None


def _number(tree: Tree, path: str) -> float | int | None:
    held = at(tree, path)
    return held if isinstance(held, int | float) and not isinstance(held, bool) else None


def _cpu(tree: Tree, sample: Sample) -> None:
    cores, share, of_cores = _number(tree, "cores"), _number(tree, "total.norm.pct"), _number(tree, "total.pct")
    if cores is not None:
        note(sample, Quantity.CPU_CAPACITY, cores, 1_000)
    if share is None and of_cores is not None and cores:
        sample.harvest.coerced(Coercion.PCT_OF_CORES)
        share = of_cores / cores
    note(sample, Quantity.CPU_SHARE, share, 1_000)


def _memory(tree: Tree, sample: Sample) -> None:
    _note_those(tree, {"total": Quantity.MEM_TOTAL, "actual.used.bytes": Quantity.MEM_USED}, sample)


def _filesystem(tree: Tree, sample: Sample) -> None:
    if at(tree, "mount_point") != _ROOT:
        sample.harvest.pass_over(Unused.OTHER_SERIES)
        return
    _note_those(
        tree, {"total": Quantity.FS_TOTAL, "available": Quantity.FS_FREE, "used.bytes": Quantity.FS_USED}, sample
    )


def _network(tree: Tree, sample: Sample) -> None:
    name = at(tree, "name")
    if not isinstance(name, str) or is_inner(name):
        sample.harvest.pass_over(Unused.OTHER_SERIES)
        return
    _note_those(tree, {"in.bytes": Quantity.NET_RX_TOTAL, "out.bytes": Quantity.NET_TX_TOTAL}, sample, safe(name))


def _note_those(tree: Tree, wanted: dict[str, Quantity], sample: Sample, series: str = "") -> None:
    for path, quantity in wanted.items():
        if at(tree, path) is not None:
            note(sample, quantity, _number(tree, path), 1, series)


_SETS: Final[dict[str, Callable[[Tree, Sample], None]]] = {
    "cpu": _cpu,
    "memory": _memory,
    "filesystem": _filesystem,
    "network": _network,
}
