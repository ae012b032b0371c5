"""When a recipient is tried again: growing waits, and an end after a lifetime.

RFC 5321, 4.5.4.1: a first retry after some minutes, later ones further apart, giving up after days. Waits
only ever grow by what is added to them, so that no server is asked again sooner than it was promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from coldsend.domain.answers import Action, Outcome, Verdict

SPREAD = 0.1  # part of a wait that is added at most, so that rows refused together do not return together

_NEVER_AGAIN = frozenset({Action.FAIL, Action.SUPPRESS, Action.FAIL_CONTENT, Action.FAIL_TEMPLATE})


def next_attempt(
    now: datetime,
    first_attempt_at: datetime,
    retries: int,
    delays_minutes: Sequence[float],
    give_up_days: float,
    verdict: Verdict,
    *,
    fraction: float = 0.0,
) -> datetime | None:
    """The moment of the next attempt, None where there is none.

    retries: attempts that counted before this one; picks the wait from ``delays_minutes``, whose last one
    repeats. give_up_days: lifetime from the first attempt; an attempt that would come after it is not made.
    fraction: 0 to 1, any number that differs between rows.
    """
    if verdict.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN) or verdict.action in _NEVER_AGAIN:
        return None
    minutes = delays_minutes[min(max(retries, 0), len(delays_minutes) - 1)]
    wait = timedelta(minutes=minutes * (1 + SPREAD * min(max(fraction, 0.0), 1.0)))
    ends = first_attempt_at + timedelta(days=give_up_days)
    return now + wait if now + wait <= ends else None
