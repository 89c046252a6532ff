"""The shares of an ingress's traffic that others take: one wanted state per ingress, made from all its hires.

Every message says all shares. It is sent when they change by enough, renewed before they lapse, and said again until
the ingress has applied it; so a lost message or reply heals by itself.
"""

from __future__ import annotations

from typing import Final

from edge_control.controllers import outputs as out
from edge_control.controllers.app_books import Turn, where
from edge_control.controllers.app_rows import HireRow, IngressRow, at
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import State
from edge_control.policies.offload import Bearer, is_worth_telling, shares
from schemas.apps import AppSpec
from schemas.commands import Share
from schemas.inventory import Health, SpillAtSite
from schemas.policy import OffloadPolicy
from schemas.requests import Spill, Spilled
from topics.catalogue import Keyspace

SPILL_STEP: Final = 3
_ASK_AGAIN_MS: Final = 5_000
LAPSE_SKEW_MS: Final = 2_000
"""After the end of a rule, until nothing counts on it any more (PROCEDURES 5)."""


def wanted_shares(turn: Turn, row: IngressRow) -> tuple[Share, ...]:
    """What the hires of an ingress should take now; a host that is not well takes nothing."""
    drained = turn.drained(row.app_id)
    hires = turn.books.hires_for(row.app_id, row.site_id)
    bearers = [_bearer(turn, hire, drained) for hire in hires if _is_carrying(hire)]
    return shares(row.permille, row.missing, bearers)


def tell(turn: Turn, row: IngressRow, spec: AppSpec, request_id: str) -> list[Output]:
    """Say all shares to the ingress's site, and remember what was said and until when it counts."""
    policy = policy_of(turn, spec, row.site_id)
    wanted = wanted_shares(turn, row)
    if wanted != row.shares:
        row.changed_at_ms = turn.now_ms
    row.shares, row.request_id, row.spilled = wanted, request_id, False
    row.sent_at_ms, row.until_ms = turn.now_ms, turn.now_ms + policy.spill_ttl_ms
    row.held_until_ms = {**row.held_until_ms, **{share.site_id: row.until_ms for share in wanted}}
    turn.books.ingresses[at(row.app_id, row.site_id)] = row
    body = Spill(
        request_id=request_id,
        reply_key=row.app_id,
        reply_keyspace=str(Keyspace.APP),
        expires_at_ms=row.until_ms,
        site_id=row.site_id,
        app_id=row.app_id,
        shares=wanted,
        until_ms=row.until_ms,
    )
    return [out.message(Keyspace.SITE, row.site_id, request_id, body, correlation_id=request_id)]


def keep_telling(turn: Turn, row: IngressRow, spec: AppSpec) -> tuple[str, ...]:
    """Change, renew or repeat the shares of an ingress if it is time to; gives the hosts that lost theirs to health."""
    if not row.request_id or turn.view.health_of(row.site_id) in (Health.SUSPECT, Health.DEAD):
        return ()
    policy, before = policy_of(turn, spec, row.site_id), row.shares
    changed = is_worth_telling(before, wanted_shares(turn, row), turn.now_ms - row.changed_at_ms, policy)
    silent_ms = turn.now_ms - row.sent_at_ms
    renew = bool(before) and silent_ms >= policy.spill_renew_ms
    again = bool(before) and not row.spilled and silent_ms >= _ASK_AGAIN_MS
    if not (changed or renew or again):
        return ()
    turn.say(tell(turn, row, spec, turn.new_id("spill", at(row.app_id, row.site_id))))
    kept, drained = {share.site_id for share in row.shares}, turn.drained(row.app_id)
    gone = (share.site_id for share in before if share.site_id not in kept)
    return tuple(host for host in gone if is_sick(turn, host, drained))


def note_spilled(turn: Turn, row: IngressRow, reply: Spilled) -> bool:
    """Whether the reply is to the last shares said; then only the hosts in them may still get traffic."""
    if reply.request_id != row.request_id or not reply.granted:
        return False
    row.spilled = True
    row.held_until_ms = {share.site_id: row.until_ms for share in row.shares}
    turn.books.ingresses[at(row.app_id, row.site_id)] = row
    return True


def has_lapsed(row: IngressRow, host: str, now_ms: int) -> bool:
    """Whether no rule for the host can be in force at the ingress any more."""
    return now_ms >= row.held_until_ms.get(host, 0) + LAPSE_SKEW_MS


def published(row: IngressRow) -> list[SpillAtSite]:
    """The shares of an ingress as the app's public row shows them."""
    return [
        SpillAtSite(app_id=row.app_id, to_site=share.site_id, permille=share.permille, until_ms=row.until_ms)
        for share in row.shares
    ]


def policy_of(turn: Turn, spec: AppSpec, site_id: str) -> OffloadPolicy:
    """The offload policy at an ingress."""
    return turn.view.policies.of(OffloadPolicy, where(spec, site_id, turn.view))


def is_sick(turn: Turn, host: str, drained: dict[str, None]) -> bool:
    """Whether no traffic may go to the host: drained by its region, suspect or dead."""
    return host in drained or turn.view.health_of(host) in (Health.SUSPECT, Health.DEAD)


def _is_carrying(hire: HireRow) -> bool:
    return hire.state is State.HELD or (hire.state is State.RUN and hire.step == SPILL_STEP)


def _bearer(turn: Turn, hire: HireRow, drained: dict[str, None]) -> Bearer:
    site = turn.view.sites.get(hire.host)
    return Bearer(
        site_id=hire.host,
        endpoint=site.body.ingress_url if site else "",
        replicas=hire.replicas,
        drained=is_sick(turn, hire.host, drained),
    )
