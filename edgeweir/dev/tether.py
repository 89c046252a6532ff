"""Runs a command that must not outlive the process that ordered it, where the kernel offers no such signal.

Used instead of `setpriv --pdeathsig` off Linux: `python tether.py PARENT_PID COMMAND...`. It looks ten times a
second whether its parent is still the one that ordered it, passes SIGTERM on, and exits as the command does.
"""

import os
import signal
import subprocess
import sys
from types import FrameType

_LOOK_S = 0.1
_GRACE_S = 10


def main(parent: int, command: list[str]) -> int:
    """Run the command until it ends or the parent is gone; the exit code is the command's."""
    orders: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        orders.append(number)

    # Before the command starts: an order that comes in between is passed on as well.
    signal.signal(signal.SIGTERM, note)
    child = subprocess.Popen(command)
    while os.getppid() == parent:
        while orders:
            child.send_signal(orders.pop())
        try:
            return child.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            continue
    return _end(child)


def _end(child: "subprocess.Popen[bytes]") -> int:
    child.terminate()
    try:
        return child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
