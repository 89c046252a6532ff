"""What a scenario expects: each line made in time, carried out in time, seen to work, and nothing done twice.

Pure: facts and the crowd's report in, a table out. How each kind of line is judged stands in `expect_kinds`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edgeweir.dev.crowd_report import CrowdBook
from edgeweir.dev.facts import Facts, Ordered
from edgeweir.dev.scenario import Expected, Play
from schemas.statuses import CommandState


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """On what the judgement stands: what was said, what the crowd saw, and when things began (ms since the epoch).

    `zones`: zone -> its home site.
    """

    facts: Facts
    crowd: CrowdBook
    play: Play
    command_ms: int
    kickoff_ms: int
    zones: dict[str, str]

    def at_ms(self, seconds: float) -> int:
        """The moment so many seconds after the kick-off."""
        return self.kickoff_ms + round(seconds * 1000)

    def seconds(self, at_ms: int) -> float:
        """Seconds from the kick-off to that moment."""
        return (at_ms - self.kickoff_ms) / 1000

    def newest_load_ms(self) -> int:
        """When the newest load of any ingress was measured."""
        return max((loads[-1].observed_at_ms for loads in self.facts.loads.values()), default=0)

    def act_ms(self, what: str, site: str) -> int:
        """When that was done to that site; the end of the play when it never is."""
        found = (act.at_s for act in self.play.acts if act.do == what and act.site == site)
        return self.at_ms(next(found, self.play.whistle_s))


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for a line: when it was made and carried out, and its effect in words; `fault`: what is wrong."""

    made_ms: int | None = None
    done_ms: int | None = None
    effect: str = ""
    fault: str = ""
    decision_id: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table."""

    expected: Expected
    made_s: float | None
    done_s: float | None
    effect: str
    fault: str
    decision_id: str = ""

    @property
    def holds(self) -> bool:
        """Whether all of it came true in time."""
        return not self.fault


def verdict(expected: Expected, found: Found, ground: Ground) -> Verdict:
    """The line with its times, and the first thing that is wrong with it."""
    made_s = None if found.made_ms is None else round(ground.seconds(found.made_ms), 1)
    done_s = None if found.done_ms is None else round(ground.seconds(found.done_ms), 1)
    return Verdict(
        expected=expected,
        made_s=made_s,
        done_s=done_s,
        effect=found.effect,
        fault=_fault(expected, made_s, done_s, found.fault),
        decision_id=found.decision_id,
    )


def doubled(facts: Facts) -> list[str]:
    """Commands said twice at one attempt, or told done twice at different times: effects that came twice."""
    return [name for name, ordered in facts.commands.items() if _is_doubled(ordered)]


def unanswered(facts: Facts, dead_sites: Sequence[str], now_ms: int, patience_ms: int) -> list[str]:
    """Commands that no executor ever acknowledged, except to sites that died and such as are still fresh."""
    return [
        name
        for name, ordered in facts.commands.items()
        if not ordered.statuses
        and ordered.command.target.site_id not in dead_sites
        and now_ms - ordered.at_ms > patience_ms
    ]


def _fault(expected: Expected, made_s: float | None, done_s: float | None, fault: str) -> str:
    if made_s is None:
        return fault or "never decided"
    if made_s > expected.made_by_s:
        return f"decided {made_s - expected.made_by_s:.1f} s late"
    if fault:
        return fault
    if done_s is None:
        return "never carried out"
    return f"carried out {done_s - expected.done_by_s:.1f} s late" if done_s > expected.done_by_s else ""


def _is_doubled(ordered: Ordered) -> bool:
    said_twice = any(count > 1 for count in ordered.said.values())
    told = {(s.entered_at_ms, s.boot_id) for _, s in ordered.statuses if s.state is CommandState.SUCCEEDED}
    return said_twice or len(told) > 1
