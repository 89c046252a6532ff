"""When a broker is ready: its process lives, its port accepts and its controller makes a topic: all three."""

import asyncio
import contextlib
import time
import uuid

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from edgeweir.dev.children import Child
from edgeweir.dev.errors import NoAnswer
from edgeweir.dev.ports import LOOPBACK, is_listening

DEADLINE_S = 60.0
_POLL_S = 0.05
_REQUEST_TIMEOUT_MS = 2000


async def until_ready(child: Child, port: int, deadline_s: float = DEADLINE_S) -> None:
    """Return once that broker makes topics; raises NoAnswer when it ends before, or when the deadline passes."""
    give_up = time.monotonic() + deadline_s
    while time.monotonic() < give_up:
        if child.returncode is not None:
            raise NoAnswer(f"Kafka ended with exit code {child.returncode} before it was ready")
        if is_listening(port) and await makes_topics(f"{LOOPBACK}:{port}"):
            return
        await asyncio.sleep(_POLL_S)
    raise NoAnswer(f"Kafka was not ready at {LOOPBACK}:{port} within {deadline_s:.0f} s")


async def makes_topics(bootstrap: str) -> bool:
    """Whether the cluster at that address creates a topic now; the probe is deleted again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=_REQUEST_TIMEOUT_MS)
    probe = f"edgeweir.probe.{uuid.uuid4().hex}"
    try:
        await admin.start()
        answer = await admin.create_topics([NewTopic(probe, 1, 1)], timeout_ms=_REQUEST_TIMEOUT_MS)
        if any(error["error_code"] for error in answer.to_object()["topic_errors"]):
            return False
        await admin.delete_topics([probe])
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        # A client that never got through may fail to close.
        with contextlib.suppress(Exception):
            await admin.close()
    return True
