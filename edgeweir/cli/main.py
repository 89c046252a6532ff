"""The `edgeweir` command. Each command imports its floor inside its function: help must be quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgeweir.cli import bench_command, dev_commands, dlq_commands, emit_commands, faults, topics_commands

cli = typer.Typer(
    name="edgeweir",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The streaming control plane of a fused edge cloud: produce events, subscribe to decisions, look.",
)
cli.add_typer(dev_commands.group, name="dev")
cli.add_typer(emit_commands.group, name="emit")
cli.add_typer(topics_commands.group, name="topics")
cli.add_typer(dlq_commands.group, name="dlq")
Bootstrap = Annotated[str | None, typer.Option(help="Brokers, host:port.")]
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
    bootstrap: Bootstrap = None,
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
    bootstrap: Bootstrap = None,
    since_s: Annotated[int, typer.Option("--since-s", min=0, help="Start so many seconds ago.")] = 0,
    *,
    as_json: AsJson = False,
) -> None:
    """Follow what is decided and done, newest last.

    Example: edgeweir watch decisions --since-s 60
    """
    from edgeweir.cli.watch import follow  # help must be quick

    follow(what, bootstrap, since_s, as_json=as_json)


@cli.command()
def explain(
    decision_id: Annotated[str, typer.Argument(help="A decision's or command's id, or how it begins.")],
    bootstrap: Bootstrap = None,
    since_s: Annotated[int, typer.Option("--since-s", min=1, help="How far to look back.")] = 86_400,
    *,
    as_json: AsJson = False,
) -> None:
    """Explain one decision: cause, inputs and their ages, candidates, every gate, command, status, outcome.

    Example: edgeweir explain 3f0c
    """
    from edgeweir.cli.explain import explain as show  # help must be quick

    show(decision_id, bootstrap, since_s, as_json=as_json)


@cli.command()
def story(
    resource: Annotated[str, typer.Argument(help="A site, app, app@site, region, session or device.")],
    bootstrap: Bootstrap = None,
    since_s: Annotated[int, typer.Option("--since-s", min=1, help="How far to look back.")] = 3_600,
    *,
    as_json: AsJson = False,
) -> None:
    """Tell what was decided about a resource and what became of it, oldest first; holds with their reasons, too.

    Example: edgeweir story video@stadium --since-s 600
    """
    from edgeweir.cli.explain import story as tell  # help must be quick

    tell(resource, bootstrap, since_s, as_json=as_json)


@cli.command()
def pause(
    scope: Annotated[str, typer.Argument(help="all, region/ID, site/ID, app/ID, tenant/ID, kind/scaling ...")],
    for_: Annotated[str, typer.Option("--for", help="90s, 15m, 2h, 1d")] = "15m",
    why: Annotated[str, typer.Option(help="Shown with everything that it withholds.")] = "",
    bootstrap: Bootstrap = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """The red button: no new opening command in the scope; steps that close, and renewals, still pass.

    Example: edgeweir pause site/stadium --for 10m --why "works on the mast" --yes
    """
    from edgeweir.cli.pausing import pause as press  # help must be quick

    press(scope, for_, why, bootstrap, yes=yes)


@cli.command()
def resume(
    scope: Annotated[str, typer.Argument(help="The scope that was paused.")],
    bootstrap: Bootstrap = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End a pause; what was withheld is decided anew, never sent late.

    Example: edgeweir resume site/stadium --yes
    """
    from edgeweir.cli.pausing import resume as release  # help must be quick

    release(scope, bootstrap, yes=yes)


@cli.command()
def approve(
    decision_id: Annotated[str, typer.Argument(help="A decision that awaits approval.")],
    bootstrap: Bootstrap = None,
    *,
    refuse: Annotated[bool, typer.Option("--refuse", help="Say no.")] = False,
) -> None:
    """Let a decision of a policy in mode approve be carried out, or refuse it.

    Example: edgeweir approve 3f0c7d1e-5f2b-5d5e-9f0a-3f6f1b1f0c11
    """
    from edgeweir.cli.pausing import approve as say  # help must be quick

    say(decision_id, bootstrap, refuse=refuse)
