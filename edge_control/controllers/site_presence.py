"""Replicas that the site's nodes listed and no longer list are lost, though no node is: a replica may crash alone.

Counted only where the nodes list replicas at all: the full number must have been listed once since the last order was
carried out, every admitted node must have spoken, and it must be short in as many batches as make a node suspect.
"""

from __future__ import annotations

from edge_control.controllers.site_rows import AppRow, SiteRow
from edge_control.controllers.site_turn import Turn
from schemas.policy import FailoverPolicy


def compare(turn: Turn, site: SiteRow) -> None:
    """Compare what answers with what the nodes list, after a batch; orders in flight are left to the executor."""
    alive = [node for node in turn.books.nodes_of(site.site_id) if node.admitted and not node.lost]
    if any(node.missed for node in alive):
        return
    limit = turn.view.policies.of(FailoverPolicy, turn.scope(site.site_id)).node_silent_intervals
    for app in turn.books.apps_of(site.site_id):
        listed = sum(node.apps[app.app_id].ready for node in alive if app.app_id in node.apps)
        if not app.orders and _follow(app, listed, limit):
            turn.put_app(app)


def _follow(app: AppRow, listed: int, limit: int) -> bool:
    """Whether the row changed: the whole number was seen, it is short once more, or short for long enough."""
    if listed >= app.observed:
        changed = app.listed != app.observed or app.short > 0
        app.listed, app.short = app.observed, 0
        return changed
    if app.listed != app.observed:
        return False
    app.short += 1
    if app.short >= limit:
        app.observed, app.listed, app.short = listed, listed, 0
    return True
