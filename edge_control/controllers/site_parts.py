"""What foreign collectors tell of a site's nodes piece by piece.

A whole sample is said on the telemetry topic, as a gateway would say it, and comes back to the site from there: users
see one kind of telemetry, whoever measured it.
"""

from __future__ import annotations

from edge_control.controllers.outputs import Output
from edge_control.controllers.site_turn import Turn
from edge_control.inventory import parts
from edge_control.inventory.parts import PartsRow
from schemas.parts import NodeParts
from schemas.telemetry import NodeTelemetry
from topics import catalogue as cat


def take_parts(turn: Turn, told: NodeParts) -> None:
    """Keep every part; say each sample that is whole now."""
    for part in told.parts:
        row = turn.books.parts.get(f"{told.site_id}/{part.node_id}")
        if row is None:
            row = PartsRow(site_id=told.site_id, node_id=part.node_id)
        # A time from the future counts as now: who set their clock back must not be unheard until then.
        parts.take(row, part, min(part.observed_at_ms, turn.now_ms))
        sample = parts.sample_of(row, part.time_source)
        turn.books.parts[row.key] = row
        turn.books.remind("parts", row.key, row.forget_at_ms)
        if sample is not None:
            turn.outputs.append(_said(turn, sample))


def _said(turn: Turn, sample: NodeTelemetry) -> Output:
    return Output(
        topic=cat.NODE_TELEMETRY,
        key=sample.site_id,
        event_id=turn.new_id("node.telemetry", f"{sample.node_id}/{sample.observed_at_ms}"),
        body=sample,
        subject=sample.node_id,
    )
