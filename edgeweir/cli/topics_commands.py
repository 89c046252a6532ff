"""`edgeweir topics plan|apply|diff`: the catalogue against the cluster."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from edgeweir.cli import configured
from edgeweir.cli.faults import CommandError, Exit
from edgeweir.cli.shown import note, print_json, print_table
from schemas.sections import KafkaSettings
from topics.asyncapi import document
from topics.provision import Change, apply, plan, read_cluster, wanted

group = typer.Typer(no_args_is_help=True, help="The catalogue of topics against the cluster.")
Bootstrap = Annotated[str | None, typer.Option(help="Brokers, host:port; default from the settings.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]


@group.command("plan")
def plan_topics(
    bootstrap: Bootstrap = None,
    *,
    as_json: AsJson = False,
    asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="Print the AsyncAPI 3 document; asks no broker.")
    ] = False,
) -> None:
    """Show what `apply` would do; changes nothing.

    Example: edgeweir topics plan --bootstrap 127.0.0.1:19092
    """
    if asyncapi:
        print_json(document(configured.kafka(bootstrap)))
        return
    _show(asyncio.run(_changes(configured.kafka(bootstrap), do=False)), as_json=as_json)


@group.command("apply")
def apply_topics(bootstrap: Bootstrap = None, *, as_json: AsJson = False) -> None:
    """Create what is missing, set what differs; never deletes, never shrinks.

    Example: edgeweir topics apply
    """
    changes = asyncio.run(_changes(configured.kafka(bootstrap), do=True))
    _show(changes, as_json=as_json)
    note(f"{len(changes)} changes made")


@group.command("diff")
def diff_topics(bootstrap: Bootstrap = None, *, as_json: AsJson = False) -> None:
    """Exit 6 when the cluster differs from the catalogue.

    Example: edgeweir topics diff --json
    """
    changes = asyncio.run(_changes(configured.kafka(bootstrap), do=False))
    _show(changes, as_json=as_json)
    if changes:
        raise CommandError(f"{len(changes)} differences; edgeweir topics apply mends them", Exit.CHECK_FAILED)


async def _changes(settings: KafkaSettings, *, do: bool) -> list[Change]:
    from topics.connect import Connect  # a client costs 0.2 s to import

    admin = Connect(settings).admin("edgeweir-topics")
    try:
        await admin.start()
        goal = wanted(settings)
        changes = plan(goal, await read_cluster(admin, [topic.name for topic in goal]))
        if do:
            await apply(admin, goal, changes)
        return changes
    finally:
        await admin.close()


def _show(changes: list[Change], *, as_json: bool) -> None:
    if as_json:
        print_json(changes)
        return
    rows = [(str(c.kind), c.topic, c.what, c.found, c.wanted) for c in changes]
    print_table(("change", "topic", "what", "found", "wanted"), rows)
