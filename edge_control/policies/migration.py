"""Stay or move: whether a session should follow its user, and where to (DECISIONS 4).

Cost = m per move + distance x time, in kilometre-minutes. With a mobility model: the option with least cost now plus
expected value. Without: rent-or-buy, move when the excess distance paid so far reaches m (2-competitive ski rental).
A user who came back to a former zone within minutes has a higher m for a while (ping-pong).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from edge_control.inventory.atlas import Atlas, Place
from edge_control.inventory.view import View
from edge_control.policies.ranking import constraint
from schemas.apps import AppSpec
from schemas.decisions import Candidate, Reason
from schemas.inventory import Health
from schemas.location import Mobility
from schemas.policy import MigrationPolicy, MobilityModel

KM_MINUTE: Final = 1_000 * 60_000
"""One kilometre-minute in metre-milliseconds, in which excess is accumulated."""
NEVER_MS: Final = 1 << 53
_REACHABLE: Final = (Health.ALIVE, Health.UNKNOWN)
_SHOWN: Final = 8
_DEFAULT_MODEL: Final = "default"


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """One session and its user. `excess` is what it has paid since its last move, in metre-milliseconds."""

    host: str
    user_site: str
    user_zone: str
    excess: int = 0
    ping_pong: bool = False
    mobility: Mobility = Mobility.WITHOUT_CONFIRMATION
    confirmed: bool = False
    avoid: dict[str, str] = {}


class Option(msgspec.Struct, frozen=True):
    """One site that could host it, metres and round trip from the user's site; `refused_by` names what forbids it."""

    site_id: str
    distance_m: int
    rtt_us: int
    age_ms: int
    refused_by: str = ""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Where it should be hosted, and why; `due_in_ms` is when rent-or-buy would say otherwise if nothing changes."""

    target: str
    reason: Reason
    options: tuple[Option, ...] = ()
    values: dict[str, int] = {}
    excess_rate_m: int = 0
    due_in_ms: int = NEVER_MS

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The options as a decision shows them: their distance, or their value where a model gave one."""
        return tuple(_candidate(option, self.values) for option in self.options)

    def moves(self, host: str) -> bool:
        """Whether the target is another site."""
        return self.target != host


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """Over which sites one looks for a session: what is known of them, the app, its policy, the time."""

    view: View
    atlas: Atlas
    spec: AppSpec
    policy: MigrationPolicy
    now_ms: int


def survey(over: Survey, now: Situation) -> list[Option]:
    """The host, the nearest sites that could take it, and the nearest that could not, with why; nearest first."""
    options: list[Option] = []
    left, lacks_host = [_SHOWN, _SHOWN], True
    for place in over.atlas.near(over.view, now.user_site, now.host):
        age_ms, refused_by = _refusal(over, now, place)
        is_host, is_refused = place.site_id == now.host, bool(refused_by)
        if is_host or left[is_refused] > 0:
            options.append(Option(place.site_id, place.distance_m, place.rtt_us, age_ms, refused_by))
            left[is_refused] -= 1
            lacks_host = lacks_host and not is_host
        if left[False] <= 0 and not lacks_host:
            break
    return options


def _refusal(over: Survey, now: Situation, place: Place) -> tuple[int, str]:
    """How old the site's row is, and what speaks against the site; one line per filter, as a reader expects them."""
    view, spec, site_id = over.view, over.spec, place.site_id
    row = view.site_rows.get(site_id)
    age_ms = row.age_ms(over.now_ms) if row is not None else NEVER_MS
    if site_id in now.avoid:
        return age_ms, now.avoid[site_id]
    health = view.health_of(site_id)
    if health not in _REACHABLE:
        return age_ms, f"health {health}"
    if age_ms > over.policy.max_view_age_ms:
        return age_ms, "view-age"
    if why := over.atlas.refusal(view, site_id, spec, constraint):
        return age_ms, why
    if spec.max_latency_ns and place.rtt_us * 1_000 > spec.max_latency_ns:
        return age_ms, "latency"
    return age_ms, "" if over.atlas.is_ready(view, site_id, spec.app_id) else "no-replica"


def choose(
    now: Situation, options: Iterable[Option], spec: AppSpec, policy: MigrationPolicy, model: MobilityModel | None
) -> Choice:
    """Stay or move to one of the options; the reason says which rule spoke."""
    ranked = sorted(options, key=lambda option: (option.distance_m, option.site_id))
    host = next((option for option in ranked if option.site_id == now.host), None)
    good = [option for option in ranked if not option.refused_by and option.site_id != now.host]
    shown = tuple(ranked[:_SHOWN])
    if host is None or not good or now.mobility is Mobility.NOT_ALLOWED:
        return Choice(target=now.host, reason=_why_bound(now, host), options=shown)
    m = move_cost(spec, policy, ping_pong=now.ping_pong)
    values = _values(now, [host, *good], m, model) if model is not None else {}
    chosen = _by_value(now, values, shown) if now.host in values else _by_rent(now, host, good[0], m, spec, shown)
    return _await_confirmation(now, chosen)


def move_cost(spec: AppSpec, policy: MigrationPolicy, *, ping_pong: bool) -> int:
    """What one move costs now, in metre-milliseconds."""
    factor = policy.ping_pong_factor_permille if ping_pong else 1_000
    return spec.cost.move_m * KM_MINUTE * factor // 1_000


def model_for(view: View, app_id: str) -> MobilityModel | None:
    """The mobility model solved for this app, else the general one, else none."""
    seen = view.models.get(app_id) or view.models.get(_DEFAULT_MODEL)
    return seen.body if seen else None


def rescue_target(options: Iterable[Option], dead: str) -> Option | None:
    """The nearest site that could take over from a dead one."""
    good = [option for option in options if not option.refused_by and option.site_id != dead]
    return min(good, key=lambda option: (option.distance_m, option.site_id), default=None)


def _why_bound(now: Situation, host: Option | None) -> Reason:
    if host is not None and host.distance_m == 0:
        return Reason.ALREADY_RIGHT
    return Reason.MOBILITY_NOT_ALLOWED if now.mobility is Mobility.NOT_ALLOWED else Reason.NO_CANDIDATE


def _by_rent(  # noqa: PLR0917  # both sides of the bargain, the price, and what is shown of it
    now: Situation, host: Option, best: Option, m: int, spec: AppSpec, shown: tuple[Option, ...]
) -> Choice:
    rate = host.distance_m - best.distance_m
    if rate <= 0:
        return Choice(target=now.host, reason=Reason.ALREADY_RIGHT, options=shown)
    too_far = bool(spec.max_latency_ns) and host.rtt_us * 1_000 > spec.max_latency_ns
    if now.excess >= m or too_far:
        return Choice(target=best.site_id, reason=Reason.USER_MOVED, options=shown, excess_rate_m=rate)
    return Choice(
        target=now.host,
        reason=Reason.PING_PONG if now.ping_pong else Reason.STAY_CHEAPER,
        options=shown,
        excess_rate_m=rate,
        due_in_ms=-(-(m - now.excess) // rate),
    )


def _values(now: Situation, options: list[Option], m: int, model: MobilityModel) -> dict[str, int]:
    """Cost now plus expected cost later of every option that the model knows, in metre-milliseconds."""
    costs: dict[str, int] = {}
    for option in options:
        later = _later(now.user_zone, option.site_id, model)
        if later is not None:
            move = m if option.site_id != now.host else 0
            costs[option.site_id] = move + option.distance_m * model.step_ms + later * KM_MINUTE // 1_000
    return costs


def _later(zone: str, site_id: str, model: MobilityModel) -> int | None:
    """Expected cost after this step in thousandths of a kilometre-minute; None where the model is silent."""
    nexts = model.moves.get(zone, ())
    if not nexts:
        return model.values_milli.get(zone, {}).get(site_id)
    total = 0
    for move in nexts:
        value = model.values_milli.get(move.to_zone, {}).get(site_id)
        if value is None:
            return None
        total += move.permille * value
    return total // 1_000


def _by_value(now: Situation, values: dict[str, int], shown: tuple[Option, ...]) -> Choice:
    best = min(values, key=lambda site: (values[site], site != now.host, site))
    stay = Reason.PING_PONG if now.ping_pong else Reason.STAY_CHEAPER
    return Choice(target=best, reason=stay if best == now.host else Reason.USER_MOVED, options=shown, values=values)


def _await_confirmation(now: Situation, chosen: Choice) -> Choice:
    waits = now.mobility is Mobility.WITH_CONFIRMATION and not now.confirmed
    if not waits or not chosen.moves(now.host):
        return chosen
    return msgspec.structs.replace(chosen, target=now.host, reason=Reason.AWAITING_CONFIRMATION)


def _candidate(option: Option, values: dict[str, int]) -> Candidate:
    return Candidate(
        id=option.site_id,
        score=values.get(option.site_id, option.distance_m),
        parts={"distance_m": option.distance_m, "rtt_us": option.rtt_us, "age_ms": min(option.age_ms, NEVER_MS)},
        refused_by=option.refused_by,
    )
