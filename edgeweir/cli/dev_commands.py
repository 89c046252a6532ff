"""`edgeweir dev ...`: the whole loop on this machine, from one command, and looks at a run."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgeweir.dev.places import Places

group = typer.Typer(no_args_is_help=True, help="A whole estate on this machine: real Kafka, workers, sites, a crowd.")


def _name(text: str) -> str:
    """A run's name becomes a folder's: letters, digits and hyphens."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}", text) is None:
        raise typer.BadParameter("letters, digits and hyphens, at most 40")
    return text


Name = Annotated[str, typer.Option(callback=_name, help="The run's name; one run per name at a time.")]


@group.command("up")
def start(
    scenario: Annotated[str, typer.Option(help="What is played.")] = "stadium",
    workers: Annotated[int, typer.Option(min=1, max=8, help="Stream workers.")] = 2,
    name: Name = "default",
    for_: Annotated[str | None, typer.Option("--for", help="End by itself after this: 90s, 2m.")] = None,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Judge what was expected; exit 6 if not all came true.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the run's folder with logs and Kafka's data.")] = False,
) -> None:
    """Start Kafka, workers, sites and a crowd, and show what is decided and done, until Ctrl-C.

    Example: edgeweir dev up --scenario stadium --for 120s --check
    """
    started_ms = _ms_at_start()
    from edgeweir.dev.up import Options, up  # help must be quick

    options = Options(scenario=scenario, workers=workers, name=name, for_s=_seconds(for_), check=check, keep=keep)
    code = up(options, _places(), started_ms)
    raise typer.Exit(code)


@group.command("status")
def show_status(name: Name = "default") -> None:
    """Show the processes and ports of a run that is alive.

    Example: edgeweir dev status
    """
    from edgeweir.cli.shown import print_table  # help must be quick
    from edgeweir.dev.look import status  # as above

    print_table(("what", "name", "number", "state"), status(_places(), name))


@group.command("down")
def end(name: Name = "default") -> None:
    """End a run as Ctrl-C would, and wait for it.

    Example: edgeweir dev down
    """
    from edgeweir.cli.shown import note  # help must be quick
    from edgeweir.dev.look import down  # as above

    down(_places(), name)
    note(f"run {name} has ended")


@group.command("logs")
def show_logs(
    child: Annotated[str, typer.Argument(help="A process of the run, as `dev status` names it.")],
    name: Name = "default",
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written.")] = False,
) -> None:
    """Print the log of one process of a run.

    Example: edgeweir dev logs worker-1 -f
    """
    from edgeweir.dev.look import logs  # help must be quick

    logs(_places(), name, child, follow=follow)


@group.command("fetch")
def fetch_jars(
    *, archive: Annotated[bool, typer.Option("--archive", help="Also train the class archive (13 s, once).")] = False
) -> None:
    """Fill the cache with Kafka's jars, so that later runs need no network.

    Example: edgeweir dev fetch --archive
    """
    from edgeweir.cli.shown import note  # help must be quick
    from edgeweir.dev.look import fetch  # as above

    note(fetch(_places(), archive=archive))


def _places() -> Places:
    from edgeweir.dev.places import Places  # help must be quick

    return Places.from_environ(os.environ)


def _seconds(text: str | None) -> float | None:
    """A duration as people write it: 90, 90s, 2m, 1h."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h|)", text)
    if found is None:
        raise typer.BadParameter(f"{text} is no duration: write 90s, 2m or 1h", param_hint="--for")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def _ms_at_start() -> int:
    """When this process was started, so that the interpreter's own start counts as well."""
    import psutil  # help must be quick

    return int(psutil.Process().create_time() * 1000)
