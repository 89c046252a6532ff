"""How the app controller words its commands on stateful instances; fenced by each instance's revision."""

from __future__ import annotations

from typing import Final

import msgspec

from edge_control.controllers import outputs as out
from edge_control.controllers.app_books import Turn, where
from edge_control.controllers.app_instance_rows import InstanceDebt, InstanceMove, InstanceRow
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Ask
from schemas.apps import AppSpec
from schemas.commands import (
    Action,
    Command,
    CommandKind,
    Fence,
    MoveParams,
    MoveStep,
    Params,
    ProcedureRef,
    RenewParams,
    Target,
)
from schemas.decisions import Resource
from schemas.inventory import Health
from schemas.policy import GovernorPolicy, MigrationPolicy
from schemas.requests import ReleaseRoom
from topics.catalogue import Keyspace

_START_WITHIN_MS: Final = 10_000
_MODES: Final = {"start": "rescue", "rescue": "rescue", "restart": "rescue", "original": "own"}


class Care(msgspec.Struct, frozen=True, kw_only=True):
    """One instance being looked after within a turn."""

    turn: Turn
    row: InstanceRow
    spec: AppSpec

    @property
    def move(self) -> InstanceMove:
        """Its procedure; there must be one."""
        assert self.row.move is not None
        return self.row.move

    @property
    def policy(self) -> MigrationPolicy:
        """The migration policy that counts for the app."""
        return self.turn.view.policies.of(MigrationPolicy, where(self.spec, self.row.host, self.turn.view))

    @property
    def skew_ms(self) -> int:
        """How far clocks may stand apart."""
        return self.turn.view.policies.of(GovernorPolicy, where(self.spec, "", self.turn.view)).skew_ms


def is_evidenced(turn: Turn, site_id: str) -> bool:
    """Whether there is proof that nothing can run at the site (silence is none)."""
    row = turn.view.health.get(site_id)
    return row is not None and row.health is Health.DEAD and row.evidenced


def release(care: Care, site_id: str, reservation_id: str, event_id: str) -> Output:
    """Give room back."""
    body = ReleaseRoom(site_id=site_id, reservation_id=reservation_id, resource_id=care.row.instance_id)
    return out.message(Keyspace.SITE, site_id, event_id, body, correlation_id=reservation_id)


def drop(care: Care, debt: InstanceDebt) -> Output:
    """`drop` of a copy, asked again with the same id until it is answered."""
    if not debt.command_id:
        debt.revision = care.row.next_revision()
        debt.command_id = care.turn.new_id("drop", f"{care.row.instance_id}@{debt.site_id}")
    debt.attempt, debt.asked_at_ms = debt.attempt + 1, care.turn.now_ms
    params = MoveParams(step=MoveStep.DROP, app_id=care.row.app_id, source_site=debt.site_id, target_site=care.row.host)
    ask = Ask(debt.command_id, debt.attempt, care.turn.now_ms, "", "drop", "drop")
    return _command(care, ask, debt.site_id, params, Action.MIGRATE_INSTANCE, revision=debt.revision)


def renew(care: Care) -> Output:
    """`Renew`: the copy at the host may be active for another lease; it wakes what is frozen or parked there."""
    row = care.row
    row.renewal_id, row.renewed_at_ms = care.turn.new_id("renew", row.instance_id), care.turn.now_ms
    until_ms = care.turn.now_ms + care.policy.lease_ms if care.spec.exactly_once else 0
    row.note_lease(row.host, until_ms, care.turn.now_ms + _START_WITHIN_MS)
    ask = Ask(row.renewal_id, 1, care.turn.now_ms, "", "renew", "renew")
    params = RenewParams(resources=(row.instance_id,))
    return _command(
        care, ask, row.host, params, Action.RENEW, revision=row.next_revision(),
        start_by_ms=care.turn.now_ms + _START_WITHIN_MS, lease_until_ms=until_ms,
    )  # fmt: skip


def order(care: Care, ask: Ask, step: MoveStep, site_id: str, *, start_by_ms: int = 0, lease_ms: int = 0) -> Output:
    """One step as a command; asked again it has the same revision and times."""
    move = care.move
    if move.revised_for != ask.id:
        move.revised_for, move.revision = ask.id, care.row.next_revision()
    until_ms = ask.at_ms + lease_ms if lease_ms else 0
    if until_ms:
        care.row.note_lease(site_id, until_ms, until_ms)
    params = MoveParams(
        step=step,
        app_id=care.row.app_id,
        source_site=move.source if move.origin is not None else "",
        target_site=move.target,
        state=move.origin,
        mode=_MODES[move.kind],
        version=move.origin.version if move.origin else 0,
        exactly_once=care.spec.exactly_once,
        rpo_ms=move.rpo_ms,
    )
    action = Action.EVACUATE if move.kind == "rescue" else Action.MIGRATE_INSTANCE
    return _command(
        care, ask, site_id, params, action, revision=move.revision, start_by_ms=start_by_ms, lease_until_ms=until_ms
    )


def _command(
    care: Care,
    ask: Ask,
    site_id: str,
    params: Params,
    action: Action,
    *,
    revision: int,
    start_by_ms: int = 0,
    lease_until_ms: int = 0,
) -> Output:
    move = care.row.move
    body = Command(
        command_id=ask.id,
        kind=CommandKind.MIGRATION,
        action=action,
        resource=Resource(type="instance", id=care.row.instance_id),
        target=Target(site_id=site_id),
        reply_key=care.row.app_id,
        reply_keyspace=str(Keyspace.APP),
        params=params,
        generation=revision,
        fence=Fence(owner=f"{Keyspace.APP}/{care.turn.books.partition}", revision=revision),
        issued_at_ms=ask.at_ms,
        decision_id=move.decision_id if move is not None else "",
        start_by_ms=start_by_ms,
        lease_until_ms=lease_until_ms,
        attempt=ask.attempt,
        procedure=ProcedureRef(id=ask.procedure_id, step=ask.step, of=ask.kind) if ask.procedure_id else None,
    )
    return out.command(body)
