"""A whole run: the stand, one section after the other, and the report of them all."""

from __future__ import annotations

import asyncio

from edgeweir.bench import growth, latency, recovery, throughput
from edgeweir.bench.options import Options, Section
from edgeweir.bench.results import Report, machine
from edgeweir.bench.stand import open_stand
from edgeweir.bench.steps import steps
from edgeweir.dev.places import Places

_MEASURES = {
    Section.THROUGHPUT: throughput.measure,
    Section.LATENCY: latency.measure,
    Section.RECOVERY: recovery.measure,
    Section.GROWTH: growth.measure,
}


def run(options: Options, places: Places) -> Report:
    """Measure what is asked for; DevError says what is missing on this machine, or what gave no answer."""
    return asyncio.run(_run(options, places))


async def _run(options: Options, places: Places) -> Report:
    report = Report()
    for section in options.sections:
        with steps(section) as tell:
            tell("starting Kafka")
            async with open_stand(places) as stand:
                report.machine = report.machine or machine(stand.kafka, stand.cores.told)
                report.take(await _MEASURES[section](stand, options, tell))
    return report
