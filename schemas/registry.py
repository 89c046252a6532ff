"""Which type name stands for which message, both ways; nothing else spells a CloudEvents type."""

from __future__ import annotations

from typing import Final

from . import (
    apps,
    commands,
    decisions,
    estate,
    inventory,
    location,
    parts,
    policy,
    requests,
    statuses,
    telemetry,
)
from .base import Message

PREFIX: Final = "io.edgeweir."

TYPES: Final[dict[str, type[Message]]] = {
    "node.telemetry.v1": telemetry.NodeTelemetry,
    "node.telemetry-batch.v1": telemetry.NodeTelemetryBatch,
    "node.lifecycle.v1": telemetry.NodeLifecycle,
    "node.parts.v1": parts.NodeParts,
    "app.load.v1": telemetry.AppLoad,
    "mec.location.v1": location.LocationEvent,
    "mec.radio.v1": location.RadioEvent,
    "session.event.v1": location.SessionEvent,
    "twin.reported.v1": location.TwinReported,
    "twin.desired.v1": location.TwinDesired,
    "estate.region.v1": estate.Region,
    "estate.site.v1": estate.Site,
    "estate.zone.v1": estate.Zone,
    "estate.ap.v1": estate.AccessPoint,
    "estate.link.v1": estate.Link,
    "estate.node.v1": estate.Node,
    "estate.tenant.v1": estate.Tenant,
    "app.spec.v1": apps.AppSpec,
    "policy.v1": policy.Policy,
    "model.v1": policy.MobilityModel,
    "pause.v1": policy.Pause,
    "approval.v1": policy.Approval,
    "request.reserve.v1": requests.Reserve,
    "reply.reserve.v1": requests.Reserved,
    "request.commit.v1": requests.Commit,
    "reply.commit.v1": requests.Committed,
    "request.release.v1": requests.ReleaseRoom,
    "request.overflow.v1": requests.Overflow,
    "request.place.v1": requests.PlaceReplicas,
    "reply.place.v1": requests.Placed,
    "request.spill.v1": requests.Spill,
    "reply.spill.v1": requests.Spilled,
    "request.drain.v1": requests.DrainSite,
    "request.evacuate.v1": requests.EvacuateSite,
    "request.lease.v1": requests.AskLease,
    "reply.lease.v1": requests.Lease,
    "report.site.v1": requests.SiteReport,
    "report.beat.v1": requests.SiteBeat,
    "report.witness.v1": requests.Witness,
    "report.checkpoint.v1": requests.CheckpointReport,
    "inventory.site.v1": inventory.SiteInventory,
    "inventory.app.v1": inventory.AppInventory,
    "inventory.region.v1": inventory.RegionInventory,
    "inventory.node.v1": inventory.NodeInventory,
    "inventory.terminal.v1": inventory.TerminalInventory,
    "steering.v1": inventory.Steering,
    "decision.scaling.v1": decisions.Decision,
    "decision.migration.v1": decisions.Decision,
    "decision.offload.v1": decisions.Decision,
    "decision.health.v1": decisions.HealthDecision,
    "command.scaling.v1": commands.Command,
    "command.migration.v1": commands.Command,
    "command.offload.v1": commands.Command,
    "command.status.v1": statuses.Status,
    "executor.hello.v1": statuses.Hello,
}

_AMBIGUOUS: Final = (decisions.Decision, commands.Command)
NAMES: Final[dict[type[Message], str]] = {kind: name for name, kind in TYPES.items() if kind not in _AMBIGUOUS}


def type_name(body: Message) -> str:
    """The short type name of a message (`node.telemetry.v1`)."""
    if isinstance(body, commands.Command):
        return f"command.{body.kind}.v1"
    if isinstance(body, decisions.Decision):
        return f"decision.{body.kind}.v1"
    return NAMES[type(body)]


def full_type(short: str) -> str:
    """The CloudEvents type of a short name."""
    return PREFIX + short


def short_type(full: str) -> str:
    """The short name of a CloudEvents type; a foreign type is returned as it is."""
    return full.removeprefix(PREFIX)
