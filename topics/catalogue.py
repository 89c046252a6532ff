"""Every topic as data: name, key, writers, readers, cleanup, time, types. No topic is spelled anywhere else."""

from __future__ import annotations

from functools import cache
from typing import Final

from .families import command, decision, raw
from .topic import DAY_MS, HOUR_MS, Cleanup, Keyspace, Topic

__all__ = ["Cleanup", "Keyspace", "Topic"]

NODE_TELEMETRY: Final = Topic(
    name="edge.node.telemetry.v1",
    key="siteId",
    keyspace=Keyspace.SITE,
    default_type="node.telemetry.v1",
    types=("node.telemetry.v1", "node.telemetry-batch.v1", "node.lifecycle.v1"),
    writers="gateways, normaliser, infrastructure",
    readers="site",
    max_message_bytes=1_500_000,
)
APP_LOAD: Final = Topic(
    name="edge.app.load.v1",
    key="siteId",
    keyspace=Keyspace.SITE,
    default_type="app.load.v1",
    types=("app.load.v1",),
    writers="ingresses, executors, gateways",
    readers="site",
)
LOCATION: Final = Topic(
    name="edge.mec.location.v1",
    key="terminalId",
    keyspace=Keyspace.TERMINAL,
    default_type="mec.location.v1",
    types=("mec.location.v1", "mec.radio.v1"),
    writers="MEC feed, normaliser",
    readers="terminal",
    retention_ms=6 * HOUR_MS,
    urgent=True,
)
SESSION: Final = Topic(
    name="edge.session.v1",
    key="terminalId",
    keyspace=Keyspace.TERMINAL,
    default_type="session.event.v1",
    types=("session.event.v1",),
    writers="ingresses, apps",
    readers="terminal",
    urgent=True,
)
TWIN: Final = Topic(
    name="edge.twin.v1",
    key="terminalId",
    keyspace=Keyspace.TERMINAL,
    types=("twin.reported.v1", "twin.desired.v1"),
    writers="devices, operators",
    readers="terminal",
)
ESTATE: Final = Topic(
    name="edge.estate.v1",
    key="kind/id",
    types=(
        "estate.region.v1",
        "estate.site.v1",
        "estate.zone.v1",
        "estate.ap.v1",
        "estate.link.v1",
        "estate.node.v1",
        "estate.tenant.v1",
    ),
    writers="operators",
    readers="views",
    cleanup=Cleanup.COMPACT,
    log_append_time=True,
    single=True,
    view=True,
    row=True,
    compaction_lag_ms=DAY_MS,
)
APP: Final = Topic(
    name="edge.app.v1",
    key="appId",
    keyspace=Keyspace.APP,
    default_type="app.spec.v1",
    types=("app.spec.v1",),
    writers="operators",
    readers="app, views",
    cleanup=Cleanup.COMPACT,
    log_append_time=True,
    view=True,
    row=True,
    compaction_lag_ms=DAY_MS,
    urgent=True,
)
POLICY: Final = Topic(
    name="edge.policy.v1",
    key="policy/.. model/.. pause/.. approval/..",
    types=("policy.v1", "model.v1", "pause.v1", "approval.v1"),
    writers="operators, trainers",
    readers="views",
    cleanup=Cleanup.COMPACT,
    log_append_time=True,
    single=True,
    view=True,
    row=True,
    compaction_lag_ms=DAY_MS,
)
REQUEST: Final = Topic(
    name="edge.request.v1",
    key="target key",
    shared=True,
    types=(
        "request.reserve.v1",
        "reply.reserve.v1",
        "request.commit.v1",
        "reply.commit.v1",
        "request.release.v1",
        "request.overflow.v1",
        "request.place.v1",
        "reply.place.v1",
        "request.spill.v1",
        "reply.spill.v1",
        "request.drain.v1",
        "request.evacuate.v1",
        "request.lease.v1",
        "reply.lease.v1",
        "report.site.v1",
        "report.beat.v1",
        "report.witness.v1",
        "report.checkpoint.v1",
    ),
    writers="controllers, executors",
    readers="controllers",
    log_append_time=True,
    urgent=True,
)
INVENTORY: Final = Topic(
    name="edge.inventory.v1",
    key="siteId, appId or regionId",
    types=("inventory.site.v1", "inventory.app.v1", "inventory.region.v1"),
    writers="site, app, region controllers",
    readers="views, users",
    cleanup=Cleanup.COMPACT,
    log_append_time=True,
    view=True,
    row=True,
    compaction_lag_ms=HOUR_MS,
)
INVENTORY_NODE: Final = Topic(
    name="edge.inventory.node.v1",
    key="nodeId",
    types=("inventory.node.v1",),
    writers="site controller",
    readers="users",
    cleanup=Cleanup.COMPACT,
    row=True,
)
INVENTORY_TERMINAL: Final = Topic(
    name="edge.inventory.terminal.v1",
    key="terminalId",
    types=("inventory.terminal.v1",),
    writers="terminal controller",
    readers="users",
    cleanup=Cleanup.COMPACT_DELETE,
    retention_ms=6 * HOUR_MS,
    row=True,
)
STEERING: Final = Topic(
    name="edge.steering.v1",
    key="appId/zoneId",
    types=("steering.v1",),
    writers="app controller",
    readers="ingresses, resolvers, users",
    cleanup=Cleanup.COMPACT,
    log_append_time=True,
    row=True,
)


DECISION_SCALING: Final = decision("scaling", "resourceId", "site, app controllers")
DECISION_MIGRATION: Final = decision("migration", "resourceId", "terminal, app controllers")
DECISION_OFFLOAD: Final = decision("offload", "resourceId", "site, app, terminal controllers")
DECISION_HEALTH: Final = decision("health", "siteId", "region controller")
COMMAND_SCALING: Final = command("scaling", "site controller")
COMMAND_MIGRATION: Final = command("migration", "terminal, app controllers")
COMMAND_OFFLOAD: Final = command("offload", "site, terminal controllers")
STATUS: Final = Topic(
    name="edge.command.status.v1",
    key="the command's reply_key",
    shared=True,
    types=("command.status.v1", "executor.hello.v1"),
    writers="executors",
    readers="controllers, users",
    retention_ms=7 * DAY_MS,
    log_append_time=True,
    durable=True,
    urgent=True,
)
DEAD_LETTER: Final = Topic(
    name="edge.dead-letter.v1",
    key="original key",
    types=(),
    writers="all",
    readers="operators",
    retention_ms=14 * DAY_MS,
    log_append_time=True,
)
JOURNAL: Final = Topic(
    name="edge.journal.v1",
    key="none (partition p = the controllers of p)",
    types=(),
    writers="owner",
    readers="owner",
    retention_ms=-1,
    log_append_time=True,
    durable=True,
    max_message_bytes=4 * 1_048_576,
)

CATALOGUE: Final[tuple[Topic, ...]] = (
    NODE_TELEMETRY,
    APP_LOAD,
    LOCATION,
    SESSION,
    TWIN,
    ESTATE,
    APP,
    POLICY,
    REQUEST,
    INVENTORY,
    INVENTORY_NODE,
    INVENTORY_TERMINAL,
    STEERING,
    DECISION_SCALING,
    DECISION_MIGRATION,
    DECISION_OFFLOAD,
    DECISION_HEALTH,
    COMMAND_SCALING,
    COMMAND_MIGRATION,
    COMMAND_OFFLOAD,
    STATUS,
    DEAD_LETTER,
    JOURNAL,
)


NODE_PARTS: Final = Topic(
    name="edge.node.parts.v1",
    key="siteId",
    keyspace=Keyspace.SITE,
    types=("node.parts.v1",),
    writers="normaliser",
    readers="site",
    retention_ms=6 * HOUR_MS,
)
RAW: Final = {
    **{name: raw(name, Keyspace.SITE) for name in ("otlp", "telegraf", "prometheus", "metricbeat")},
    **{name: raw(name, Keyspace.TERMINAL) for name in ("mec", "camara")},
}
"""Raw topics by dialect: they exist where the settings enable them (`kafka.dialects`)."""
OPTIONAL: Final = (*RAW.values(), NODE_PARTS)
BY_NAME: Final = {topic.name: topic for topic in (*CATALOGUE, *OPTIONAL)}
COMMANDS: Final = {
    "scaling": COMMAND_SCALING,
    "migration": COMMAND_MIGRATION,
    "offload": COMMAND_OFFLOAD,
}
DECISIONS: Final = {
    "scaling": DECISION_SCALING,
    "migration": DECISION_MIGRATION,
    "offload": DECISION_OFFLOAD,
    "health": DECISION_HEALTH,
}
INPUTS: Final = tuple(topic for topic in CATALOGUE if topic.keyspace is not None or topic.shared)


@cache
def enabled(dialects: tuple[str, ...]) -> tuple[Topic, ...]:
    """The optional topics of a cluster that reads these dialects: none without any."""
    raw = [RAW[name] for name in RAW if name in dialects]
    return (*raw, NODE_PARTS) if any(topic.keyspace is Keyspace.SITE for topic in raw) else tuple(raw)


@cache
def inputs(dialects: tuple[str, ...]) -> tuple[Topic, ...]:
    """All inputs of a cluster that reads these dialects."""
    return (*INPUTS, *enabled(dialects))


VIEWS: Final = tuple(topic for topic in CATALOGUE if topic.view)
