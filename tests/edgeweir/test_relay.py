"""The relay: bytes pass, a cut ends what is open and refuses what is new, a heal lets new connections through."""

from __future__ import annotations

import asyncio
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
