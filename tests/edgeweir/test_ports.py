"""Ports: friendly when free, another when not; a named one is taken or refused with the name of its holder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from edgeweir.dev import ports
from edgeweir.dev.errors import Missing


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this very process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_free_default_is_taken_and_a_busy_one_replaced(taken: int) -> None:
    free = ports.any_pair()[0]
    assert ports.free_port(free) == free
    assert ports.free_port(taken) not in {0, taken}


def test_the_friendly_pair_gives_way_when_one_of_it_is_busy(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "CONTROLLER_PORT", taken)
    kafka, controller = ports.friendly_pair()
    assert len({kafka, controller, taken}) == 3


def test_a_named_port_is_never_replaced_and_its_holder_is_named(taken: int) -> None:
    with pytest.raises(Missing) as refused:
        ports.named_pair(taken)
    assert refused.value.sentence.startswith(f"port {taken} on 127.0.0.1 is held by ")
    assert f"(pid {os.getpid()})" in refused.value.sentence
    assert refused.value.exit_code == 3


def test_a_free_named_port_is_taken() -> None:
    wanted = ports.any_pair()[0]
    assert ports.named_pair(wanted)[0] == wanted
