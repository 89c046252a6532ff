"""What a local Kafka is made of, a Java and the jars, and the command lines that follow from them."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Self

from edgeweir.dev.jars import class_path
from edgeweir.dev.java import Java, choose_java
from edgeweir.dev.places import Places

SERVER = "kafka.Kafka"
STORAGE_TOOL = "kafka.tools.StorageTool"
# JEP 514: one flag trains, one uses. Older ones have a dynamic class archive.
_FIRST_WITH_AOT = 25
_FIRST_WITH_WARNINGS = 24

_ALWAYS = (
    "-Xms128m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
)
_LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    # The line that matters: Kafka Server started.
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
_QUIET = ("--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED")


class Size(Enum):
    """How large the JVM is: small starts fast beside everything else, BENCH compiles fully."""

    SMALL = ("-Xmx256m", "-XX:TieredStopAtLevel=1")
    BENCH = ("-Xmx1g",)


@dataclass(frozen=True)
class Kit:
    """A Java that is new enough and the checked jars of one Kafka."""

    places: Places
    java: Java
    jars: tuple[Path, ...]

    @classmethod
    def prepare(cls, places: Places) -> Self:
        """Choose the Java, fetch what is lacking, check every hash; raises Missing with the remedy."""
        java = choose_java(places)
        return cls(places, java, tuple(class_path(places)))

    @property
    def kafka_version(self) -> str:
        """The version that the jars say, which may be another than the lock's when the user names a folder."""
        names = (re.fullmatch(r"kafka_2\.13-(.+)\.jar", jar.name) for jar in self.jars)
        return next(name.group(1) for name in names if name is not None)

    @property
    def cache(self) -> Path:
        """Where what is made from these jars is kept."""
        return self.places.cache / "kafka" / self.kafka_version

    def command(
        self, main: str, arguments: Sequence[str], *, size: Size = Size.SMALL, flags: Sequence[str] = ()
    ) -> list[str]:
        """The command line of one of Kafka's main classes. The jars are spelled out: a `*` has no fixed order."""
        path = ":".join(map(str, self.jars))
        return [str(self.java.path), *self._flags(size), *_LOGGING, *flags, "-cp", path, main, *arguments]

    def archive(self, size: Size) -> Path:
        """The class archive of just this Java, these jars (names, sizes, times) and these flags; it may not exist."""
        jars = [(jar.name, jar.stat().st_size, jar.stat().st_mtime_ns) for jar in self.jars]
        made_of = repr((self.java.version, jars, self._flags(size)))
        return self.cache / "archive" / f"{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.archive"

    def archive_use(self, size: Size) -> list[str]:
        """The flag that starts with the class archive, if one was trained; the JVM goes on without a stale one."""
        archive = self.archive(size)
        if not archive.exists():
            return []
        return [f"-XX:{'AOTCache' if self._has_aot else 'SharedArchiveFile'}={archive}"]

    def archive_training(self, target: Path) -> list[str]:
        """The flag that writes a class archive when that JVM ends."""
        return [f"-XX:{'AOTCacheOutput' if self._has_aot else 'ArchiveClassesAtExit'}={target}"]

    @property
    def _has_aot(self) -> bool:
        return self.java.major >= _FIRST_WITH_AOT

    def _flags(self, size: Size) -> list[str]:
        quiet = _QUIET if self.java.major >= _FIRST_WITH_WARNINGS else ()
        return [*_ALWAYS, *size.value, *quiet]


def clean_environ() -> dict[str, str]:
    """This environment without what would change a JVM or Kafka behind our back."""
    foreign = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"}
    return {name: value for name, value in os.environ.items() if name not in foreign and not name.startswith("KAFKA_")}
