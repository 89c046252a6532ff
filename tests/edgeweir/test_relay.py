"""The relay: bytes pass, a cut ends what is open and refuses what is new, a heal lets new connections through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from edgeweir.dev.ports import LOOPBACK
from edgeweir.dev.relay import Relay


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    far = await asyncio.start_server(echo, LOOPBACK, 0)
    path = Relay(far.sockets[0].getsockname()[1])
    await path.start()
    yield path
    await path.stop()
    far.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, word: bytes) -> bytes:
    writer.write(word)
    return await asyncio.wait_for(reader.read(100), 2)


async def answer_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """What comes back; nothing when the path is dead, however it shows."""
    try:
        return await ask(reader, writer, b"during")
    except ConnectionError:
        return b""


async def test_bytes_pass_in_both_directions(relay: Relay) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
    assert await ask(reader, writer, b"hello") == b"hello"
    writer.close()


async def test_a_cut_ends_what_is_open_and_lets_nothing_new_through(relay: Relay) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
    assert await ask(reader, writer, b"before") == b"before"
    relay.cut()
    assert await answer_of(reader, writer) == b""
    assert await answer_of(*await asyncio.open_connection(LOOPBACK, relay.port)) == b""


async def test_after_the_heal_the_path_is_there_again(relay: Relay) -> None:
    relay.cut()
    relay.heal()
    reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
    assert await ask(reader, writer, b"after") == b"after"
    writer.close()


async def test_without_a_target_the_connection_just_ends() -> None:
    path = Relay(1)
    await path.start()
    reader, writer = await asyncio.open_connection(LOOPBACK, path.port)
    assert await asyncio.wait_for(reader.read(1), 2) == b""
    writer.close()
    await path.stop()


async def took_s(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, word: bytes = b"x") -> float:
    started = time.monotonic()
    writer.write(word)
    await asyncio.wait_for(reader.readexactly(len(word)), 5)
    return time.monotonic() - started


async def test_a_longer_way_delays_each_word_but_does_not_queue_them_up(relay: Relay) -> None:
    relay.delay(200)
    reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
    started = time.monotonic()
    for _ in range(10):
        writer.write(b"x")
        await asyncio.sleep(0.01)
    assert await asyncio.wait_for(reader.readexactly(10), 5) == b"x" * 10
    assert 0.2 <= time.monotonic() - started < 1.5, "ten words one behind the other would take two seconds"
    relay.heal()
    assert await took_s(reader, writer) < 0.15
    writer.close()


async def test_a_narrow_way_takes_its_time_and_keeps_the_order(relay: Relay) -> None:
    relay.up.bytes_per_s = 100_000
    relay.up.jitter_ms = 20
    reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
    words = bytes(range(250)) * 120
    writer.write(words)
    started = time.monotonic()
    assert await asyncio.wait_for(reader.readexactly(len(words)), 5) == words
    assert time.monotonic() - started >= 0.25
    writer.close()


async def test_lost_pieces_come_a_retransmission_later(relay: Relay) -> None:
    relay.up.loss_permille = 1000
    reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
    assert await took_s(reader, writer) >= 0.2
    writer.close()


@pytest.mark.parametrize("directions", [{"up": True, "down": False}, {"up": False, "down": True}, {}])
async def test_a_held_direction_keeps_the_connection_and_the_bytes(relay: Relay, directions: dict[str, bool]) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
    assert await ask(reader, writer, b"before") == b"before"
    relay.hold(**directions)
    writer.write(b"during")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(100), 0.2)
    relay.heal()
    assert await asyncio.wait_for(reader.readexactly(6), 2) == b"during"
    writer.close()


async def test_a_reset_is_felt_as_one_and_new_connections_pass(relay: Relay) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, relay.port)
    assert await ask(reader, writer, b"before") == b"before"
    relay.reset()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(100), 2)
    assert await ask(*await asyncio.open_connection(LOOPBACK, relay.port), b"after") == b"after"
