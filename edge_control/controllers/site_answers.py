"""What executors answer to orders on replicas, and what their hellos show of them (PROCEDURES 4)."""

from __future__ import annotations

from typing import Final

import msgspec

from edge_control.controllers import site_reports, site_spill
from edge_control.controllers.site_rows import AppRow
from edge_control.controllers.site_turn import Turn
from schemas.base import ID_PATTERN
from schemas.statuses import CommandState, Hello, Observed, Status

_REPLICAS: Final = ("", "replicas")
_BACKOFF_MS: Final = 2_000
_MOST_BACKOFF_MS: Final = 60_000
_MOST_DOUBLINGS: Final = 5
_STARTS_KEPT: Final = 16


def take_status(turn: Turn, status: Status) -> None:
    """Follow an order to its end; an answer to what is over already only counts if it is news of a later state."""
    key = turn.books.scalings.get(status.command_id)
    row = turn.books.apps.get(key or status.resource_id)
    if row is None or not status.state.terminal:
        return
    if key is None:
        _take_late(turn, row, status)
        return
    done = next(order for order in row.orders if order.command_id == status.command_id)
    result = status.result
    read_back = result.observed if result else None
    if status.state is CommandState.SUCCEEDED:
        observed = done.replicas if read_back is None else read_back
        if observed > row.observed:
            took_ms = max(1, turn.at_ms - done.issued_ms)
            row.startups_ms = [*row.startups_ms[1 - _STARTS_KEPT :], took_ms]
        row.endpoints = result.endpoints if result else row.endpoints
        _end_through(turn, row, done.generation)
        _observe(turn, row, observed, done.generation, failed=observed != done.replicas)
        row.spec_version = done.spec_version
    elif status.state is CommandState.FAILED:
        _end_through(turn, row, done.generation)
        _observe(turn, row, row.observed if read_back is None else read_back, done.generation, failed=True)
    else:
        row.orders = [order for order in row.orders if order.command_id != status.command_id]
        turn.books.scalings.pop(status.command_id, None)
        if status.state is CommandState.REJECTED:
            _back_off(turn, row)
    turn.put_app(row)


def take_hello(turn: Turn, hello: Hello) -> None:
    """Count what an executor really runs: if its boot is newer, or it has seen our newest order; adopt what is new.

    A hello of the boot before the present one came late and says nothing.
    """
    site = turn.site(hello.site_id)
    site_reports.acknowledge(turn, site)
    if hello.boot_id == site.boot_before:
        return
    newer = hello.boot_id != site.boot_id
    if newer:
        site.boot_before, site.boot_id = site.boot_id, hello.boot_id
        turn.books.sites[site.site_id] = site
        site_spill.say_anew(turn, site.site_id)
    found = _replicas_by_app(hello)
    for app_id, there in found.items():
        if there.replicas and f"{app_id}@{site.site_id}" not in turn.books.apps:
            _adopt(turn, turn.app(app_id, site.site_id), there)
    for row in turn.books.apps_of(site.site_id):
        seen = found.get(row.app_id)
        if newer or (seen is not None and seen.generation >= max(row.generation, 1)):
            _take_found(turn, row, seen or Observed(resource_id=row.key), newer=newer)


def _replicas_by_app(hello: Hello) -> dict[str, Observed]:
    """Replicas per app; where an ingress is listed under the same name without its kind, the larger count is theirs."""
    found: dict[str, Observed] = {}
    for item in hello.observed:
        app_id, _, site_id = item.resource_id.rpartition("@")
        if ID_PATTERN.match(app_id) and site_id == hello.site_id and item.kind in _REPLICAS:
            known = found.get(app_id)
            if known is None or item.replicas > known.replicas:
                found[app_id] = item
    return found


def _adopt(turn: Turn, row: AppRow, there: Observed) -> None:
    """What ran before us is ours as it is: its number counts as recommended now, so it is released slowly."""
    row.own = there.replicas
    row.memory = msgspec.structs.replace(row.memory, peaks=((turn.now_ms, there.replicas),))
    row.ordered = there.replicas
    turn.put_app(row)


def _take_found(turn: Turn, row: AppRow, there: Observed, *, newer: bool) -> None:
    row.generation = max(row.generation, there.generation)
    _end_through(turn, row, there.generation)
    if newer:
        for order in row.orders:
            order.deadline_ms = min(order.deadline_ms, turn.now_ms)
        row.failures = 0
    row.observed, row.retry_ms = there.replicas, 0
    row.applied = max(row.applied, there.generation)
    turn.put_app(row)


def _take_late(turn: Turn, row: AppRow, status: Status) -> None:
    read_back = status.result.observed if status.result else None
    news = status.state is CommandState.SUCCEEDED and row.applied < status.observed_generation <= row.generation
    if news and read_back is not None and not row.orders:
        row.observed, row.applied = read_back, status.observed_generation
        turn.put_app(row)


def _end_through(turn: Turn, row: AppRow, generation: int) -> None:
    for order in row.orders:
        if order.generation <= generation:
            turn.books.scalings.pop(order.command_id, None)
    row.orders = [order for order in row.orders if order.generation > generation]


def _observe(turn: Turn, row: AppRow, observed: int, generation: int, *, failed: bool) -> None:
    row.observed, row.applied = observed, max(row.applied, generation)
    if failed:
        _back_off(turn, row)
    else:
        row.failures, row.retry_ms = 0, 0


def _back_off(turn: Turn, row: AppRow) -> None:
    row.retry_ms = turn.now_ms + min(_MOST_BACKOFF_MS, _BACKOFF_MS << min(row.failures, _MOST_DOUBLINGS))
    row.failures += 1
