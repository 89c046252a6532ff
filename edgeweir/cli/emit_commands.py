"""`edgeweir emit host|synthetic`: real events of this host, or emulated ones of a seeded world."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from edgeweir.cli import configured
from edgeweir.cli.shown import note
from schemas.settings import KafkaSettings

if TYPE_CHECKING:
    from edge_emitters.run import Sent
    from edge_emitters.synthetic import World
    from topics.connect import Connect

group = typer.Typer(no_args_is_help=True, help="Send events to the real topics, as the edge does.")
Bootstrap = Annotated[str | None, typer.Option(help="Brokers, host:port; default from the settings.")]
For = Annotated[float | None, typer.Option("--for-s", min=0, help="End by itself after so many seconds.")]


@group.command("host")
def emit_host(
    bootstrap: Bootstrap = None,
    site: Annotated[str | None, typer.Option(help="The site this host stands in; default its name.")] = None,
    interval_ms: Annotated[int | None, typer.Option(min=50, max=600_000, help="How often.")] = None,
    for_s: For = None,
) -> None:
    """Send this host's real load, through a gateway that keeps what the broker cannot take yet.

    Example: edgeweir emit host --site try --for-s 30
    """
    from edge_emitters.run import run_host  # help must be quick
    from edge_emitters.settings import EmitterSettings  # as above
    from topics.connect import Connect  # as above

    class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
        kafka: KafkaSettings = KafkaSettings()
        emitter: EmitterSettings = EmitterSettings()

    given = {"kafka.bootstrap": bootstrap, "emitter.site_id": site, "emitter.interval_ms": interval_ms}
    settings = configured.effective(HostSettings, given).value
    _said(asyncio.run(run_host(Connect(settings.kafka), settings.emitter, for_s=for_s, progress=_line)))


@group.command("synthetic")
def emit_synthetic(  # noqa: PLR0917  # each is an option of the command line
    bootstrap: Bootstrap = None,
    sites: Annotated[int, typer.Option(min=1, max=10_000, help="Emulated sites.")] = 20,
    nodes: Annotated[int, typer.Option(min=1, max=1_000_000, help="Emulated nodes over all sites.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same world.")] = 7,
    interval_ms: Annotated[int, typer.Option(min=50, help="How often each site reports.")] = 5_000,
    for_s: For = None,
) -> None:
    """Declare a seeded world of emulated sites and send their telemetry.

    Example: edgeweir emit synthetic --sites 200 --nodes 4800 --for-s 60
    """
    from edge_emitters.synthetic import World, WorldPlan  # help must be quick
    from topics.connect import Connect  # as above

    world = World(WorldPlan(seed=seed, sites=sites, nodes=nodes, interval_ms=interval_ms))
    _said(asyncio.run(_synthetic(Connect(configured.kafka(bootstrap)), world, for_s)))


async def _synthetic(connect: Connect, world: World, for_s: float | None) -> Sent:
    from edge_emitters.atlas import estate  # help must be quick
    from edge_emitters.run import run_synthetic  # as above
    from topics.publish import publish  # as above

    await publish(connect, estate(world))
    return await run_synthetic(connect, world, for_s=for_s, progress=_line)


def _line(sent: Sent) -> None:
    state = "" if sent.connected else ", the broker does not answer"
    note(f"{sent.records} records, {sent.samples} node samples acknowledged, {sent.waiting} waiting{state}")


def _said(sent: Sent) -> None:
    note(f"ended: {sent.records} records, {sent.samples} node samples, {sent.waiting} left in the buffer")
