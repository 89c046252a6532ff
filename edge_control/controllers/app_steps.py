"""The two kinds of procedure by which an app holds replicas at a site: hired for an ingress's overflow, or placed.

| k | step | to | do | undo |
|---|---|---|---|---|
| 1 | reserve | host site | hold room | give it back, unheard |
| 2 | place | host site | the reservation becomes an order | the order without it |
| 3 | spill (hires only) | ingress site | all shares with it | all shares without it; moot once the rule has lapsed |

Orders are absolute: they say what this app holds at the host in all, so each is made when it is sent.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge_control.controllers import outputs as out
from edge_control.controllers.app_books import Turn
from edge_control.controllers.app_rows import HireRow, IngressRow, at
from edge_control.controllers.app_spill import has_lapsed, tell
from edge_control.controllers.outputs import Output
from edge_control.controllers.procedures import Ask, Kind, State, Step
from schemas.apps import AppSpec, Resources
from schemas.inventory import Health
from schemas.requests import PlaceReplicas, Purpose, ReleaseRoom, Reserve, SiteReport
from topics.catalogue import Keyspace

PLACE_STEP: Final = 2
_RESERVE_FOR_MS: Final = 30_000
_REPLY_MS: Final = 2_000
_MIN_START_MS: Final = 10_000


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One hire being moved on within a turn, under the spec that counts now."""

    turn: Turn
    hire: HireRow
    spec: AppSpec

    @property
    def ingress(self) -> IngressRow:
        """The overflow that the hire serves."""
        return self.turn.books.ingresses[at(self.hire.app_id, self.hire.ingress)]


def held_at(turn: Turn, app_id: str, host: str) -> int:
    """Replicas that the app's orders at the host come to: those placed, or whose placing is under way, in all."""
    rows = (row for row in turn.books.hires_for(app_id) if row.host == host)
    return sum(row.replicas for row in rows if _is_ordered(row))


def correct(turn: Turn, spec: AppSpec, report: SiteReport) -> None:
    """A site that holds another number for this app than it was told is told again, unless it is being told anyway."""
    hires = [hire for hire in turn.books.hires_for(spec.app_id) if hire.host == report.site_id]
    held = held_at(turn, spec.app_id, report.site_id)
    if report.placed == held or any(hire.state is not State.HELD for hire in hires):
        return
    request_id = turn.new_id("correct", at(spec.app_id, report.site_id))
    body = PlaceReplicas(
        request_id=request_id,
        reply_key=spec.app_id,
        reply_keyspace=str(Keyspace.APP),
        expires_at_ms=turn.now_ms + patience_ms(spec),
        site_id=report.site_id,
        app_id=spec.app_id,
        replicas=held,
        spec_version=spec.version,
        scale=True,
    )
    turn.ask(Keyspace.SITE, report.site_id, body, request_id)


def _is_ordered(row: HireRow) -> bool:
    if row.state is State.UNDO:
        return row.step > PLACE_STEP
    return row.state is State.HELD or (row.state is State.RUN and row.step >= PLACE_STEP)


def _reserve(act: Act, ask: Ask) -> list[Output]:
    hire = act.hire
    hire.reservation_id = ask.id
    need = act.spec.per_replica
    body = Reserve(
        request_id=ask.id,
        reply_key=hire.app_id,
        reply_keyspace=str(Keyspace.APP),
        expires_at_ms=ask.at_ms + _REPLY_MS * 3,
        site_id=hire.host,
        app_id=hire.app_id,
        resource_id=at(hire.app_id, hire.host),
        purpose=Purpose.SPILL if hire.ingress else Purpose.PLACE,
        for_ms=_RESERVE_FOR_MS,
        replicas=hire.replicas,
        resources=Resources(
            cpu_milli=need.cpu_milli, mem_bytes=need.mem_bytes, gpu_milli=need.gpu_milli, net_bps=need.net_bps
        ),
    )
    return [out.message(Keyspace.SITE, hire.host, f"{ask.id}/{ask.attempt}", body, correlation_id=ask.id)]


def _release(act: Act, ask: Ask) -> list[Output]:
    hire = act.hire
    body = ReleaseRoom(site_id=hire.host, reservation_id=hire.reservation_id, resource_id=at(hire.app_id, hire.host))
    return [out.message(Keyspace.SITE, hire.host, f"{ask.id}/{ask.attempt}", body, correlation_id=ask.id)]


def _order(act: Act, ask: Ask, *, scale: bool) -> list[Output]:
    hire, request_id = act.hire, attempt_id(ask)
    body = PlaceReplicas(
        request_id=request_id,
        reply_key=hire.app_id,
        reply_keyspace=str(Keyspace.APP),
        expires_at_ms=act.turn.now_ms + _patience_ms(act),
        site_id=hire.host,
        app_id=hire.app_id,
        replicas=held_at(act.turn, hire.app_id, hire.host),
        spec_version=act.spec.version,
        reservation_id="" if scale else hire.reservation_id,
        scale=scale,
    )
    return [out.message(Keyspace.SITE, hire.host, request_id, body, correlation_id=ask.id)]


def _place(act: Act, ask: Ask) -> list[Output]:
    return _order(act, ask, scale=False)


def _unplace(act: Act, ask: Ask) -> list[Output]:
    return _order(act, ask, scale=True)


def _spill(act: Act, ask: Ask) -> list[Output]:
    return tell(act.turn, act.ingress, act.spec, attempt_id(ask))


def patience_ms(spec: AppSpec) -> int:
    """How long replicas may take to answer at the host before they are asked for again."""
    return max(_MIN_START_MS, 2 * spec.startup_ms_hint)


def _patience_ms(act: Act) -> int:
    return patience_ms(act.spec)


def _host_is_dead(act: Act) -> bool:
    return act.turn.view.health_of(act.hire.host) is Health.DEAD


def _is_unplace_moot(act: Act) -> bool:
    """A dead host cannot answer; its site's own row remains until evidence or hello. It was told before."""
    return bool(act.hire.asked) and _host_is_dead(act)


def _is_answer_awaited(act: Act) -> bool:
    return not _host_is_dead(act)


def _is_spill_moot(act: Act) -> bool:
    """The rule has lapsed; but the ingress was told before, because a newer rule may name the host again."""
    return bool(act.hire.asked) and has_lapsed(act.ingress, act.hire.host, act.turn.now_ms)


def _never(_act: Act) -> bool:
    return False


def attempt_id(ask: Ask) -> str:
    """The id of one attempt at an order that is made anew each time it is sent."""
    return ask.id if ask.attempt == 1 else f"{ask.id}.{ask.attempt}"


def order_id(request_id: str) -> str:
    """The id of the order that a request was an attempt at."""
    return request_id.partition(".")[0]


_RESERVE = Step[Act](name="reserve", to="host site", do=_reserve, undo=_release, tries=3, undo_waits=_never)
_PLACE = Step[Act](
    name="place", to="host site", do=_place, undo=_unplace, deadline_ms=_patience_ms, tries=2,
    moot=_is_unplace_moot, undo_waits=_is_answer_awaited, undo_deadline_ms=10_000,
)  # fmt: skip
_SPILL = Step[Act](
    name="spill", to="ingress site", do=_spill, undo=_spill, deadline_ms=5_000, tries=2, moot=_is_spill_moot,
    undo_deadline_ms=5_000,
)  # fmt: skip
HIRE: Final = Kind[Act](name="hire", steps=(_RESERVE, _PLACE, _SPILL), holds=True)
PLACE: Final = Kind[Act](name="place", steps=(_RESERVE, _PLACE), holds=True)
KINDS: Final = {kind.name: kind for kind in (HIRE, PLACE)}
