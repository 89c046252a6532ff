"""How a worker logs: one line per thing that happened, JSON or for people, on stderr; Faust's own chatter stays out."""

from __future__ import annotations

import logging
import sys

import structlog

from schemas.settings import LogSettings


def configure_logs(settings: LogSettings) -> None:
    """Set structlog up once per process.

    Faust opens the root logger wide; aiokafka then makes a record per partition and fetch that nobody reads: a fifth
    of a worker's time.
    """
    for chatter in ("aiokafka", "kafka"):
        logging.getLogger(chatter).setLevel(logging.WARNING)
    for_people = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if for_people else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
