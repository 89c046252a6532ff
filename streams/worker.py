"""The stream worker as Faust finds it: `faust -A streams.worker worker`, `faust -A streams.worker agents --local`.

`python -m streams.worker` runs a worker with everything from the environment (`EDGEWEIR_KAFKA_*`, `EDGEWEIR_WORKER_*`).
"""

from __future__ import annotations

import sys

from schemas.errors import BadInput
from streams.app import App, make_app
from streams.settings import read_settings

SETTINGS_EXIT = 78
"""EX_CONFIG: what was given cannot be used."""


def _make() -> App:
    try:
        return make_app(read_settings())
    except BadInput as error:
        sys.stderr.write(f"edgeweir worker: {error.detail}\n")
        raise SystemExit(SETTINGS_EXIT) from None


app = _make()


def main() -> None:
    """Run one worker until SIGTERM; more arguments are Faust's own."""
    if len(sys.argv) == 1:
        sys.argv += ["worker", "--loglevel", "error", "--without-web"]
    app.main()


if __name__ == "__main__":
    main()
