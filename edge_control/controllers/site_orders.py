"""Brings what runs to what is wanted: orders, what executors answer, and what a hello shows (PROCEDURES 4).

Only an executor ends an order. A deadline ends our patience: the same number is ordered again as a new generation,
and the old order keeps its room until it is known to be over.
"""

from __future__ import annotations

from typing import Final

from edge_control.controllers import outputs, site_decide
from edge_control.controllers.site_decide import Grounds, Standing
from edge_control.controllers.site_rows import AppRow, Order
from edge_control.controllers.site_turn import Turn
from schemas.apps import AppSpec
from schemas.commands import Action, Command, CommandKind, Evidence, Fence, ScaleParams, Target
from schemas.decisions import PolicyRef, Reason, Resource, Verdict
from schemas.requests import Placed
from topics.catalogue import Keyspace

_MIN_PATIENCE_MS: Final = 5_000
_MAX_PATIENCE_MS: Final = 60_000
_RETRY_MS: Final = 5_000
_MOST_DOUBLINGS: Final = 4
_MOST_ORDERS: Final = 16
_ENOUGH_SAMPLES: Final = 3
_P90_PERMILLE: Final = 900
_CLOSING = (Verdict.SCALE_IN, Verdict.RELEASE)


def startup_ms(row: AppRow, spec: AppSpec) -> int:
    """Measured p90 from order to answering replicas; the spec's hint until three starts were seen."""
    samples = sorted(row.startups_ms)
    if len(samples) < _ENOUGH_SAMPLES:
        return max([spec.startup_ms_hint, *samples])
    return samples[-(-len(samples) * _P90_PERMILLE // 1000) - 1]


def order(turn: Turn, row: AppRow, spec: AppSpec, grounds: Grounds, before: int) -> None:
    """Order all replicas that are wanted now, as a new generation, and write down why."""
    row.generation += 1
    row.ordered = row.wanted
    by_ms = turn.now_ms + _patience_ms(row, spec, closing=grounds.verdict in _CLOSING)
    command_id = turn.new_id("command", row.key, row.generation)
    decision_id = site_decide.act(turn, row, grounds, command_id, before=before, by_ms=by_ms)
    body = Command(
        command_id=command_id,
        kind=CommandKind.SCALING,
        action=Action.SCALE_IN if grounds.verdict in _CLOSING else Action.SCALE_OUT,
        resource=Resource(type="replicas", id=row.key),
        target=Target(site_id=row.site_id),
        reply_key=row.site_id,
        reply_keyspace=Keyspace.SITE,
        params=_params(turn, row, spec),
        generation=row.generation,
        fence=Fence(owner=f"{Keyspace.SITE}/{turn.partition}", revision=row.generation),
        issued_at_ms=turn.now_ms,
        decision_id=decision_id,
        start_by_ms=by_ms,
        complete_by_ms=by_ms,
        reason=Evidence(code=grounds.reason, policy=grounds.policy.id),
    )
    turn.outputs.append(outputs.command(body))
    row.orders.append(
        Order(
            generation=row.generation,
            replicas=row.wanted,
            command_id=command_id,
            issued_ms=turn.now_ms,
            deadline_ms=by_ms,
            spec_version=spec.version,
        )
    )
    turn.books.scalings[command_id] = row.key
    _bound(turn, row)


def converge(turn: Turn, row: AppRow, spec: AppSpec, standing: Standing, ref: PolicyRef) -> int:
    """Order anew when what runs, or was ordered last, is not what is wanted; when to look again, 0 if on an event."""
    newest = row.orders[-1] if row.orders else None
    if newest is not None and newest.replicas == row.wanted and turn.now_ms < newest.deadline_ms:
        return 0
    rolled = row.spec_version == spec.version or row.wanted == 0
    if newest is None and row.observed == row.wanted and rolled:
        return 0
    if row.ordered == row.wanted and turn.now_ms < row.retry_ms:
        return 0
    if turn.books.sites[row.site_id].dead_ms:
        return site_decide.hold(turn, row, Reason.SITE_DEAD)
    verdict, reason = _why(turn, row, newest)
    ruling = site_decide.rule(turn, row, verdict, row.wanted, standing)
    grounds = Grounds(verdict=verdict, reason=reason, raw=row.wanted, final=row.wanted, policy=ref, gates=ruling.notes)
    if not ruling.allowed:
        site_decide.hold(turn, row, ruling.reason or reason, grounds)
        return turn.now_ms + _RETRY_MS
    if newest is not None and newest.replicas == row.wanted:
        row.failures += 1
    order(turn, row, spec, grounds, row.observed)
    return 0


def due(row: AppRow) -> list[int]:
    """When orders or retries of an app are to be looked at."""
    times = [row.retry_ms, row.expectation.by_ms if row.expectation else 0]
    return times + ([row.orders[-1].deadline_ms] if row.orders else [])


def answer_asks(turn: Turn, row: AppRow) -> None:
    """Tell the app controller how many of the replicas it asked for answer, as they become ready."""
    ready = row.ready_for_others
    for ask in row.asks:
        if ready > ask.told or ready >= ask.replicas:
            ask.told = ready
            body = Placed(
                request_id=ask.request_id,
                granted=True,
                site_id=row.site_id,
                app_id=row.app_id,
                ready=ready,
                endpoints=row.endpoints,
            )
            turn.tell(
                Keyspace(ask.reply_keyspace),
                ask.reply_key,
                body,
                ask.request_id,
                correlation_id=ask.request_id,
            )
    row.asks = [ask for ask in row.asks if ask.told < ask.replicas]


def _why(turn: Turn, row: AppRow, newest: Order | None) -> tuple[Verdict, Reason]:
    if row.ordered != row.wanted:
        grows = row.wanted > row.ordered
        return (Verdict.PLACE, Reason.PLACED) if grows else (Verdict.RELEASE, Reason.RELIEF)
    if newest is not None:
        grows = row.wanted >= row.observed
        return (Verdict.SCALE_OUT if grows else Verdict.SCALE_IN), Reason.EXPIRED
    if row.observed < row.wanted:
        totals = turn.books.sites[row.site_id].totals
        lost = any(node.lost for node in turn.books.nodes_of(row.site_id)) or totals.admitted > totals.reporting
        return Verdict.SCALE_OUT, Reason.NODE_LOST if lost else Reason.REPLICA_LOST
    if row.observed > row.wanted:
        return Verdict.SCALE_IN, Reason.DEMAND_DOWN
    return Verdict.SCALE_OUT, Reason.SPEC_CHANGED


def _params(turn: Turn, row: AppRow, spec: AppSpec) -> ScaleParams:
    avoid = [node.node_id for node in turn.books.nodes_of(row.site_id) if node.lost or node.cordoned]
    return ScaleParams(
        app_id=row.app_id,
        replicas=row.wanted,
        spec_version=spec.version,
        image=spec.image,
        per_replica=spec.per_replica,
        stateful=spec.stateful,
        drain_ms=spec.drain_ms,
        avoid_nodes=tuple(avoid),
    )


def _patience_ms(row: AppRow, spec: AppSpec, *, closing: bool) -> int:
    usual = max(_MIN_PATIENCE_MS, 2 * startup_ms(row, spec)) + (spec.drain_ms if closing else 0)
    return min(max(usual, _MAX_PATIENCE_MS), usual << min(row.failures, _MOST_DOUBLINGS))


def _bound(turn: Turn, row: AppRow) -> None:
    """Forget the oldest orders beyond a number; the largest is kept, so the room they hold stays the same."""
    while len(row.orders) > _MOST_ORDERS:
        largest = max(row.orders, key=lambda order: order.replicas)
        gone = row.orders.pop(1 if row.orders[0] is largest else 0)
        turn.books.scalings.pop(gone.command_id, None)
