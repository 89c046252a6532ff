"""`edgeweir bench`: what this system does per second, in how many milliseconds, beside its contenders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeweir.bench.options import QUICK_EVENTS, QUICK_ONLY, QUICK_SECTIONS, Options, Section

if TYPE_CHECKING:
    from edgeweir.bench.results import Report


def bench(
    sections: Annotated[list[Section] | None, typer.Argument(help="What is measured; default everything.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Contenders of the throughput by name or pattern: 'aiokafka-*'; repeat it.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=99, help="Rounds; a figure is their median.")] = 5,
    events: Annotated[int | None, typer.Option(min=1_000, max=5_000_000, help="Records per round.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write PNG files into this folder (extra `bench`).")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Under a minute: the main contenders, one latency.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Measure on a Kafka of its own, everybody on the same messages, cores and broker; nothing is left behind.

    Examples: edgeweir bench --quick --json
              edgeweir bench throughput --only edgeweir --only 'aiokafka-*' --rounds 7
              edgeweir bench latency --plot plots
    """
    from edgeweir.bench.run import run  # help must be quick
    from edgeweir.dev.places import Places  # as above

    options = Options(
        sections=tuple(sections or (QUICK_SECTIONS if quick else Section)),
        quick=quick,
        rounds=rounds,
        events=events or (QUICK_EVENTS if quick else Options().events),
        only=tuple(only or (QUICK_ONLY if quick else ())),
    )
    if plot is not None:
        from edgeweir.bench.plots import prepare  # as above

        prepare(plot)
    report = run(options, Places.from_environ(os.environ))
    if plot is not None:
        from edgeweir.bench.plots import draw  # as above

        draw(report, plot)
    _show(report, as_json=as_json)


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        from edgeweir.cli.shown import print_json  # help must be quick

        print_json(report)
        return
    from rich.console import Console  # as above

    from edgeweir.bench.table import show  # as above

    show(report, Console())
