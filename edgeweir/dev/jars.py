"""The broker's jars: fetched once from Maven Central (or a mirror), checked against the committed lock at every use.

Strategy: the lock names every jar and its SHA-256, so nothing is resolved at run time. jgo writes a download straight
to its final name, hence an interrupted run leaves a short file that counts as cached: a file is trusted by its hash
only, and reaches `jars/` by one rename.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Self

from edgeweir.dev.errors import Missing
from edgeweir.dev.places import Places
from edgeweir.dev.progress import counted

if TYPE_CHECKING:
    from jgo.maven import MavenContext

_THREADS = 8
_TRIES = 3
_TIMEOUT_S = 30


@dataclass(frozen=True)
class Jar:
    """One line of the lock: Maven coordinates and the SHA-256 (hex) of the file."""

    group: str
    artifact: str
    version: str
    sha256: str

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read `group:artifact:version sha256:HEX`."""
        coordinates, _, digest = line.partition(" sha256:")
        group, artifact, version = coordinates.split(":")
        return cls(group, artifact, version, digest.strip())

    @property
    def file_name(self) -> str:
        """The name under which Maven knows the file."""
        return f"{self.artifact}-{self.version}.jar"

    def is_at(self, path: Path) -> bool:
        """Whether that file is this jar, by its hash."""
        if not path.exists():
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256


def read_lock(version: str) -> list[Jar]:
    """The jars of one Kafka version, as committed."""
    lock = resources.files("edgeweir.dev") / f"kafka-{version}.lock"
    if not lock.is_file():
        raise Missing(
            f"there is no list of jars for Kafka {version}: "
            "unset EDGEWEIR_DEV_KAFKA_VERSION, or make one with tools/kafka_lock.py"
        )
    return [Jar.parse(line) for line in lock.read_text().splitlines() if not line.startswith("#")]


def class_path(places: Places, lock: list[Jar] | None = None) -> list[Path]:
    """The jars of the broker in a fixed order: the user's own folder as it is, else the cache, filled and checked."""
    if places.jars is not None:
        return _own_folder(places.jars)
    return fetch(read_lock(places.kafka_version) if lock is None else lock, places)


def are_cached(places: Places) -> bool:
    """Whether a start would need no network: every jar has its place (hashes are checked at the start)."""
    if places.jars is not None:
        return True
    return all((places.kafka / "jars" / jar.file_name).exists() for jar in read_lock(places.kafka_version))


def fetch(lock: list[Jar], places: Places) -> list[Path]:
    """Fill the cache with what is lacking, eight at a time; returns the files, sorted by name."""
    folder = places.kafka / "jars"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(places.kafka):
        lacking = [jar for jar in lock if not jar.is_at(folder / jar.file_name)]
        if lacking:
            _fetch_all(lacking, folder, places, len(lock))
    return sorted(folder / jar.file_name for jar in lock)


def _own_folder(folder: Path) -> list[Path]:
    jars = sorted(folder.glob("*.jar"))
    if not any(jar.name.startswith("kafka_2.13-") for jar in jars):
        raise Missing(
            f"EDGEWEIR_DEV_JARS names {folder}, which holds no kafka_2.13 jar: "
            "point it at the libs folder of a Kafka distribution"
        )
    return jars


def _fetch_all(lacking: list[Jar], folder: Path, places: Places, total: int) -> None:
    context = _context(places)
    with counted("Kafka's jars", len(lacking)) as advance, ThreadPoolExecutor(_THREADS) as pool:
        faults = list(pool.map(lambda jar: _fetch_one(jar, folder, context, advance), lacking))
    if missing := [fault for fault in faults if fault is not None]:
        _refuse(missing, total)


def _refuse(faults: list[str], total: int) -> None:
    if unreachable := faults.count(_UNREACHABLE):
        raise Missing(
            f"Maven Central cannot be reached and {unreachable} of {total} jars are missing; "
            "fetch once with a network, or point EDGEWEIR_KAFKA_BOOTSTRAP at a broker"
        )
    raise Missing(f"{'; '.join(sorted(faults))}; nothing was started")


_UNREACHABLE = "unreachable"


def _fetch_one(jar: Jar, folder: Path, context: "MavenContext", advance: Callable[[], None]) -> str | None:
    """Download and check one jar, three tries; None when it is in its place, else what went wrong last."""
    fault: str | None = None
    for attempt in range(_TRIES):
        time.sleep(0.2 * attempt)
        fault = _try_once(jar, folder, context)
        if fault is None:
            advance()
            break
    return fault


def _try_once(jar: Jar, folder: Path, context: "MavenContext") -> str | None:
    import requests  # comes with jgo, an optional extra

    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact("", "jar")
    try:
        path = artifact.resolve()
    except (requests.RequestException, OSError):
        _drop(artifact.cached_path)
        return _UNREACHABLE
    except RuntimeError:
        return f"{jar.file_name} is not in the repository"
    if not jar.is_at(path):
        path.unlink()
        return f"{jar.file_name}: checksum differs from the lock"
    path.replace(folder / jar.file_name)
    return None


def _drop(path: Path | None) -> None:
    """A cut download counts as cached for jgo; it must not be met again."""
    if path is not None:
        path.unlink(missing_ok=True)


def _context(places: Places) -> "MavenContext":
    try:
        from jgo.maven import MavenContext
    except ImportError as absent:
        raise Missing(
            "Kafka's jars are missing and so is their fetcher: "
            "install the extra `kafka` (uv pip install 'edgeweir[kafka]')"
        ) from absent
    mirror = {"mirror": places.maven_mirror.rstrip("/")} if places.maven_mirror else None
    # Without a cache of its own jgo would fill the user's ~/.m2.
    return MavenContext(repo_cache=places.kafka / "download", local_repos=[], remote_repos=mirror, timeout=_TIMEOUT_S)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process fills the cache at a time; a second one waits and then finds it full."""
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
