"""The figures as PNG files, one per section (extra `bench`: matplotlib)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from edgeweir.bench.results import Report, Row
from edgeweir.dev.errors import Missing

_LOG_FROM = 30


def prepare(folder: Path) -> None:
    """Say now what would be missing at the end: Missing without matplotlib."""
    if find_spec("matplotlib") is None:
        raise Missing("plots need matplotlib: pip install 'edgeweir[bench]', or leave --plot out")
    folder.mkdir(parents=True, exist_ok=True)


def draw(report: Report, folder: Path) -> list[Path]:
    """Write one file per section and unit; the files."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in report.rows:
        if row.value is not None:
            groups.setdefault((row.section, row.unit), []).append(row)
    return [_bars(folder, section, unit, rows) for (section, unit), rows in groups.items()]


def _bars(folder: Path, section: str, unit: str, rows: list[Row]) -> Path:
    """Medians as bars, least and greatest as whiskers; a logarithmic axis where the figures lie far apart."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # only where somebody wants pictures
    from matplotlib.figure import Figure

    values = [row.value or 0.0 for row in rows]
    figure = Figure(figsize=(9, 0.9 + 0.42 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    whiskers = [
        [max(0.0, value - row.low) for value, row in zip(values, rows, strict=True)],
        [max(0.0, row.high - value) for value, row in zip(values, rows, strict=True)],
    ]
    axes.barh([row.name for row in rows], values, xerr=whiskers, color="#3b6ea8", ecolor="#888888")
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title(section)
    if min(values) > 0 and max(values) / min(values) > _LOG_FROM:
        axes.set_xscale("log")
    path = folder / f"{section}-{''.join(c if c.isalnum() else '-' for c in unit)}.png"
    figure.savefig(path, dpi=130)
    return path
