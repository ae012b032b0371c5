"""What `campaign plan` said against what went out. Imports nothing of coldsend.

A plan cannot foresee what comes back: it is compared up to the first scripted happening after it was made.
Recipients whom the server refuses were foreseen, too: where quota is left nobody takes their place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from tests.acceptance.month.almanac import day_of
from tests.acceptance.month.evidence import Evidence

MONTH = timedelta(days=28)


def days(
    evidence: Evidence, made_at: datetime, plan: dict[str, Any], refused: Sequence[datetime] = ()
) -> Iterator[tuple[date, Counter[str], Counter[str], int]]:
    """(day of the campaign, what was planned by service, what went out, how many were refused), each whole
    day from when the plan was made to the first happening, or to the end."""
    zone = evidence.script.zone
    happened = [one.at for one in evidence.carried if one.at > made_at]
    ends = day_of(min(happened), zone) if happened else date.max
    if evidence.script.plan_days:
        ends = min(ends, day_of(made_at, zone) + timedelta(days=evidence.script.plan_days))
    planned = {date.fromisoformat(day["date"]): Counter(day["by_service"]) for day in plan["days"]}
    went: dict[date, Counter[str]] = {}
    for message in evidence.messages:
        if message.at >= made_at:
            went.setdefault(day_of(message.at, zone), Counter())[message.sender] += 1
    turned_away = Counter(day_of(moment, zone) for moment in refused if moment >= made_at)
    last = max([*planned, *went], default=day_of(made_at, zone))
    day = day_of(made_at, zone)
    while day <= last and day < ends:
        yield day, planned.get(day, Counter()), went.get(day, Counter()), turned_away[day]
        day += timedelta(days=1)


def disagreements(
    evidence: Evidence,
    made_at: datetime,
    plan: dict[str, Any],
    refused: Sequence[datetime] = (),
    *,
    part: float = 0.0,
) -> list[str]:
    """Days on which another number went out than was planned. part: so much of it may be more or less."""
    return [
        f"{day}: planned {planned.total()} {dict(planned)}, {went.total()} went out {dict(went)}, "
        f"{gone} were refused"
        for day, planned, went, gone in days(evidence, made_at, plan, refused)
        if not planned.total() * (1 - part) - gone <= went.total() <= planned.total() * (1 + part)
    ]
