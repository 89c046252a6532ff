"""A site takes what collectors tell of its nodes in pieces and says whole samples, the same after every takeover."""

from __future__ import annotations

from edge_control.controllers.events import Event, Tick
from edge_control.controllers.outputs import Output
from edge_control.controllers.site import SiteController
from edge_control.inventory.parts import FORGET_MS
from edge_control.inventory.view import View
from schemas.base import Message
from schemas.parts import NodePart, NodeParts, Quantity, Reading
from schemas.telemetry import NodeTelemetry
from topics import catalogue as cat

T0 = 1_700_000_000_000


class Site:
    """A site of its own partition, its clock, and all it said."""

    def __init__(self) -> None:
        self.controller = SiteController(0)
        self.view, self.offset, self.now_ms = View(), 0, T0

    def give(self, body: Message) -> list[Output]:
        """Fold one event as the engine does."""
        self.offset += 1
        cause = f"parts/0/{self.offset}"
        event = Event(body, "bay", cat.NODE_PARTS.name, 0, self.offset, cause, self.now_ms, self.now_ms)
        said = self.controller.fold(event, self.view) + self.controller.settle(self.now_ms, self.view)
        self.controller.validate()
        return said

    def tell(self, at_s: int, busy_ms: int, node_id: str = "n1") -> list[Output]:
        """A scrape of a node with four CPUs."""
        self.now_ms = max(self.now_ms, T0 + at_s * 1_000)
        readings = (
            Reading(Quantity.CPU_BUSY_TOTAL, busy_ms),
            Reading(Quantity.CPU_CAPACITY, 4_000),
            Reading(Quantity.MEM_TOTAL, 1_000),
            Reading(Quantity.MEM_USED, 300),
        )
        part = NodePart(node_id=node_id, observed_at_ms=T0 + at_s * 1_000, readings=readings)
        return self.give(NodeParts(site_id="bay", dialect="otlp", parts=(part,)))

    def take_over(self) -> None:
        """Another worker goes on from the journalled rows."""
        before, self.controller = self.controller, SiteController(0)
        for old, new in zip(before.tables, self.controller.tables, strict=True):
            for key in old:
                new.load(key, old.encoded(key))
        self.controller.rebuild()
        self.controller.validate()


def sample(said: list[Output]) -> NodeTelemetry:
    """The one sample."""
    (output,) = said
    assert output.topic is cat.NODE_TELEMETRY
    assert isinstance(output.body, NodeTelemetry)
    assert output.key == output.body.site_id == "bay"
    return output.body


def test_two_scrapes_make_one_sample_for_the_telemetry_topic() -> None:
    site = Site()
    assert site.tell(0, 0) == []
    told = sample(site.tell(10, 15_000))
    assert (told.node_id, told.cpu_used_milli, told.cpu_allocatable_milli) == ("n1", 1_500, 4_000)
    assert (told.mem_used_bytes, told.mem_allocatable_bytes) == (300, 1_000)


def test_its_own_sample_comes_back_and_makes_the_node_known() -> None:
    site = Site()
    site.tell(0, 0)
    site.give(sample(site.tell(10, 15_000)))
    assert any(output.topic is cat.INVENTORY_NODE for output in site.controller.public_rows())


def test_counters_go_on_after_a_takeover() -> None:
    kept, moved = Site(), Site()
    for site in (kept, moved):
        site.tell(0, 0)
    moved.take_over()
    assert kept.tell(10, 15_000) == moved.tell(10, 15_000)


def test_a_repeated_record_says_nothing_twice() -> None:
    site = Site()
    site.tell(0, 0)
    assert len(site.tell(10, 15_000)) == 1
    assert site.tell(10, 15_000) == []


def test_a_clock_that_ran_ahead_silences_nobody() -> None:
    site = Site()
    site.tell(0, 0)
    part = NodePart(node_id="n1", observed_at_ms=T0 + 9_000_000, readings=(Reading(Quantity.CPU_BUSY_TOTAL, 1_000),))
    site.now_ms += 5_000
    site.give(NodeParts(site_id="bay", dialect="otlp", parts=(part,)))
    assert sample(site.tell(10, 6_000)).cpu_used_milli == 1_000


def test_a_node_of_which_nothing_comes_is_forgotten_and_not_before() -> None:
    site = Site()
    site.tell(0, 0)
    site.tell(0, 0, "n2")
    site.tell(1_800, 9_000)
    site.take_over()
    assert len(site.controller.books.parts) == 2
    now_ms = T0 + FORGET_MS + 60_000
    site.controller.handle(Tick(now_ms=now_ms, partition=0), site.view)
    assert list(site.controller.books.parts) == ["bay/n1"]
    site.controller.handle(Tick(now_ms=now_ms + FORGET_MS, partition=0), site.view)
    assert not len(site.controller.books.parts)
