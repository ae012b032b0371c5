"""How an event is logged and counted, and where lines go."""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from typing import Any

from coldsend import clock, meter
from coldsend.log_lines import LineHandler

_logger = logging.getLogger("coldsend")


def configure(level: str = "info", style: str = "text") -> None:
    """Send coldsend's events, and warnings of libraries, to stderr; called once by each process."""
    handler = LineHandler(sys.stderr, style)
    libraries = logging.getLogger()
    for old in [one for one in libraries.handlers if isinstance(one, LineHandler)]:
        libraries.removeHandler(old)
        old.close()
    libraries.addHandler(handler)
    # A connection that broke is told of by whoever used it; the pool would add a traceback for each.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    _logger.handlers[:] = [handler]
    _logger.setLevel(level.upper())
    _logger.propagate = False
    if clock.test_clock_file():
        test_clock_in_force(str(clock.test_clock_file()), clock.now())


def event(level: int, name: str, *, error: BaseException | None = None, **fields: Any) -> None:
    """Count an event and log it. name and the names of its fields never change."""
    meter.event(name)
    if _logger.isEnabledFor(level):
        _logger.log(level, name, exc_info=error, extra={"fields": fields})


def test_clock_in_force(file: str, now: datetime) -> None:
    """The time is set by a file, for tests: nothing here happens when it seems to."""
    event(logging.WARNING, "test_clock_in_force", file=file, now=now)
