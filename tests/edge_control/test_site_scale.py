"""From load to order to effect at one site, as transcripts (PROCEDURES 4)."""

from __future__ import annotations

from schemas.commands import Command
from schemas.decisions import Decision, Outcome, Reason
from tests.edge_control.site_world import SiteWorld, app, bodies, held, scalings


def test_a_hot_app_scales_out_once_and_counts_what_it_ordered() -> None:
    site = SiteWorld(app())
    site.batch()
    first = site.load(400)
    assert scalings(first) == [("ScaleOut", 4)]
    site.wait(1_000)
    second = site.load(400)
    assert scalings(second) == []


def test_an_order_that_succeeded_is_observed_and_judged_effective() -> None:
    site = SiteWorld(app())
    site.batch()
    ordered = site.load(150)
    (command,) = bodies(ordered, Command)
    (decision,) = bodies(ordered, Decision)
    assert (decision.reason, decision.final, command.decision_id) == (Reason.WAKE, 2, decision.decision_id)
    site.wait(1_500)
    done = site.answer(command)
    assert site.row().observed == 2
    (outcome,) = [d for d in bodies(done, Decision) if d.outcome]
    assert (outcome.decision_id, outcome.outcome, outcome.measured) == (decision.decision_id, Outcome.EFFECTIVE, 2)
    assert site.row().startups_ms == [1_500]
    assert "already-right" in held(done)
