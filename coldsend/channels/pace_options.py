"""What an operator says of a service's pace, read from text; "" takes a limit away.

ValueError says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import ROUND_UP, Decimal, InvalidOperation
from typing import Any

MAX_QUOTA = 2_000_000_000
MAX_SECONDS = 86_400
MAX_HOURS = 24

_RAMP = re.compile(r"\s*(\d{1,9})\s*\+\s*(\d{1,9})\s*")


def quota(text: str) -> int | None:
    """Messages at most; None: no limit."""
    given = text.strip()
    if not given:
        return None
    if not given.isdecimal() or not 1 <= int(given) <= MAX_QUOTA:
        raise ValueError(f"must be a whole number from 1 to {MAX_QUOTA}, or '' for no limit, not {text!r}")
    return int(given)


def ramp(text: str) -> dict[str, int] | None:
    """``START+STEP``, such as 20+10; None: no ramp. When it began is for the caller to say."""
    if not text.strip():
        return None
    found = _RAMP.fullmatch(text)
    if found is None or int(found[1]) < 1:
        raise ValueError(
            f"must be START+STEP, such as 20+10: 20 messages on the first day, 10 more on each that follows, "
            f"or '' for none, not {text!r}"
        )
    return {"start": int(found[1]), "step": int(found[2])}


def ramp_text(document: Mapping[str, Any] | None) -> str:
    """What :func:`ramp` reads."""
    return f"{document['start']}+{document['step']}" if document else ""


def since(wanted: dict[str, Any] | None, known: dict[str, Any] | None, today: date) -> dict[str, Any] | None:
    """A ramp as it is stored: one that stays as it was goes on, another begins today."""
    if wanted is None:
        return None
    same = known is not None and all(known[name] == wanted[name] for name in ("start", "step"))
    return known if same else {**wanted, "since": today.isoformat()}


def seconds(text: str) -> float:
    """Seconds, rounded up to the millisecond that the columns keep: a gap is never undercut; 0: none."""
    given = _number(text.strip() or "0", "seconds such as 0.5")
    if not 0 <= given <= MAX_SECONDS:
        raise ValueError(f"must be from 0 to {MAX_SECONDS} seconds, not {text}")
    return float(given.quantize(Decimal("0.001"), rounding=ROUND_UP))


def hours(text: str) -> float | None:
    """Hours of a day; None: not spread."""
    if not text.strip():
        return None
    given = _number(text, "hours such as 8")
    if not 0 < given <= MAX_HOURS:
        raise ValueError(f"must be more than 0 and at most {MAX_HOURS} hours, or '' for none, not {text}")
    return float(given.quantize(Decimal("0.01"), rounding=ROUND_UP))


def _number(text: str, what: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f"must be a number of {what}, not {text!r}") from None
    if not number.is_finite():
        raise ValueError(f"must be a number of {what}, not {text!r}")
    return number
