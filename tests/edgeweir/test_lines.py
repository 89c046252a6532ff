"""How a demo is told: what acts is told once, live or emulated is always said, the policy's difference is printed."""

from __future__ import annotations

from edgeweir.dev import scenario
from edgeweir.dev.crowd_report import CrowdBook, Failure, Line
from edgeweir.dev.expect import Verdict as Judged
from edgeweir.dev.facts import Facts
from edgeweir.dev.lines import Teller, p99_ms, table
from edgeweir.dev.policy_words import differences
from edgeweir.dev.scenario import Expected
from edgeweir.dev.view import cells
from schemas.decisions import CauseRef, Decision, HealthDecision, Reason, Resource, Verdict
from schemas.inventory import AppAtSite, NodeCounts, SiteInventory, SpillAtSite


def decided(name: str, verdict: Verdict, resource: str, site: str) -> Decision:
    return Decision(
        decision_id=name,
        kind="scaling",
        verdict=verdict,
        resource=Resource(type="replicas", id=resource),
        cause=CauseRef(topic="tick", partition=0, offset=0),
        decided_at_ms=0,
        reason=Reason.DEMAND_UP,
        site_id=site,
        raw=3,
        final=3,
    )


def test_what_acts_is_told_once_and_says_in_which_world_it_is() -> None:
    facts = Facts()
    teller = Teller(facts, live=("stadium",), named=("try",))
    facts.fold(decided("d1", Verdict.SCALE_OUT, "video@stadium", "stadium"), 5)
    facts.fold(decided("d2", Verdict.SCALE_OUT, "hello@try", "try"), 6)
    facts.fold(decided("d3", Verdict.SCALE_OUT, "meters@paris-001", "paris-001"), 7)
    facts.fold(decided("d4", Verdict.HOLD, "game@stadium", "stadium"), 8)
    told = list(teller.news())
    assert [(at, sort, text.split()[:4], text.split()[-1]) for at, sort, text in told] == [
        (5, "decision", ["ScaleOut", "video@stadium", "to", "3"], "live"),
        (6, "decision", ["ScaleOut", "hello@try", "to", "3"], "emulated"),
    ]
    assert list(teller.news()) == []


def test_health_is_told_with_its_reason() -> None:
    facts = Facts()
    teller = Teller(facts, live=("hill",))
    said = HealthDecision(
        decision_id="h",
        site_id="hill",
        region_id="r",
        previous="alive",
        health="cut-off",
        decided_at_ms=0,
        reason=Reason.SITE_CUT_OFF,
    )
    facts.fold(said, 9)
    ((at_ms, sort, text),) = teller.news()
    assert (at_ms, sort, text.split()) == (
        9,
        "health",
        ["Health", "hill", "alive", "->", "cut-off", "site-cut-off", "live"],
    )


def test_a_live_site_is_one_row_of_cells() -> None:
    row = SiteInventory(
        generation=1,
        as_of_ms=0,
        site_id="stadium",
        nodes=NodeCounts(admitted=2, reporting=2),
        apps=(AppAtSite(app_id="video", desired=3, ordered=0, ready=2, demand_milli=4_200),),
        spill=(SpillAtSite(app_id="video", to_site="hill", permille=400, until_ms=0),),
    )
    found = cells(row, Facts(), "stadium", ("video", "game"))
    assert found == ["stadium", "unknown", "2/2", "2/3  4.2", "-", "video -> hill 40 %"]
    assert cells(None, Facts(), "hill", ("video",)) == ["hill", "unknown", "-", "-", "-"]


def test_the_table_says_what_is_wrong_before_what_was_seen() -> None:
    expected = Expected(id="x", say="replicas start", kind="scale", made_by_s=10, done_by_s=12)
    good = Judged(expected=expected, made_s=3.0, done_s=4.5, effect="2 replicas answer", fault="")
    bad = Judged(expected=expected, made_s=None, done_s=None, effect="", fault="never decided")
    _, first, second = table([good, bad])
    assert first.split() == ["ok", "replicas", "start", "3.0", "10", "4.5", "12", "2", "replicas", "answer"]
    assert second.split() == ["NOT", "replicas", "start", "-", "10", "-", "12", "never", "decided"]


def test_the_crowd_s_book_sums_up_its_lines() -> None:
    book = CrowdBook()
    book.take(Line(asked=10, failures=[Failure(1, "video", "hill", "503")]))
    book.take(Line(asked=20))
    assert (book.newest.asked, len(book.failures)) == (20, 1)


def test_the_policy_s_difference_names_both_values() -> None:
    (words,) = differences(scenario.load("stadium"))
    assert words.startswith("demo")
    assert "evict after 20 s not 640 s" in words
    assert "release 12 s not 300 s" in words


def test_without_effects_there_is_no_p99() -> None:
    assert p99_ms(Facts()) == 0
