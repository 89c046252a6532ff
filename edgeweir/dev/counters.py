"""Whether sessions' own counters go on: each answer must be one more than the last, over moves and node deaths.

A counter may go back only once its site has died (the rescue starts from a checkpoint), and may be ahead only by
requests whose answers were lost.
"""

from __future__ import annotations

import msgspec


class Counter(msgspec.Struct):
    """One session as its client sees it: the last number, answers lost since, and what was wrong."""

    last: int = 0
    lost: int = 0
    gaps: int = 0
    repeats: int = 0
    rollbacks: int = 0
    rolled_back: int = 0
    may_roll_back: bool = False
    sites: list[str] = []


def told(counter: Counter, number: int, site: str) -> None:
    """An answer came from a site with the session's number; the first one says where it stands (a run may be kept)."""
    if counter.last and number > counter.last + 1 + counter.lost:
        counter.gaps += 1
    elif number <= counter.last:
        _went_back(counter, number)
    if not counter.sites or counter.sites[-1] != site:
        counter.sites.append(site)
    counter.last, counter.lost = number, 0


def unanswered(counter: Counter, *, site_died: bool) -> None:
    """A request failed: it may have counted or not; where its site died, the state may come from a checkpoint."""
    counter.lost += 1
    counter.may_roll_back = counter.may_roll_back or site_died


def _went_back(counter: Counter, number: int) -> None:
    if not counter.may_roll_back:
        counter.repeats += 1
        return
    counter.may_roll_back = False
    counter.rollbacks += 1
    counter.rolled_back += counter.last + 1 - number
