"""OpenTelemetry's names (host metrics, kubelet, cluster, hardware): which becomes which reading."""

from __future__ import annotations

from typing import Final

from ..parts import Quantity
from .rules import IDLE, ROOT, Rule, Where

_CPU: Final = ("cpu.logical_number", "cpu")
_STATE: Final = ("cpu.mode", "system.cpu.state", "state")
_FS_STATE: Final = ("system.filesystem.state", "state")
_ROOT: Final = Where(("system.filesystem.mountpoint", "mountpoint"), ROOT)
_DEVICE: Final = ("network.interface.name", "interface", "device")
_WAY: Final = ("network.io.direction", "direction")
_GPU: Final = ("hw.id", "hw.name", "gpu")
MEMORY_STATE: Final = ("system.memory.state", "state")
MEMORY_USAGE: Final = "system.memory.usage"
MEMORY_UTILIZATION: Final = "system.memory.utilization"

OLD_NAMES: Final = frozenset(("cpu", "state", "direction", "device", "interface", "mountpoint"))
"""Attribute names of before the stable semantic conventions."""


def _io(quantity: Quantity, way: str) -> Rule:
    return Rule(quantity, series=_DEVICE, where=(Where(_WAY, {way: ""}),), wires_only=True)


RULES: Final[dict[str, tuple[Rule, ...]]] = {
    "system.cpu.time": (Rule(Quantity.CPU_IDLE_TOTAL, 1_000, _CPU, (Where(_STATE, IDLE),)),),
    "system.cpu.utilization": (Rule(Quantity.CPU_IDLE_SHARE, 1_000, _CPU, (Where(_STATE, IDLE),)),),
    "system.cpu.logical.count": (Rule(Quantity.CPU_CAPACITY, 1_000),),
    MEMORY_USAGE: (),
    MEMORY_UTILIZATION: (),
    "system.memory.limit": (Rule(Quantity.MEM_TOTAL),),
    "system.linux.memory.available": (Rule(Quantity.MEM_AVAILABLE),),
    "system.filesystem.usage": (
        Rule(Quantity.FS_USED, where=(_ROOT, Where(_FS_STATE, {"used": ""}))),
        Rule(Quantity.FS_FREE, where=(_ROOT, Where(_FS_STATE, {"free": ""}))),
    ),
    "system.filesystem.limit": (Rule(Quantity.FS_TOTAL, where=(_ROOT,)),),
    "system.network.io": (_io(Quantity.NET_RX_TOTAL, "receive"), _io(Quantity.NET_TX_TOTAL, "transmit")),
    "k8s.node.cpu.time": (Rule(Quantity.CPU_BUSY_TOTAL, 1_000),),
    "k8s.node.cpu.usage": (Rule(Quantity.CPU_USED, 1_000),),
    "k8s.node.cpu.utilization": (Rule(Quantity.CPU_USED, 1_000),),
    "k8s.node.memory.working_set": (Rule(Quantity.MEM_USED),),
    "k8s.node.memory.available": (Rule(Quantity.MEM_AVAILABLE),),
    "k8s.node.filesystem.capacity": (Rule(Quantity.FS_TOTAL),),
    "k8s.node.filesystem.usage": (Rule(Quantity.FS_USED),),
    "k8s.node.filesystem.available": (Rule(Quantity.FS_FREE),),
    "k8s.node.network.io": (_io(Quantity.NET_RX_TOTAL, "receive"), _io(Quantity.NET_TX_TOTAL, "transmit")),
    "k8s.node.allocatable_cpu": (Rule(Quantity.CPU_ALLOCATABLE, 1_000),),
    "k8s.node.allocatable_memory": (Rule(Quantity.MEM_ALLOCATABLE),),
    "k8s.node.condition_ready": (Rule(Quantity.READY),),
    "hw.gpu.utilization": (Rule(Quantity.GPU_SHARE, 1_000, _GPU),),
    "hw.gpu.memory.usage": (Rule(Quantity.GPU_MEM_USED, 1, _GPU),),
    "hw.temperature": (Rule(Quantity.TEMPERATURE, 1_000, _GPU),),
    "hw.host.power": (Rule(Quantity.POWER, 1_000),),
}
"""An empty tuple: more than one point is needed, see `otlp_memory`."""
