"""The only reader of time in coldsend.

Everything else gets the time handed in, or asks here. Times are timezone-aware UTC ``datetime`` values;
intervals are seconds (float). For tests that span processes, ``COLDSEND_TEST_CLOCK`` names a file that
holds an offset in seconds; :func:`now` is then shifted by it, and the offset may change at any moment.
The variable itself is read when the process starts, and by :func:`look_at_environment`.
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
_test_clock: str | None = os.environ.get(TEST_CLOCK_VARIABLE) or None


def test_clock_file() -> str | None:
    """Path of the test clock's file if one is set, else None."""
    return _test_clock


def look_at_environment() -> None:
    """Read COLDSEND_TEST_CLOCK again: once for each command, not for each message."""
    global _test_clock  # noqa: PLW0603
    _test_clock = os.environ.get(TEST_CLOCK_VARIABLE) or None


def _offset_seconds(path: str) -> float:
    global _cached  # noqa: PLW0603 - a one-entry cache: the file is read again only when it changed
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
    moment = datetime.now(UTC)
    return moment if _test_clock is None else moment + timedelta(seconds=_offset_seconds(_test_clock))


def unshifted_now() -> datetime:
    """The present moment in UTC as the machine has it, for timers that do not know the test clock."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that never jumps and goes on while the machine sleeps; only differences count."""
    return time.clock_gettime(_STEADY)
