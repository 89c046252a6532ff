"""What must hold of a site controller's tables after every event (invariants I1, I7 and the indexes)."""

from __future__ import annotations

from typing import Final

from edge_control.controllers.site_rows import AppRow
from edge_control.controllers.site_turn import Books
from edge_control.inventory.amounts import covers

_WHOLE: Final = 1000


def validate(books: Books) -> None:
    """Assert it; a broken one is our bug."""
    books.ledger.validate()
    for key, row in books.apps.items():
        _check_app(books, key, row)
    for key, route in books.routes.items():
        assert key == route.key, f"route {key} is kept under another name"
        assert route.applied <= route.generation, f"{key}: an answer to what was never said"
        assert sum(share.permille for share in route.sent) <= _WHOLE, f"{key}: more than all traffic sent away"
        assert all(books.shifts[shift.command_id] == key for shift in route.open), f"{key}: a lost command"
    for site_id, site in books.sites.items():
        assert site.totals.reporting <= site.totals.admitted, f"{site_id}: more nodes report than there are"
        assert covers(site.totals.capacity, site.totals.allocatable), f"{site_id}: more allocatable than there is"
        for room in site.published.rooms if site.published else ():
            promised = room.used + room.reserved
            assert promised + room.free == max(promised, room.allocatable), f"{site_id}: {room.resource} leaks"
    for key, parts in books.parts.items():
        assert key == parts.key, f"parts of {key} are kept under another name"
        assert parts.told_ms <= parts.heard_ms, f"{key}: told of a moment that was not heard of"
    _check_indexes(books)


def _check_app(books: Books, key: str, row: AppRow) -> None:
    assert key == row.key, f"{key} is kept under another name"
    assert min(row.own, row.placed, row.observed) >= 0, f"{key}: less than nothing"
    generations = [order.generation for order in row.orders]
    assert generations == sorted(set(generations)), f"{key}: generations do not grow"
    assert not generations or generations[-1] <= row.generation, f"{key}: an order newer than the newest"
    assert row.applied <= row.generation, f"{key}: more applied than ordered"
    assert all(books.scalings[order.command_id] == key for order in row.orders), f"{key}: a lost order"
    peaks = [peak for _, peak in row.memory.peaks]
    assert peaks == sorted(peaks, reverse=True), f"{key}: peaks do not fall"


def _check_indexes(books: Books) -> None:
    pairs = ((books.nodes, books.nodes_at), (books.apps, books.apps_at), (books.routes, books.routes_at))
    for table, index in pairs:
        indexed = [key for keys in index.values() for key in keys]
        assert sorted(indexed) == sorted(table), f"the index of {table.name} drifted"
    open_orders = {order.command_id for _, row in books.apps.items() for order in row.orders}
    assert open_orders == set(books.scalings), "orders in flight drifted"
    open_shifts = {shift.command_id for _, route in books.routes.items() for shift in route.open}
    assert open_shifts == set(books.shifts), "shifts in flight drifted"
