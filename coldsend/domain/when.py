"""Times as operators type them: ISO 8601, or ``now``. A time without a zone is UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from coldsend.errors import InvalidInput

EXAMPLES = "write it like 2027-03-01T09:00+01:00, 2027-03-01T08:00Z, 2027-03-01 (midnight UTC) or now"
_YEARS = range(2000, 2100)


def parse(text: str, now: datetime, what: str) -> datetime:
    """The moment meant by ``text``, aware and in UTC. ``what`` it is for: "start time".

    InvalidInput with examples where it is no time, or one that a campaign cannot mean.
    """
    given = text.strip()
    if given.lower() == "now":
        return now
    try:
        moment = datetime.fromisoformat(given)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{text!r} is not a {what}", hint=EXAMPLES) from error
    if moment.year not in _YEARS:
        raise InvalidInput(
            f"{text!r} is not a {what}: years {_YEARS.start} to {_YEARS.stop - 1} make sense", hint=EXAMPLES
        )
    return moment


def has_zone(text: str) -> bool:
    """Whether a text that :func:`parse` takes names its zone (``now`` needs none)."""
    given = text.strip()
    return given.lower() == "now" or datetime.fromisoformat(given).tzinfo is not None
