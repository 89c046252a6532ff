"""The report for people: one table per section, then the figures that have a bar."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from edgeweir.bench.results import Report, Row


def show(report: Report, console: Console) -> None:
    """Print it."""
    for section in dict.fromkeys(row.section for row in report.rows):
        rows = [row for row in report.rows if row.section == section]
        console.print(_section(section, rows))
        for row in rows:
            if row.note:
                console.print(f"  {row.name}: {row.note}", style="dim", highlight=False)
    if report.ratios:
        console.print(_ratios(report))
    console.print("  ".join(f"{name} {value}" for name, value in report.machine.items()), style="dim")


def _section(section: str, rows: list[Row]) -> Table:
    table = Table(title=section, title_justify="left")
    for name, side in (("", "left"), ("median", "right"), ("least - greatest", "right"), ("unit", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]  # rich names the two words as a Literal
    table.add_column("us/event", justify="right")
    table.add_column("rounds", justify="right")
    table.columns[0].no_wrap = True
    for row in rows:
        cpu = "" if row.cpu_us is None else f"{row.cpu_us:.2f}"
        if row.value is None:
            table.add_row(row.name, "-", "", row.unit)
        else:
            spread = f"{number(row.low)} - {number(row.high)}"
            table.add_row(row.name, number(row.value), spread, row.unit, cpu, str(row.rounds))
    return table


def _ratios(report: Report) -> Table:
    table = Table(title="ratios: medians of the ratios within each round", title_justify="left", min_width=56)
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in report.ratios.items():
        table.add_row(name, f"{value:.2f}")
    return table


def number(value: float) -> str:
    """As many digits as are worth reading."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004  # three digits either way
