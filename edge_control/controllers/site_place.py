"""Replicas held for the app controller: a reservation becomes an order in one fold, answered as they become ready."""

from __future__ import annotations

from edge_control.controllers import site_room
from edge_control.controllers.site_rows import AppRow, Ask
from edge_control.controllers.site_turn import Turn
from schemas.requests import Placed, PlaceReplicas
from topics.catalogue import Keyspace


def place(turn: Turn, ask: PlaceReplicas) -> None:
    """Hold so many replicas for the asker, in all; more than now only with its reservation or with free room."""
    turn.site(ask.site_id)
    row = turn.app(ask.app_id, ask.site_id)
    reason = _why_refused(turn, row, ask)
    if reason:
        body = Placed(
            request_id=ask.request_id,
            granted=False,
            reason=reason,
            site_id=ask.site_id,
            app_id=ask.app_id,
            ready=row.ready_for_others,
        )
        turn.tell(Keyspace(ask.reply_keyspace), ask.reply_key, body, ask.request_id, correlation_id=ask.request_id)
        return
    if ask.reservation_id:
        site_room.drop(turn, ask.reservation_id)
    row.placed = ask.replicas
    waiting = Ask(
        request_id=ask.request_id,
        reply_key=ask.reply_key,
        reply_keyspace=ask.reply_keyspace,
        replicas=ask.replicas,
    )
    row.asks = [*(one for one in row.asks if _still_waits(one, ask)), waiting]
    turn.put_app(row)


def _still_waits(one: Ask, newer: PlaceReplicas) -> bool:
    """Orders are absolute: what asked for more is no longer wanted, and another attempt at the same order replaces it.

    The app controller names the attempts at one order `id`, `id.2`, `id.3`; an answer to one answers them all.
    """
    order, newer_order = one.request_id.partition(".")[0], newer.request_id.partition(".")[0]
    return one.replicas <= newer.replicas and order != newer_order


def _why_refused(turn: Turn, row: AppRow, ask: PlaceReplicas) -> str:
    if ask.expires_at_ms <= turn.at_ms:
        return "expired"
    more = ask.replicas - row.placed
    if more <= 0:
        return ""
    spec = turn.spec(ask.app_id)
    if spec is None:
        return "no-spec"
    closed = site_room.closed_to(turn, ask.site_id, ask.app_id)
    if closed:
        return closed
    held = turn.books.ledger.table.get(ask.reservation_id) if ask.reservation_id else None
    live = held is not None and (held.committed or turn.at_ms < held.until_ms)
    covered = held.replicas if held is not None and live and held.app_id == ask.app_id else 0
    spare = row.accounted - row.wanted
    if more <= covered + spare + site_room.fits(turn, row, site_room.unit_of(spec)):
        return ""
    return "expired" if ask.reservation_id and not live else "no-room"
