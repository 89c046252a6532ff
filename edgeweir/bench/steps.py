"""What is seen while it is measured, on stderr: a bar on a terminal, a line per section elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Tell(Protocol):
    """Say what is done now; `steps` is how many of these the section will have in all, when it is known."""

    def __call__(self, what: str, steps: int = 0) -> None:
        """Say it."""


@contextmanager
def steps(section: str) -> Iterator[Tell]:
    """A bar for one section while the block runs."""
    if not sys.stderr.isatty():
        sys.stderr.write(f"bench: {section}\n")
        sys.stderr.flush()
        yield _silent
        return
    from rich.console import Console  # 110 ms: only where a person looks
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:40}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(section, total=None)

        def tell(what: str, steps: int = 0) -> None:
            progress.update(task, description=f"{section}: {what}", advance=1)
            if steps:
                progress.update(task, total=steps, completed=0)

        yield tell


def _silent(what: str, steps: int = 0) -> None:
    """Nobody looks."""
