"""A location feed: movements hang together, names hide addresses, everything is told once and in time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from edge_emitters.mec_feed import Leg, MecFeed, Stop, Walk, crowd, movements, terminal_name
from edge_emitters.records import Record
from schemas.location import LocationEvent, Movement, RadioEvent

SALT = b"a salt of this estate"
LEGS = (
    Leg(zone_id="stadium-z", from_ms=1_000, until_ms=5_000),
    Leg(zone_id="harbour-z", from_ms=20_000, until_ms=30_000),
    Leg(zone_id="hill-z", from_ms=40_000, until_ms=44_000),
)


def people(count: int = 50) -> list[str]:
    return [f"10.1.{number // 250}.{number % 250}" for number in range(count)]


def test_every_transfer_starts_where_the_last_movement_ended() -> None:
    at: dict[str, str] = {}
    told = list(movements(crowd(7, people(), LEGS, SALT, leaves_ms=60_000), boot_id="b"))
    for event in told:
        if isinstance(event, RadioEvent):
            assert event.src_cell == at[event.terminal_id]
            continue
        assert event.prev_ap_id == at.get(event.terminal_id, "")
        assert (event.event is Movement.ENTER) == (event.terminal_id not in at)
        if event.event is Movement.LEAVE:
            assert event.ap_id == at.pop(event.terminal_id)
        else:
            at[event.terminal_id] = event.ap_id
    assert not at, "all went home"
    assert [e.observed_at_ms for e in told] == sorted(e.observed_at_ms for e in told)


def test_a_preparation_names_the_cell_that_the_transfer_then_takes() -> None:
    prepared: dict[str, RadioEvent] = {}
    transfers = 0
    for event in movements(crowd(7, people(), LEGS, SALT), boot_id="b", lead_ms=800):
        if isinstance(event, RadioEvent):
            prepared[event.terminal_id] = event
        elif event.event is Movement.TRANSFER:
            transfers += 1
            radio = prepared.pop(event.terminal_id)
            assert (radio.trg_cells, radio.ho_status) == ((event.ap_id,), 1)
            assert event.observed_at_ms - radio.observed_at_ms == 800
    assert transfers == 100


def test_the_same_seed_gives_the_same_movements_numbered_without_a_gap_per_feed() -> None:
    one = list(movements(crowd(7, people(), LEGS, SALT), boot_id="b"))
    assert one == list(movements(crowd(7, people(), LEGS, SALT), boot_id="b"))
    assert one != list(movements(crowd(8, people(), LEGS, SALT), boot_id="b"))
    numbers = [event.sequence for event in one if isinstance(event, LocationEvent)]
    assert numbers == sorted(set(numbers))


def test_the_crowd_arrives_within_its_leg_and_not_all_at_once() -> None:
    arrivals = defaultdict(list)
    for event in movements(crowd(7, people(200), LEGS, SALT), boot_id="b"):
        if isinstance(event, LocationEvent):
            arrivals[event.zone_id].append(event.observed_at_ms)
    for leg in LEGS:
        times = arrivals[leg.zone_id]
        assert leg.from_ms <= min(times) <= max(times) <= leg.until_ms
        assert max(times) - min(times) > (leg.until_ms - leg.from_ms) * 0.8


def test_a_terminal_is_named_by_a_keyed_hash_of_its_address() -> None:
    name = terminal_name("10.1.0.7", SALT)
    assert name == terminal_name("10.1.0.7", SALT)
    assert name != terminal_name("10.1.0.7", b"another salt")
    assert name != terminal_name("10.1.0.8", SALT)
    assert "10.1.0.7" not in name


class Paper:
    """A sender that writes down what is sent, with the time of its clock."""

    def __init__(self) -> None:
        self.sent: list[Record] = []

    async def send(self, records: Sequence[Record]) -> None:
        self.sent += records

    async def stop(self) -> None:
        return


async def test_the_feed_tells_each_movement_when_its_time_has_come_and_not_before() -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()

    def clock() -> int:
        return round((loop.time() - start) * 1000) + 1_000

    walk = Walk(
        terminal_id="t-1",
        stops=(Stop(at_ms=500, zone_id="a"), Stop(at_ms=1_300, zone_id="b")),
        leaves_at_ms=1_500,
    )
    paper = Paper()
    late: list[int] = []
    feed = MecFeed(paper, source="/edge/a/mec", clock=clock)
    await feed.run(movements([walk], boot_id="b", lead_ms=200), lambda _count: late.append(clock()))
    assert [record.at_ms for record in paper.sent] == [500, 1_100, 1_300, 1_500]
    assert [record.key for record in paper.sent] == ["t-1"] * 4
    assert len({record.event_id for record in paper.sent}) == 4
    assert len(late) == 4
    assert late[1] < 1_300
    assert late[-1] >= 1_500
