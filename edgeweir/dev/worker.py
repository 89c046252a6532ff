"""A stream worker of a demo (`python -m edgeweir.dev.worker ORDER.json`): loads its code, awaits its order, is one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgeweir.dev.orders import WorkerOrder, await_order
from streams import app

app.controller_types()


def main(path: Path) -> None:
    """Become `streams.worker` with the environment of the order."""
    order = await_order(path, WorkerOrder)
    os.environ.update(order.environ)
    sys.argv = sys.argv[:1]
    from streams import worker  # it reads the environment when it is loaded

    worker.main()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
