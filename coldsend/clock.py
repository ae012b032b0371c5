"""The only reader of time in coldsend.

Everything else gets the time handed in, or asks here. Times are timezone-aware UTC ``datetime`` values;
intervals are seconds (float). For tests that span processes, ``COLDSEND_TEST_CLOCK`` names a file that
holds an offset in seconds; :func:`now` is then shifted by it, and the offset may change at any moment.
``monotonic`` is never shifted: it measures how long something really took.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

TEST_CLOCK_VARIABLE = "COLDSEND_TEST_CLOCK"

# A worker whose machine was suspended must see that its lease ran out meanwhile.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_cached: tuple[str, int, float] = ("", -1, 0.0)


def test_clock_file() -> str | None:
    """Path of the test clock's file if one is set, else None."""
    return os.environ.get(TEST_CLOCK_VARIABLE) or None


def _offset_seconds() -> float:
    global _cached  # noqa: PLW0603 - a one-entry cache: the file is read again only when it changed
    path = test_clock_file()
    if path is None:
        return 0.0
    try:
        changed = Path(path).stat().st_mtime_ns
        if _cached[:2] != (path, changed):
            text = Path(path).read_text().strip()
            _cached = (path, changed, float(text or 0))
    except (OSError, ValueError):
        # A file that is being replaced this very moment: the offset read last still holds.
        return _cached[2] if _cached[0] == path else 0.0
    return _cached[2]


def now() -> datetime:
    """The present moment in UTC, timezone-aware, with microseconds."""
    moment = unshifted_now()
    offset = _offset_seconds()
    return moment + timedelta(seconds=offset) if offset else moment


def unshifted_now() -> datetime:
    """The present moment in UTC as the machine has it, for timers that do not know the test clock."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that never jumps and goes on while the machine sleeps; only differences count."""
    return time.clock_gettime(_STEADY)
