"""Being a member of the group: a stable name, one process per static slot, and leaving at once (ENGINE 3)."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from streams.engine.lost import StartRefused
from streams.settings import WorkerSettings
from topics.catalogue import inputs
from topics.connect import Connect

FETCH_WAIT_MS = 15
_PARTITION_BYTES = 1_048_576 * 2


class Slot:
    """A worker's place: `name` is its static member id (empty: a dynamic member). Held until the process ends."""

    def __init__(self, settings: WorkerSettings) -> None:
        """StartRefused if another process on this host holds the slot: two holders would fight for ever."""
        worker = settings.worker
        self.name = f"{socket.gethostname()}-{worker.instance}" if worker.instance else ""
        self.client_id = f"{worker.app_id}-{worker.instance or os.getpid()}"
        self._lock: IO[str] | None = None
        if worker.instance and worker.data_dir:
            self._lock = self._locked(Path(worker.data_dir), settings)

    def _locked(self, folder: Path, settings: WorkerSettings) -> IO[str]:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{settings.kafka.topic_prefix}{settings.worker.app_id}-{settings.worker.instance}.lock"
        file = (folder / name).open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise StartRefused(
                f"another worker of this host runs as instance {settings.worker.instance}; give this one another"
            ) from None
        return file


def open_consumer(connect: Connect, slot: Slot, settings: WorkerSettings) -> AIOKafkaConsumer:
    """The one consumer of all inputs: partition p of every topic goes to one worker."""
    worker = settings.worker
    return connect.consumer(
        slot.client_id,
        group_id=worker.app_id,
        group_instance_id=slot.name or None,
        auto_offset_reset="none",
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=int(worker.session_timeout_s * 1000),
        heartbeat_interval_ms=int(worker.heartbeat_s * 1000),
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=_PARTITION_BYTES,
    )


def input_names(connect: Connect) -> list[str]:
    """The inputs as this cluster names them."""
    return [connect.name(topic) for topic in inputs(connect.settings.dialects)]


async def leave(consumer: AIOKafkaConsumer) -> None:
    """Stop and leave the group now: aiokafka sends no LeaveGroup for a static member, so it is made a dynamic one."""
    coordinator = consumer._coordinator  # noqa: SLF001 - no public way; a contract test watches it
    if coordinator is not None:
        coordinator._group_instance_id = None  # noqa: SLF001 - as above
    await consumer.stop()
