"""Ports on loopback: the friendly default when it is free, else any; a port the user named is taken or refused."""

import contextlib
import socket

import psutil

from edgeweir.dev.errors import Missing

LOOPBACK = "127.0.0.1"
KAFKA_PORT = 19092
CONTROLLER_PORT = 19093


def any_pair() -> tuple[int, int]:
    """Two free ports of the system's choice, for tests."""
    with _bound(0) as first, _bound(0) as second:
        return _number(first), _number(second)


def friendly_pair() -> tuple[int, int]:
    """The documented pair for Kafka and its controller when both are free, else any free pair."""
    try:
        with _bound(KAFKA_PORT), _bound(CONTROLLER_PORT):
            return KAFKA_PORT, CONTROLLER_PORT
    except OSError:
        return any_pair()


def named_pair(port: int) -> tuple[int, int]:
    """The port the user named, with any free one for the controller; says who holds it when it is taken."""
    try:
        with _bound(port), _bound(0) as controller:
            return port, _number(controller)
    except OSError as taken:
        raise Missing(f"port {port} on {LOOPBACK} is held by {_holder(port)}: end it, or name another port") from taken


def free_port(default: int = 0) -> int:
    """`default` when it is free, else any free port."""
    with contextlib.suppress(OSError), _bound(default) as sock:
        return _number(sock)
    with _bound(0) as sock:
        return _number(sock)


def is_listening(port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex((LOOPBACK, port)) == 0


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port))
    except OSError:
        sock.close()
        raise
    return sock


def _number(sock: socket.socket) -> int:
    number: int = sock.getsockname()[1]
    return number


def _holder(port: int) -> str:
    """Name and pid of the program that listens there, as far as this user may see it."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another program"
