"""Throughput and processor time per event: everybody reads the same records in turn, round after round."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from statistics import median

import msgspec

from edgeweir.bench.contender import Order, Outcome, outcome_in
from edgeweir.bench.environments import environment
from edgeweir.bench.filling import Stretch, commit, fill
from edgeweir.bench.foreign import BARE_DURABLE, FAUST_TABLE, FOREIGN, SEES_US, Foreign
from edgeweir.bench.options import Options
from edgeweir.bench.ours import Disturbed, Ours
from edgeweir.bench.payloads import Fleet, attributes
from edgeweir.bench.results import Report, Row, not_measured, row_of
from edgeweir.bench.stand import Stand
from edgeweir.bench.steps import Tell
from edgeweir.bench.variants import BATCHES, HEADERS, OFTEN, OURS, PLAIN, SCRAPED, VARIANTS, Variant
from edgeweir.dev.errors import Missing
from schemas.telemetry import NodeTelemetry, NodeTelemetryBatch
from topics.catalogue import NODE_TELEMETRY, Keyspace

SECTION = "throughput"
BATCHES_BAR_PER_S = 300_000
_UNIT = "events/s"
_MOST_DISTURBED = 3


class Race:
    """All contenders and what they did, round by round; the first round is for warming up and is thrown away."""

    def __init__(self, stand: Stand, options: Options, tell: Tell) -> None:
        self._stand, self._options, self._tell = stand, options, tell
        self._fleet = Fleet(options.sites, options.nodes_per_site)
        self._ours: dict[str, tuple[Variant, Ours]] = {}
        self._lead: Stretch | None = None
        self.foreign = [one for one in FOREIGN if options.wants(one.name)]
        self.missing = {one.name: one.missing for one in self.foreign if one.missing}
        self._interpreters = {one.name: sys.executable for one in self.foreign}
        self.rounds: dict[str, list[Outcome]] = {}
        self.disturbed = 0

    async def run(self) -> None:
        """All rounds."""
        async with AsyncExitStack() as stack:
            await self._open(stack)
            await self._round(0)
            done = 0
            while done < self._options.rounds:
                try:
                    found = await self._round(done + self.disturbed + 1)
                except Disturbed:
                    self.disturbed += 1
                    if self.disturbed > _MOST_DISTURBED:
                        raise
                    continue
                done += 1
                for name, outcome in found.items():
                    self.rounds.setdefault(name, []).append(outcome)

    @property
    def again(self) -> str:
        """What a reader must know of rounds that were thrown away: a loss of ours would hide there."""
        return f"; {self.disturbed} rounds run again, a partition was lost in them" if self.disturbed else ""

    async def _open(self, stack: AsyncExitStack) -> None:
        self._furnish()
        wanted = [one for one in VARIANTS if one is OURS or self._options.wants(one.name)]
        contenders = len(wanted) + len(self.foreign)
        self._tell("estates and workers", steps=len(wanted) + (self._options.rounds + 1) * contenders)
        for variant in wanted:
            connect = await self._stand.found(variant.estate, self._fleet.world)
            if variant is OURS and not self._options.wants(OURS.name):
                continue  # only its topic is needed
            self._tell(f"starting {variant.name}")
            worker = await self._stand.worker(variant.estate, **variant.environ)
            ours = Ours(connect, worker, NODE_TELEMETRY, Keyspace.SITE, scrape_every_s=variant.scrape_every_s)
            self._ours[variant.name] = (variant, await stack.enter_async_context(ours))

    def _furnish(self) -> None:
        """Make the environments that contenders need; one that cannot be made counts as not installed."""
        for one in self.foreign:
            if one.packages and one.name not in self.missing:
                self._tell(f"environment of {one.name}")
                try:
                    self._interpreters[one.name] = str(environment(self._stand.places, one.packages))
                except Missing as missing:
                    self.missing[one.name] = missing.sentence

    async def _round(self, number: int) -> dict[str, Outcome]:
        """Fill, then let everybody have a turn, each time another one first."""
        stretches = {OURS.estate: await self._fill(OURS)}
        for variant, _ in self._ours.values():
            if variant.estate not in stretches:
                stretches[variant.estate] = await self._fill(variant)
        shared = stretches[OURS.estate]
        lead, self._lead = self._lead or shared, shared
        turns: list[str] = [*self._ours, *(one.name for one in self.foreign if one.name not in self.missing)]
        turns = turns[number % len(turns) :] + turns[: number % len(turns)]
        found: dict[str, Outcome] = {}
        for name in turns:
            self._tell(f"round {number} of {self._options.rounds}, {name}")
            if name in self._ours:
                variant, ours = self._ours[name]
                found[name] = await self._fold(variant, ours, stretches[variant.estate])
            elif number:
                contender = next(one for one in self.foreign if one.name == name)
                found[name] = await self._order(contender, lead, shared, number)
        return found

    async def _fill(self, variant: Variant) -> Stretch:
        connect, now_ms = self._stand.connect(variant.estate), time.time_ns() // 1_000_000
        if variant.batches:
            count = self._options.events * 2 // self._options.nodes_per_site
            payloads, kind = self._fleet.batches(count, now_ms), NodeTelemetryBatch
            return await fill(connect, NODE_TELEMETRY, payloads, partial(attributes, kind))
        headers = partial(attributes, NodeTelemetry) if variant.headers else None
        return await fill(connect, NODE_TELEMETRY, self._fleet.samples(self._options.events, now_ms), headers)

    async def _fold(self, variant: Variant, ours: Ours, stretch: Stretch) -> Outcome:
        outcome = await ours.fold(stretch)
        factor = self._options.nodes_per_site if variant.batches else 1
        return msgspec.structs.replace(outcome, events=outcome.events * factor)

    async def _order(self, contender: Foreign, lead: Stretch, stretch: Stretch, number: int) -> Outcome:
        """One process for one round; its count must be ours."""
        wanted = stretch.head(contender.most)
        lead_in = lead.tail(self._fleet.nodes)
        name = contender.name
        order = Order(
            bootstrap=self._stand.settings(OURS.estate).bootstrap,
            topic=stretch.topic,
            changelog=await self._stand.changelog(name),
            lead=lead_in.first,
            first=wanted.first,
            end=wanted.end,
            mode=contender.mode,
            group=f"{name}-{number}",
        )
        await commit(self._stand.connect(OURS.estate), order.group, wanted)
        command = contender.command(self._interpreters[name], msgspec.json.encode(order))
        child = self._stand.start_subject(name, command, SEES_US)
        outcome = outcome_in(await self._stand.finish(child), contender.name)
        assert outcome.events == wanted.count, f"{contender.name} counted {outcome.events} of {wanted.count}"
        return outcome


async def measure(stand: Stand, options: Options, tell: Tell) -> Report:
    """Run the race and tell it as rows and ratios."""
    race = Race(stand, options, tell)
    await race.run()
    report = Report(ratios=_ratios(race.rounds))
    for variant in VARIANTS:
        if variant.name in race.rounds:
            report.rows.append(_row(variant.name, variant.does + race.again, race.rounds[variant.name]))
    for contender in race.foreign:
        if contender.name in race.missing:
            report.rows.append(not_measured(SECTION, contender.name, _UNIT, race.missing[contender.name]))
        else:
            report.rows.append(_row(contender.name, contender.does, race.rounds[contender.name]))
    return report


def _row(name: str, does: str, rounds: Sequence[Outcome]) -> Row:
    return row_of(
        SECTION,
        name,
        _UNIT,
        [one.events / one.seconds for one in rounds],
        cpu_us=median(one.cpu_s / one.events * 1e6 for one in rounds),
        events=rounds[0].events,
        note=does,
    )


def _ratios(rounds: dict[str, list[Outcome]]) -> dict[str, float]:
    """Medians of the ratios within each round: what slowed down a round slowed down both."""
    pairs = {
        "durable_vs_bare_aiokafka": (OURS.name, BARE_DURABLE),
        "durable_vs_faust_table": (OURS.name, FAUST_TABLE),
        "batches_vs_single": (BATCHES.name, OURS.name),
        "headers_vs_bare_records": (HEADERS.name, OURS.name),
        "checkpoints_vs_none": (OFTEN.name, PLAIN.name),
        "scraped_vs_not": (SCRAPED.name, OURS.name),
    }
    found = {}
    for ratio, (one, other) in pairs.items():
        if one in rounds and other in rounds:
            both = list(zip(rounds[one], rounds[other], strict=True))
            found[ratio] = median(_rate(a) / _rate(b) for a, b in both)
            found[f"{ratio}_cpu"] = median(_cost(b) / _cost(a) for a, b in both)
    if BATCHES.name in rounds:
        found["batches_vs_bar"] = median(map(_rate, rounds[BATCHES.name])) / BATCHES_BAR_PER_S
        found["batches_vs_bar_cpu"] = 1 / median(map(_cost, rounds[BATCHES.name])) / BATCHES_BAR_PER_S
    return found


def _rate(outcome: Outcome) -> float:
    return outcome.events / outcome.seconds


def _cost(outcome: Outcome) -> float:
    return outcome.cpu_s / outcome.events
