"""When less overflows: the newest hires end once the rest has covered for long enough, so that a relief is no flap."""

from __future__ import annotations

from edge_control.controllers.app_books import Turn
from edge_control.controllers.app_drive import is_wanted, stop
from edge_control.controllers.app_hire import resource_of
from edge_control.controllers.app_ledger import decide
from edge_control.controllers.app_rows import HireRow, IngressRow, at
from edge_control.controllers.app_spill import is_sick, keep_telling, policy_of
from edge_control.policies.offload import Pick, surplus
from schemas.apps import AppSpec
from schemas.decisions import Reason, Verdict


def tend(turn: Turn, spec: AppSpec) -> None:
    """Let time pass at all ingresses of an app: end what is no longer needed, keep the shares right."""
    for row in turn.books.ingresses_with(spec.app_id):
        _relieve(turn, spec, row)
        for host in keep_telling(turn, row, spec):
            text = f"no traffic from {row.site_id} to {host}"
            decide(turn, spec, Verdict.DRAIN, resource_of(row), Reason.SITE_SUSPECT, site_id=row.site_id, text=text)


def _relieve(turn: Turn, spec: AppSpec, row: IngressRow) -> None:
    hires = _last_to_first_needed(turn, row)
    ended = surplus(row.missing, [Pick(site_id=hire.host, replicas=worth) for hire, worth in hires])
    since_ms = row.less_since_ms
    if not ended:
        row.less_since_ms = 0
    elif not since_ms:
        row.less_since_ms = turn.now_ms
    elif turn.now_ms - since_ms >= policy_of(turn, spec, row.site_id).revert_ms:
        row.less_since_ms = 0
        for place in ended:
            stop(turn, spec, hires[place][0], Reason.RELIEF)
    if row.less_since_ms != since_ms:
        turn.books.ingresses[at(row.app_id, row.site_id)] = row


def _last_to_first_needed(turn: Turn, row: IngressRow) -> list[tuple[HireRow, int]]:
    """The ingress's hires with what each is worth: oldest first, those that carry nothing last."""
    drained = turn.drained(row.app_id)
    hires = [hire for hire in turn.books.hires_for(row.app_id, row.site_id) if is_wanted(hire)]
    worth = [(hire, 0 if hire.retiring or is_sick(turn, hire.host, drained) else hire.replicas) for hire in hires]
    return sorted(worth, key=lambda pair: pair[1] == 0)
