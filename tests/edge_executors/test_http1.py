"""HTTP/1.1 as ingress and replicas read and write it, whatever the pieces it comes in."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_executors.http1 import BadMessageError, Parser, Request, Response, write_request, write_response
from edge_executors.http_client import BrokenError, Peer, UnsentError
from edge_executors.http_server import Server

CHUNKED = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.integers(min_value=1, max_value=40))
def test_messages_come_out_whole_however_they_are_cut(bodies: list[bytes], piece: int) -> None:
    sent = b"".join(write_request("POST", f"/{n}", {"x-n": str(n)}, body) for n, body in enumerate(bodies))
    parser = Parser()
    got = [m for at in range(0, len(sent), piece) for m in parser.feed(sent[at : at + piece])]
    assert [message.body for message in got] == bodies
    assert [message.headers["x-n"] for message in got] == [str(n) for n in range(len(bodies))]


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_chunks_are_put_together(piece: int) -> None:
    parser = Parser()
    got = [m for at in range(0, len(CHUNKED), piece) for m in parser.feed(CHUNKED[at : at + piece])]
    assert [m.body for m in got] == [b"abcde"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 5000, 431),
    ],
)
def test_what_is_not_http_is_refused_with_its_status(sent: bytes, status: int) -> None:
    with pytest.raises(BadMessageError) as refused:
        Parser().feed(sent)
    assert refused.value.status == status


def test_connection_headers_of_one_hop_do_not_reach_the_next() -> None:
    raw = write_request("GET", "/", {"connection": "close", "x-kept": "1", "content-length": "77"}, b"")
    assert raw == b"GET / HTTP/1.1\r\nx-kept: 1\r\ncontent-length: 0\r\n\r\n"
    assert b"content-length" not in write_response(Response(204), keep_alive=True)


async def test_a_server_answers_in_order_keeps_alive_and_tells_what_broke() -> None:
    async def answer(request: Request) -> Response:
        await asyncio.sleep(0.02 if request.target == "/slow" else 0)
        if request.target == "/fault":
            raise RuntimeError("ours")
        return Response(200, request.target.encode())

    server = Server(answer)
    await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /slow HTTP/1.1\r\n\r\nGET /fast HTTP/1.1\r\nconnection: close\r\n\r\n")
    told = await reader.read()
    assert told.index(b"/slow") < told.index(b"/fast")
    peer = Peer(f"http://127.0.0.1:{server.port}")
    assert (await peer.ask("GET", "/fault")).status == 500
    assert (await peer.ask("HEAD", "/x")).body == b""
    slow = asyncio.create_task(peer.ask("GET", "/slow"))
    await asyncio.sleep(0.005)
    await server.stop()
    with pytest.raises(BrokenError):
        await slow
    with pytest.raises(UnsentError):
        await peer.ask("GET", "/")
    with pytest.raises(UnsentError):
        await Peer("http://127.0.0.1:1").ask("GET", "/")
    writer.close()
