"""Why a partition or a worker has to be given up: one exception for each answer."""

from __future__ import annotations


class Fenced(Exception):
    """Somebody else took the partition over, or we cannot exclude it: drop it at once, release nothing."""


class ProduceFailed(Exception):
    """A write's fate is unknown: drop what this producer wrote for, close it, take over again."""


class StartRefused(SystemExit):
    """The world is not as the program needs it; the sentence says what to correct."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
