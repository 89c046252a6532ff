"""Which broker the tests use: an address given, else a local JVM (the judge), else Docker; the rung is always named."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from edgeweir.dev.broker import Broker
from edgeweir.dev.errors import Missing, NoAnswer
from edgeweir.dev.jars import are_cached
from edgeweir.dev.java import choose_java
from edgeweir.dev.kit import Kit
from edgeweir.dev.places import Places
from edgeweir.dev.ready import makes_topics
from edgeweir.dev.runs import Run
from edgeweir.dev.server_properties import TEST_SETTINGS

_GIVEN_DEADLINE_S = 10.0


def headline(wish: str, places: Places) -> str:
    """What a test that asks for a broker will get, without starting anything."""
    if ":" in wish:
        return f"the given one at {wish}"
    told: list[str] = []
    for rung, says in {"jvm": _jvm_headline, "docker": _docker_headline}.items():
        if wish in {"auto", rung}:
            try:
                return says(places)
            except Missing as missing:
                told.append(missing.sentence)
    return f"none ({'; '.join(told)})"


@contextmanager
def serve(wish: str, places: Places, run: Run) -> Iterator[str]:
    """Bootstrap address of the wished rung; `auto` walks down. Raises Missing with what every tried rung lacks.

    A broker that is there but does not come up is a failure (NoAnswer), never a reason to walk on.
    """
    if ":" in wish:
        asyncio.run(_expect(wish))
        yield wish
    elif wish == "docker":
        with _docker(places) as bootstrap:
            yield bootstrap
    else:
        try:
            kit = Kit.prepare(places)
        except Missing as lacking:
            if wish == "jvm":
                raise
            with _docker_instead(places, lacking) as bootstrap:
                yield bootstrap
        else:
            yield asyncio.run(_local(run, kit))


async def _local(run: Run, kit: Kit) -> str:
    """A broker within the session's run, which ends it."""
    broker = Broker(run, kit, settings=TEST_SETTINGS)
    await broker.start()
    return broker.bootstrap


async def _expect(bootstrap: str) -> None:
    give_up = time.monotonic() + _GIVEN_DEADLINE_S
    while not await makes_topics(bootstrap):
        if time.monotonic() > give_up:
            raise NoAnswer(f"the broker given as {bootstrap} makes no topics")
        await asyncio.sleep(0.2)


@contextmanager
def _docker(places: Places) -> Iterator[str]:
    # Half a second of imports that no other rung needs.
    from tests.kafka.docker_broker import docker_broker

    with docker_broker(places.kafka_version) as bootstrap:
        asyncio.run(_expect(bootstrap))
        yield bootstrap


@contextmanager
def _docker_instead(places: Places, lacking: Missing) -> Iterator[str]:
    try:
        with _docker(places) as bootstrap:
            yield bootstrap
    except Missing as also_lacking:
        raise Missing(f"{lacking.sentence}; {also_lacking.sentence}") from also_lacking


def _jvm_headline(places: Places) -> str:
    java = choose_java(places)
    jars = "jars cached" if are_cached(places) else "jars to be fetched"
    return f"local JVM, Kafka {places.kafka_version} on Java {java.major}, {jars}"


def _docker_headline(places: Places) -> str:
    if shutil.which("docker") is None:
        raise Missing("no Docker is installed")
    return f"apache/kafka:{places.kafka_version} through Docker, if its engine answers"
