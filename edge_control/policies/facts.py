"""What the governor's gates look at: a proposal, and the facts that the view and its owner know."""

from __future__ import annotations

import msgspec

from edge_control.inventory.view import View
from schemas.decisions import Verdict
from schemas.inventory import Health
from schemas.policy import Pause

_DESTRUCTIVE = (Verdict.SCALE_IN, Verdict.EVACUATE, Verdict.RELEASE)


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to do.

    `site_id` is where it acts, `target_site` where load or state would go (empty: the same). `raw` is the wanted
    amount, `current` what is now. `voluntary` acts improve a running service and stop first when things are bad.
    """

    verdict: Verdict
    kind: str
    resource_id: str
    site_id: str
    target_site: str = ""
    app_id: str = ""
    tenant: str = ""
    region: str = ""
    raw: int = 0
    current: int = 0
    opening: bool = True
    voluntary: bool = False

    @property
    def destructive(self) -> bool:
        """Whether something that runs would stop."""
        return self.verdict in _DESTRUCTIVE


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the gates look at. A number that does not apply keeps its default, which passes.

    `in_flight`: verdict of the command in flight on the resource. `granted`: a reservation at the target is held.
    `budget_milli`: tokens in hand, in thousandths. `acts_last_hour`: starts, stops and moves of the resource.
    `moving_permille`: share of the app's capacity that is drained or moving.
    """

    pauses: tuple[str, ...] = ()
    input_age_ms: int = 0
    max_input_age_ms: int = 0
    coverage_permille: int = 1000
    min_coverage_permille: int = 0
    empty_inputs: bool = False
    in_flight: Verdict | None = None
    site_health: Health = Health.ALIVE
    target_health: Health = Health.ALIVE
    needs_grant: bool = False
    granted: bool = False
    region_sites: int = 0
    region_unhealthy: int = 0
    region_silent: bool = False
    region_cut: bool = False
    moving_permille: int = 0
    budget_milli: int = 1_000
    acts_last_hour: int = 0
    quiet_for_ms: int = 1 << 60
    fresh: bool = True


def scopes_of(proposal: Proposal) -> tuple[str, ...]:
    """The pause scopes that would cover it."""
    named = (
        ("site", proposal.site_id),
        ("site", proposal.target_site),
        ("app", proposal.app_id),
        ("tenant", proposal.tenant),
        ("region", proposal.region),
        ("kind", proposal.kind),
    )
    return ("all", *(f"{kind}/{name}" for kind, name in named if name))


def paused_by(scopes: tuple[str, ...], view: View, now_ms: int) -> tuple[Pause, ...]:
    """The pauses in force that cover any of these scopes."""
    rows = (view.pauses.get(scope) for scope in scopes)
    return tuple(row.body for row in rows if row is not None and row.body.until_ms > now_ms)


def facts_from_view(proposal: Proposal, view: View, now_ms: int) -> Facts:
    """What the view knows for the gates; the caller replaces what only it knows (`msgspec.structs.replace`)."""
    region_id = proposal.region or view.region_of(proposal.site_id)
    region = view.region_rows.get(region_id)
    sick = sum(row.health in (Health.SUSPECT, Health.DEAD) for row in region.body.sites) if region else 0
    sites = len(region.body.sites) if region else 0
    return Facts(
        pauses=tuple(pause.scope for pause in paused_by(scopes_of(proposal), view, now_ms)),
        site_health=view.health_of(proposal.site_id),
        target_health=view.health_of(proposal.target_site or proposal.site_id),
        region_sites=sites,
        region_unhealthy=sick,
        region_silent=sites > 0 and sick == sites,
        region_cut=region.body.cut if region else False,
    )
