"""Writes `edgeweir/dev/kafka-VERSION.lock`: every jar of the broker with its SHA-256, as jgo resolves them.

Run by `make kafka-lock`, reviewed, never edited. It names no host: where jars come from is each machine's affair.
"""

import sys
import tempfile
import tomllib
from pathlib import Path

import jgo

from edgeweir.dev.places import KAFKA_VERSION

_FOLDER = Path(__file__).parent.parent / "edgeweir" / "dev"
# The broker alone, with a logger that needs no file: no streams, connect or tools jars.
_COORDINATES = "org.apache.kafka:kafka_2.13:{version}+org.slf4j:slf4j-simple:1.7.36"


def lock_lines(version: str, cache: Path) -> list[str]:
    """One sorted line `group:artifact:version sha256:HEX` for each jar of that Kafka; downloads them all."""
    environment = jgo.build(_COORDINATES.format(version=version), cache_dir=cache)
    resolved = tomllib.loads((environment.path / "jgo.lock.toml").read_text())
    return sorted("{groupId}:{artifactId}:{version} sha256:{sha256}".format(**jar) for jar in resolved["dependencies"])


def main(version: str = KAFKA_VERSION) -> None:
    """Resolve into a temporary folder and write the lock."""
    with tempfile.TemporaryDirectory() as cache:
        lines = lock_lines(version, Path(cache))
    heading = f"# Jars of the Apache Kafka {version} broker; made by tools/kafka_lock.py, never edited"
    target = _FOLDER / f"kafka-{version}.lock"
    target.write_text("\n".join([heading, *lines]) + "\n")
    sys.stdout.write(f"{target.name}: {len(lines)} jars\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
