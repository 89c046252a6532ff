"""The Docker rung: Apache's own Kafka image through testcontainers, whose bundled class knows other images only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker  # type: ignore[import-untyped] # the SDK has no types
from docker.errors import APIError, DockerException  # type: ignore[import-untyped] # as above
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from edgeweir.dev.errors import Missing
from edgeweir.dev.ports import LOOPBACK, any_pair
from edgeweir.dev.server_properties import FIXED, TEST_SETTINGS

_PORT = 9092
_CONTROLLER_PORT = 9093
_START_S = 60


@contextmanager
def docker_broker(version: str) -> Iterator[str]:
    """Bootstrap address of a broker in a container; raises Missing when no engine answers or the image is not to be had."""
    _expect_engine()
    port, _ = any_pair()
    container = _container(version, port)
    try:
        container.start()
    except APIError as refused:
        raise Missing(f"Docker has no apache/kafka:{version} and cannot pull it: {refused.explanation}") from refused
    try:
        yield f"{LOOPBACK}:{port}"
    finally:
        container.stop()


def environment(port: int) -> dict[str, str]:
    """The settings of the local broker in the image's form: a key in capitals behind `KAFKA_`, dots as underscores."""
    placed = {
        "controller.quorum.voters": f"1@localhost:{_CONTROLLER_PORT}",
        "listeners": f"PLAINTEXT://:{_PORT},CONTROLLER://:{_CONTROLLER_PORT}",
        # Clients come from outside: they must be told the host's port, chosen before the start.
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
    }
    settings = {**FIXED, **TEST_SETTINGS, **placed}
    return {f"KAFKA_{key.upper().replace('.', '_')}": value for key, value in settings.items()}


def _container(version: str, port: int) -> DockerContainer:
    if Path("/.dockerenv").exists():
        # Else testcontainers would look for the engine's ports at the bridge's gateway.
        os.environ.setdefault("TC_HOST", LOOPBACK)
    container = DockerContainer(f"apache/kafka:{version}").with_envs(**environment(port))
    container.ports[f"{_PORT}/tcp"] = (LOOPBACK, port)  # type: ignore[assignment] # the SDK takes the pair; int binds 0.0.0.0
    started = LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(_START_S)
    return container.waiting_for(started)


def _expect_engine() -> None:
    try:
        docker.from_env(timeout=2).ping()
    except DockerException as silent:
        raise Missing("no Docker engine answers (start it, or give --broker=HOST:PORT)") from silent
