"""How a command ends: one sentence and an exit code for what the user can mend, a logged trace for our own bugs.

0 done, 1 our bug, 2 wrong usage or bad input, 3 something needed is missing, 4 not found, 5 no answer in time,
6 a check said no, 7 refused.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path


class Exit(IntEnum):
    """Exit codes of the command."""

    DONE = 0
    BUG = 1
    USAGE = 2
    MISSING = 3
    NOT_FOUND = 4
    NO_ANSWER = 5
    CHECK_FAILED = 6
    REFUSED = 7


class CommandError(Exception):
    """A sentence for the user: what, why, and the next command; with the exit code it deserves."""

    def __init__(self, sentence: str, code: Exit) -> None:
        super().__init__(sentence)
        self.code = code


def run(command: Callable[[], object]) -> None:
    """Run the whole command line and end the process as agreed."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would say, the last sentence says
    try:
        try:
            command()
        finally:
            sys.stdout.flush()  # here a closed pipe is still ours to answer; at the interpreter's end it is not
    except KeyboardInterrupt:
        _end(Exit.DONE)
    except BrokenPipeError:
        _end_of_pipe()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # typer's and rich's answer to it has a code of its own
            _end_of_pipe()
        raise
    except Exception as error:  # noqa: BLE001  # the last door: everything ends as one sentence and a code
        _end(_said(error))


def _end_of_pipe() -> None:
    """Whoever read us has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _end(Exit.DONE)


def _end(code: int) -> None:
    raise SystemExit(int(code))


def _said(error: Exception) -> int:
    sentence, code = _sentence(error)
    sys.stderr.write(f"edgeweir: {sentence}\n")
    return code


def _sentence(error: Exception) -> tuple[str, int]:
    """The sentence and code of an error; modules are looked at only if they were loaded (a command's cost)."""
    if isinstance(error, CommandError):
        return str(error), error.code
    code = getattr(error, "exit_code", None)
    if code is not None:
        return str(error), int(code)
    name = type(error).__name__
    if name == "BadInput":
        return str(error), Exit.USAGE
    if name == "RefusedChange":
        return f"refused, nothing was changed: {error}", Exit.REFUSED
    if type(error).__module__.startswith("aiokafka") or isinstance(error, TimeoutError | ConnectionError):
        return (
            f"Kafka does not answer ({name}: {error}); check EDGEWEIR_KAFKA_BOOTSTRAP or start one: edgeweir dev up",
            5,
        )
    return _bug(error), Exit.BUG


def _bug(error: Exception) -> str:
    log = Path(tempfile.gettempdir()) / f"edgeweir-bug-{os.getpid()}.log"
    log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return f"this is a bug of ours ({type(error).__name__}: {error}); the trace is in {log}"
