"""docs/dialects.md, made from the readers' own tables: nothing in it is written twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from . import otlp_rules, prometheus, telegraf
from .coercions import SENTENCES, UNUSED_SENTENCES
from .identity import NODE_NAMES, SITE_NAMES
from .rules import Rule

_HEAD: Final = """\
# Dialects

Made by `tools/dialects.py` from `schemas/dialects`; do not edit.

A raw topic takes what collectors and location servers already write. Each record is read, re-keyed and said again in
our own words; every tolerated deviation is a *named coercion*, counted by dialect. A piece that is wrong costs only
itself as long as something else in its record can be read; a record of which nothing can be read is a dead letter with
its reason.

Nothing is read until it is enabled: `EDGEWEIR_KAFKA_DIALECTS=otlp,telegraf` for `edgeweir topics apply` and for every
worker. `EDGEWEIR_RAW_SITE` takes nodes that nobody places, `EDGEWEIR_RAW_SALT` (or `_FILE`) keys terminals' names.
Counters: `edgeweir_foreign_total{dialect,kind,name}`, kind = coercion, unused, fault or refused.

| dialect | reads |
|---|---|
| otlp | OTLP/JSON ExportMetricsServiceRequest, many resources a record |
| telegraf | JSON (one metric, a batch, an array), CloudEvents around them, influx line protocol |
| prometheus | prometheus-kafka-adapter's JSON: node_exporter, kube-state-metrics, DCGM names |
| metricbeat | the system module: cpu, memory, filesystem, network |
| mec | ETSI GS MEC 013 v2.1 and v3, MEC 012, MEC 021 notifications and registrations |
| camara | geofencing area-entered / area-left / subscription life, quality on demand, as structured CloudEvents |

"""


def page() -> str:
    """The whole page."""
    return _HEAD + "\n".join([*_identity(), *_coercions(), *_unused(), *_fields()]) + "\n"


def _identity() -> Iterator[str]:
    yield "## Who a node is, and where"
    yield ""
    names = ", ".join(f"`{name}`" for name in NODE_NAMES)
    yield f"Its name is the first of {names}, else the record's key; nothing: dead letter `no-node-identity`."
    sites = " or ".join(f"`{name}`" for name in SITE_NAMES)
    yield f"Its site is the estate's node row, else what its agent names as {sites}, else the worker's default site;"
    yield "nothing: dead letter `no-site`. A site is never guessed."
    yield "Prometheus labels hold no dots: `node` or `k8s_node_name`, `host_id`, `host_name`, `edgeweir_site`."
    yield "Whether an undeclared node counts is the admission policy's matter (`auto`, `approve`)."
    yield ""
    yield "A terminal's name is a keyed hash of its address without scheme, in its one form: all dialects agree."
    yield ""


def _coercions() -> Iterator[str]:
    yield from ("## Coercions", "", "| name | what is read as if it were right |", "|---|---|")
    for coercion, sentence in SENTENCES.items():
        yield f"| `{coercion}` | {sentence} |"
    yield ""


def _unused() -> Iterator[str]:
    yield from ("## Read and left", "", "Well formed, counted, and nothing follows from it.", "")
    yield from ("| name | what |", "|---|---|")
    for why, sentence in UNUSED_SENTENCES.items():
        yield f"| `{why}` | {sentence} |"
    yield ""


def _fields() -> Iterator[str]:
    yield from ("## Field map", "", "| dialect | name | reading | times |", "|---|---|---|---|")
    for name, rules in otlp_rules.RULES.items():
        yield from _rows("otlp", name, rules)
    for measurement, fields in telegraf.RULES.items():
        for field, rules in fields.items():
            yield from _rows("telegraf", f"{measurement}.{field}", rules)
    for name, rules in prometheus.RULES.items():
        yield from _rows("prometheus", name, rules)


def _rows(dialect: str, name: str, rules: tuple[Rule, ...]) -> Iterator[str]:
    if not rules:
        yield f"| {dialect} | `{name}` | memory, see `memory-from-states` | 1 |"
    for rule in rules:
        chosen = ", ".join(value for where in rule.where for value in where.values if value)
        yield f"| {dialect} | `{name}`{f' ({chosen})' if chosen else ''} | {rule.quantity} | {rule.per} |"
