"""The `edgeweir` command. Each command imports its floor inside its function: help must be quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgeweir.cli import bench_command, dev_commands, emit_commands, faults, topics_commands

cli = typer.Typer(
    name="edgeweir",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The streaming control plane of a fused edge cloud: produce events, subscribe to decisions, look.",
)
cli.add_typer(dev_commands.group, name="dev")
cli.add_typer(emit_commands.group, name="emit")
cli.add_typer(topics_commands.group, name="topics")
cli.command("bench")(bench_command.bench)
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


def app() -> None:
    """Run the command line; what goes wrong ends as one sentence and an exit code."""
    faults.run(cli)


@cli.command()
def version() -> None:
    """Print the versions that matter.

    Example: edgeweir version
    """
    from importlib.metadata import version as of  # help must be quick

    names = ("edgeweir", "faust-streaming", "aiokafka", "mode-streaming")
    sys.stdout.write("  ".join(f"{name} {of(name)}" for name in names) + "\n")


@cli.command()
def topology(*, as_json: AsJson = False) -> None:
    """Print controllers, their inputs, tables, journal and outputs.

    Example: edgeweir topology --json
    """
    from edgeweir.cli.shown import print_json  # help must be quick
    from edgeweir.cli.topology import controllers  # help must be quick

    found = controllers()
    if as_json:
        print_json(found)
        return
    for entry in found:
        sys.stdout.write(f"{entry['controller']}  (key {entry['key']})\n")
        for part in ("inputs", "views", "tables", "journal", "outputs"):
            names = entry[part] if isinstance(entry[part], list) else [entry[part]]
            sys.stdout.write(f"  {part:8} {', '.join(names)}\n")


@cli.command("config")
def config_show(*, as_json: AsJson = False) -> None:
    """Print every setting and where it came from; secrets stay hidden.

    Example: edgeweir config
    """
    from edgeweir.cli.configured import ClientSettings, effective  # help must be quick
    from edgeweir.cli.shown import print_json, print_table  # help must be quick

    shown = effective(ClientSettings).shown()
    if as_json:
        print_json({line.key: {"value": line.text, "origin": line.origin} for line in shown})
    else:
        print_table(("setting", "value", "from"), shown)


@cli.command("apply")
def apply_file(
    file: Annotated[Path, typer.Option("--file", "-f", help="TOML with [[site]], [[app]], [[policy]], ...")],
    bootstrap: Annotated[str | None, typer.Option(help="Brokers, host:port.")] = None,
    *,
    only_plan: Annotated[bool, typer.Option("--plan", help="Show what would be written; write nothing.")] = False,
) -> None:
    """Write estate, apps and policies, whole or not at all.

    Example: edgeweir apply -f estate.toml --plan
    """
    from edgeweir.cli.apply import apply_documents  # help must be quick

    apply_documents(file, bootstrap, only_plan=only_plan)


@cli.command()
def watch(
    what: Annotated[str, typer.Argument(help="decisions, commands, statuses, inventory or dead-letters")] = "decisions",
    bootstrap: Annotated[str | None, typer.Option(help="Brokers, host:port.")] = None,
    since_s: Annotated[int, typer.Option("--since-s", min=0, help="Start so many seconds ago.")] = 0,
    *,
    as_json: AsJson = False,
) -> None:
    """Follow what is decided and done, newest last.

    Example: edgeweir watch decisions --since-s 60
    """
    from edgeweir.cli.watch import follow  # help must be quick

    follow(what, bootstrap, since_s, as_json=as_json)
