"""From event to command, at rates: one frame (a load wakes an app) and three (a user moves, room is asked, granted).

From the time the event was due at its sender to the time its command was in the hands of a consumer, one host's clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec

from edgeweir.bench.executors import Executors
from edgeweir.bench.filling import fill
from edgeweir.bench.options import Options
from edgeweir.bench.results import Report, Row, percentile, row_of
from edgeweir.bench.scene import GAME, Scene
from edgeweir.bench.stand import Stand, python
from edgeweir.bench.steps import Tell
from edgeweir.bench.subject import Worker
from edgeweir.bench.traffic import TrafficOrder, TrafficReport
from edgeweir.dev.errors import NoAnswer
from topics.catalogue import APP_LOAD, LOCATION, NODE_TELEMETRY, SESSION

SECTION = "latency"
RATES = (5_000, 10_000, 20_000, 40_000)
QUICK_RATES = (20_000,)
_ESTATE = "latency"
_APPS = 24
_WARM_S = 2.0
_WINDOWS = 5
_LOADS, _WAKES, _MOVEMENTS, _MOVES = 25, 12, 35, 10
"""Per mille of the rate; the rest are samples of single nodes."""
_GRACE_S = 3.0
_BAR_RATE = 20_000


class Waits(msgspec.Struct):
    """What was measured at one rate: (when it was due, how long it took in ms), and how many commands never came."""

    one_frame: list[tuple[float, float]]
    three_frames: list[tuple[float, float]]
    missing: int
    late_ms: float
    cpu_share: float


async def measure(stand: Stand, options: Options, tell: Tell) -> Report:
    """Measure all rates on one estate."""
    rates = QUICK_RATES if options.quick else RATES
    seconds = 6.0 if options.quick else 10.0
    tell("estate and worker", steps=2 + len(rates))
    report = Report()
    scene = Scene(options.sites, options.nodes_per_site, _APPS)
    players = sum(_share(rate, _MOVES) * seconds for rate in rates)
    async with play(stand, scene, round(players) + len(rates)) as (worker, executors):
        pair = player = 0
        for rate in rates:
            tell(f"{rate:,} events/s")
            order = TrafficOrder(
                bootstrap=stand.settings(_ESTATE).bootstrap,
                prefix=stand.settings(_ESTATE).topic_prefix,
                sites=options.sites,
                nodes_per_site=options.nodes_per_site,
                apps=_APPS,
                seconds=seconds,
                samples=rate - _share(rate, _LOADS) - _share(rate, _MOVEMENTS),
                loads=_share(rate, _LOADS),
                wakes=_share(rate, _WAKES),
                movements=_share(rate, _MOVEMENTS),
                moves=_share(rate, _MOVES),
                pair=pair,
                player=player,
            )
            waits, sent = await _at_rate(stand, worker, executors, order)
            pair, player = pair + len(sent.wakes), player + len(sent.moves)
            _note(report, rate, waits)
    return report


@asynccontextmanager
async def play(stand: Stand, scene: Scene, players: int) -> AsyncIterator[tuple[Worker, Executors]]:
    """An estate whose nodes are all known, where the game runs and players have begun their sessions."""
    connect = await stand.found(_ESTATE, scene.fleet.world, scene.documents())
    worker = await stand.worker(_ESTATE)
    async with Executors(connect) as executors:
        now_ms = time.time_ns() // 1_000_000
        await fill(connect, NODE_TELEMETRY, scene.fleet.samples(scene.fleet.nodes, now_ms))
        await worker.idle()
        await fill(connect, APP_LOAD, (scene.load(GAME, site, now_ms, 1) for site in scene.game_sites))
        await fill(connect, LOCATION, scene.arrivals(range(players)))
        await _until_served(executors, scene)
        await fill(connect, SESSION, (scene.begins(one, time.time_ns() // 1_000_000) for one in range(players)))
        await worker.idle()
        yield worker, executors
    await worker.stop()


async def _until_served(executors: Executors, scene: Scene, within_s: float = 60) -> None:
    give_up = time.monotonic() + within_s
    wanted = {f"{GAME}@{site}" for site in scene.game_sites}
    while not wanted <= executors.scaled.keys():
        if time.monotonic() > give_up:
            missing = sorted(wanted - executors.scaled.keys())
            raise NoAnswer(f"no replica of the game was ordered at {len(missing)} sites, {missing[0]} among them")
        await asyncio.sleep(0.1)


async def _at_rate(
    stand: Stand, worker: Worker, executors: Executors, order: TrafficOrder
) -> tuple[Waits, TrafficReport]:
    sender = stand.start_beside("traffic", python("edgeweir.bench.traffic", msgspec.json.encode(order).decode()))
    before_s, began_s = worker.cpu_s, time.time()
    output = await stand.finish(sender)
    busy = (worker.cpu_s - before_s) / (time.time() - began_s)
    sent = msgspec.json.decode(output.splitlines()[-1], type=TrafficReport)
    await _until_all_came(sent, executors)
    one, three = _waits(sent.wakes, executors.scaled), _waits(sent.moves, executors.prepared)
    missing = len(sent.wakes) + len(sent.moves) - len(one) - len(three)
    return Waits(one, three, missing, sent.late_ms, busy), sent


async def _until_all_came(sent: TrafficReport, executors: Executors) -> None:
    """Wait for the last commands, but not for long: one that is so late counts as missing."""
    give_up = time.monotonic() + _GRACE_S
    while time.monotonic() < give_up:
        if sent.wakes.keys() <= executors.scaled.keys() and sent.moves.keys() <= executors.prepared.keys():
            return
        await asyncio.sleep(0.1)


def _waits(due: Mapping[str, float], came: Mapping[str, float]) -> list[tuple[float, float]]:
    return [(due_s, (came[name] - due_s) * 1000) for name, due_s in due.items() if name in came]


def _note(report: Report, rate: int, waits: Waits) -> None:
    """Rows and ratios of one rate."""
    for path, pairs in (("load -> scaling", waits.one_frame), ("location -> migration", waits.three_frames)):
        for permille in (500, 900, 990):
            name = f"{path}, {rate // 1000}k/s p{permille // 10}"
            row = _row(name, pairs, permille, waits)
            report.rows.append(row)
            if rate == _BAR_RATE and row.value is not None:
                key = "one_frame" if pairs is waits.one_frame else "three_frame"
                report.ratios[f"{key}_p{permille // 10}_ms_at_20k"] = round(row.value, 2)


def _row(name: str, pairs: list[tuple[float, float]], permille: int, waits: Waits) -> Row:
    """The percentile over all but the warm-up; the spread is that of its five windows."""
    if not pairs:
        return Row(section=SECTION, name=name, unit="ms", note="no command came")
    begin = min(at for at, _ in pairs) + _WARM_S
    late = sorted(pair for pair in pairs if pair[0] >= begin) or sorted(pairs)
    size = -(-len(late) // _WINDOWS)
    windows = [late[start : start + size] for start in range(0, len(late), size)]
    each = [percentile(sorted(ms for _, ms in window), permille) for window in windows]
    note = f"{waits.missing} commands missing" if waits.missing else ""
    row = row_of(SECTION, name, "ms", each, events=len(late), note=note, cpu_us=None)
    return msgspec.structs.replace(row, value=percentile(sorted(ms for _, ms in late), permille))


def _share(rate: int, permille: int) -> int:
    return rate * permille // 1000
