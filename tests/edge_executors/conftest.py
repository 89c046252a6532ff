"""What tests of executors share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def flip() -> Callable[[Path], None]:
    """Flips one bit of an entry in the file, as a failing disk would."""

    def harm(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[data.rindex(b"video")] ^= 0x10
        path.write_bytes(bytes(data))

    return harm
