"""What the app controller remembers of stateful instances: where each lives, its newest checkpoint, what it owes."""

from __future__ import annotations

import msgspec

from edge_control.controllers.procedures import Procedure
from edge_control.inventory.tables import Row
from schemas.apps import AppSpec
from schemas.commands import StateRef


class InstanceMove(Procedure, kw_only=True):
    """One start, rescue, restart or return of an instance.

    `origin` is the state it starts from (None: empty), `rpo_ms` how old that was. `start_by_ms` and `lease_until_ms`
    are those of the last activate ordered. `in_debt`: a debt covers what the target holds.
    """

    source: str
    target: str
    decision_id: str = ""
    reservation_id: str = ""
    committed: bool = False
    origin: StateRef | None = None
    rpo_ms: int = 0
    permit_until_ms: int = 0
    start_by_ms: int = 0
    lease_until_ms: int = 0
    in_debt: bool = False
    revised_for: str = ""
    revision: int = 0


class InstanceDebt(Row, kw_only=True):
    """A copy to be dropped at a site, and the room that it takes until it is gone; asleep while the site is dead."""

    site_id: str
    reservation_id: str = ""
    asleep: bool = False
    command_id: str = ""
    asked_at_ms: int = 0
    attempt: int = 0
    revision: int = 0


class SavedState(Row, kw_only=True):
    """The newest known copy of its state that its host's death does not reach."""

    ref: StateRef
    site_id: str
    at_ms: int


class InstanceRow(Row, kw_only=True):
    """One stateful instance of an app; `host` is empty until it first ran, `gone` when its host lost it.

    `leases` is the latest lease ever sent to each site, `wakes` until when an order sent there may still wake a copy.
    `probe`: a hello did not show its copy; `Renew` asks. `refused` are sites that said no, and until when.
    `retired`: no longer wanted, it ends once all its debts are paid.
    """

    instance_id: str
    app_id: str
    host: str = ""
    room_id: str = ""
    gone: bool = False
    probe: bool = False
    retired: bool = False
    revision: int = 0
    leases: dict[str, int] = msgspec.field(default_factory=dict)
    wakes: dict[str, int] = msgspec.field(default_factory=dict)
    renewal_id: str = ""
    renewed_at_ms: int = 0
    saved: SavedState | None = None
    debts: list[InstanceDebt] = msgspec.field(default_factory=list)
    move: InstanceMove | None = None
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    tried_at_ms: int = 0
    lots: int = 0

    @property
    def moving(self) -> InstanceMove | None:
        """The open procedure, if there is one."""
        return self.move if self.move is not None and self.move.state.open else None

    def note_lease(self, site_id: str, until_ms: int, wakes_until_ms: int) -> None:
        """An order was sent that lets a copy there be active until then, if it is seen in time."""
        self.leases[site_id] = max(until_ms, self.leases.get(site_id, 0))
        self.wakes[site_id] = max(wakes_until_ms, self.wakes.get(site_id, 0))

    def next_revision(self) -> int:
        """The next number that fences a command; it only grows."""
        self.revision += 1
        return self.revision


def has_instances(spec: AppSpec) -> bool:
    """Whether the app's replicas are instances with a state of their own."""
    return spec.keeps_instances
