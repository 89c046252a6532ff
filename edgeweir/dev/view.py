"""What a person sees while a demo runs: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from edgeweir.dev.crowd_report import CrowdBook
from edgeweir.dev.facts import Facts
from edgeweir.dev.lines import Teller, summary
from schemas.inventory import SiteInventory

if TYPE_CHECKING:
    from rich.console import RenderableType

_SUMMARY_S = 5.0
_LATEST = 14
_COLOURS = {"alive": "green", "suspect": "yellow", "cut-off": "magenta", "dead": "red"}


class View(Protocol):
    """Shows what is told; `refresh` is called a few times per second."""

    def tell(self, sort: str, text: str, at_ms: int = 0) -> None:
        """One line, now or of an earlier moment."""
        ...

    def refresh(self) -> None:
        """Show what is new in the facts."""
        ...

    def close(self) -> None:
        """Give the terminal back."""
        ...


class Watched:
    """What views show, gathered in one place."""

    def __init__(
        self,
        facts: Facts,
        crowd: CrowdBook,
        live: tuple[str, ...],
        named: tuple[str, ...],
        apps: tuple[str, ...],
    ) -> None:
        self.facts = facts
        self.crowd = crowd
        self.live = live
        self.apps = apps
        self.teller = Teller(facts, live, named)


class PlainView:
    """One line per event of the live sites, and a summary every five seconds."""

    def __init__(self, watched: Watched, started_ms: int) -> None:
        self._watched = watched
        self._started_ms = started_ms
        self._due_s = time.monotonic() + _SUMMARY_S
        self._records = 0

    def tell(self, sort: str, text: str, at_ms: int = 0) -> None:
        """One line on stdout."""
        seconds = ((at_ms or time.time_ns() // 1_000_000) - self._started_ms) / 1000
        sys.stdout.write(f"{seconds:7.1f} s  {sort:<9}  {text}\n")
        sys.stdout.flush()

    def refresh(self) -> None:
        """New lines, and the summary when it is due."""
        for at_ms, sort, text in self._watched.teller.news():
            self.tell(sort, text, at_ms)
        if time.monotonic() >= self._due_s:
            self._due_s += _SUMMARY_S
            self.tell("summary", summary(self._watched.facts, _SUMMARY_S, self._records))
            self._records = self._watched.facts.records
            self.tell("crowd", crowd_line(self._watched.crowd))

    def close(self) -> None:
        """Nothing is held."""


class LiveView:
    """A picture that is drawn anew: live sites, the emulated ones in one row, the crowd, the last lines."""

    def __init__(self, watched: Watched, started_ms: int) -> None:
        from rich.live import Live  # 110 ms: only where a person looks

        self._watched = watched
        self._started_ms = started_ms
        self._latest: deque[str] = deque(maxlen=_LATEST)
        self._live = Live(refresh_per_second=4, transient=False, get_renderable=self._picture)
        self._live.start()

    def tell(self, sort: str, text: str, at_ms: int = 0) -> None:
        """One line among the last ones."""
        seconds = ((at_ms or time.time_ns() // 1_000_000) - self._started_ms) / 1000
        self._latest.append(f"{seconds:7.1f} s  {sort:<9}  {text}")

    def refresh(self) -> None:
        """Take what is new; the picture is drawn by its own clock."""
        for at_ms, sort, text in self._watched.teller.news():
            self.tell(sort, text, at_ms)

    def close(self) -> None:
        """Leave the last picture standing."""
        self._live.stop()

    def _picture(self) -> RenderableType:
        from rich.console import Group  # as above
        from rich.text import Text

        last = Text("\n".join(self._latest), no_wrap=True, overflow="ellipsis")
        facts = self._watched.facts
        return Group(
            _sites(self._watched),
            Text(emulated_line(facts, self._watched.live)),
            Text("live      crowd: " + crowd_line(self._watched.crowd)),
            last,
            Text(summary(facts, max(1.0, (time.time_ns() // 1_000_000 - self._started_ms) / 1000), 0), style="dim"),
        )


def crowd_line(book: CrowdBook) -> str:
    """The crowd's sums in one line."""
    line = book.newest
    return (
        f"{line.asked} requests, {line.failed} failed, p95 {line.p95_ms:.0f} ms, {line.sessions} sessions, "
        f"{line.moved} moves, {line.gaps} gaps, {line.repeats} repeats"
    )


def emulated_line(facts: Facts, live: tuple[str, ...]) -> str:
    """All emulated sites in one line."""
    rows = [row for name, row in facts.sites.items() if name not in live]
    ready = sum(app.ready for row in rows for app in row.apps)
    sick = sum(facts.health[row.site_id].health != "alive" for row in rows if row.site_id in facts.health)
    return f"emulated  {len(rows)} sites, {sick} not alive, {ready} replicas"


def cells(row: SiteInventory | None, facts: Facts, site: str, apps: tuple[str, ...]) -> list[str]:
    """One live site as cells: health, nodes, then per app ready of desired, and what its ingress sends away."""
    health = str(facts.health[site].health) if site in facts.health else "unknown"
    if row is None:
        return [site, health, "-", *("-" for _ in apps), "-"]
    at = {app.app_id: app for app in row.apps}
    per_app = [f"{at[a].ready}/{at[a].desired}  {at[a].demand_milli / 1000:.1f}" if a in at else "-" for a in apps]
    spill = ", ".join(f"{s.app_id} -> {s.to_site} {s.permille / 10:.0f} %" for s in row.spill) or "-"
    return [site, health, f"{row.nodes.reporting}/{row.nodes.admitted}", *per_app, spill]


def _sites(watched: Watched) -> Any:
    from rich.table import Table  # as above

    table = Table("live site", "health", "nodes", *(f"{app}: ready/wanted demand" for app in watched.apps), "sent away")
    for site in watched.live:
        name, health, *rest = cells(watched.facts.sites.get(site), watched.facts, site, watched.apps)
        table.add_row(name, f"[{_COLOURS.get(health, 'white')}]{health}[/]", *rest)
    return table
