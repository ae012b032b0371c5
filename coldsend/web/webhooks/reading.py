"""Reading JSON that others wrote: nothing is taken for granted, nothing raises, every text has its limit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from coldsend.domain import visits
from coldsend.domain.feedback import KEY_LENGTH, Actor, Kind

TEXT_LIMIT = 500
ADDRESS_LIMIT = 320
MESSAGE_ID_LIMIT = 998
URL_LIMIT = 2000

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_TOKEN = re.compile(r"<?[a-z2-7]{26}@", re.IGNORECASE)


def mapping(value: object) -> Mapping[str, Any]:
    """The value where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> Sequence[Any]:
    """The value where it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else ()


def text(value: object, limit: int = TEXT_LIMIT) -> str:
    """A text or number as one printable line of at most ``limit`` characters; "" for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # Cut first, so that a very long text costs no more than its beginning.
    line = " ".join(str(value)[: limit * 2].split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:limit]


def address(value: object) -> str:
    return text(value, ADDRESS_LIMIT)


def status(value: object) -> str:
    """An RFC 3463 code; "" where it is none."""
    found = text(value, 12)
    return found if _STATUS.fullmatch(found) else ""


def message_ids(*values: object) -> tuple[str, ...]:
    return tuple(found for value in values if (found := text(value, MESSAGE_ID_LIMIT)))


def ours(ids: Sequence[str]) -> bool:
    """Whether one of these may be a Message-ID of coldsend, by its looks."""
    return any(_TOKEN.match(each) for each in ids)


def moment(value: object, now: datetime) -> datetime:
    """When something happened: ISO 8601, or UNIX time in seconds or milliseconds.

    ``now`` where that cannot be read, lies in the future, or before the year 2000.
    """
    try:
        if isinstance(value, bool):
            return now
        if isinstance(value, str) and not value.isdecimal():
            at = datetime.fromisoformat(value[:40])
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        elif isinstance(value, int | float | str):
            number = float(value)
            at = datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
        else:
            return now
    except (ValueError, OverflowError, OSError):
        return now
    return at if _EARLIEST <= at <= now else now


def actor(kind: Kind, agent: str, *, machine: bool = False) -> Actor:
    """Who opened or clicked. machine: the provider says that it was one."""
    if kind not in (Kind.OPEN, Kind.CLICK):
        return Actor.HUMAN
    if machine:
        return Actor.MACHINE
    # A provider that keeps the browser for itself says nothing against a person by that.
    if not agent:
        return Actor.HUMAN
    return visits.judge(agent, (), is_click=kind is Kind.CLICK, after_sending=None, in_burst=False).actor


def key(provider: str, *parts: object) -> str:
    """A key for one happening, the same whenever it is told."""
    written = json.dumps(parts, sort_keys=True, default=str).encode()
    return f"{provider}:{hashlib.blake2b(written, digest_size=20).hexdigest()}"[:KEY_LENGTH]


def known(**details: object) -> dict[str, Any]:
    """Details without what is empty."""
    return {name: value for name, value in details.items() if value not in ("", None)}
