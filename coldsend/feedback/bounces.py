"""What a bounce means, by the same table as a server's answer to us: ``domain/reply_rules.py``.

A bounce is such an answer that came later, from further away. The address is given up where the answer says
that it is no good; where it was disabled, the second time; where its mailbox is full, the third time within
two weeks. What blames the sender (reputation, authentication) never costs a recipient anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from coldsend.domain.answers import Action, Answer, Phase, Verdict
from coldsend.domain.feedback import Feedback
from coldsend.domain.replies import judge

FULL_TIMES, FULL_WITHIN = 3, timedelta(days=14)
DISABLED_TIMES = 2
LOOK_BACK = timedelta(days=365)

_CODE = re.compile(r"\b([245]\d\d)[ -]")
_AGAINST_SENDER = frozenset(
    {
        Action.FREEZE_SERVICE,
        Action.COOL_DOWN,
        Action.NEXT_QUOTA_DAY,
        Action.SLOW_DOWN,
        Action.PAUSE_PROVIDER,
        Action.PAUSE_CAMPAIGN,
        Action.FAIL_CONTENT,
        Action.FAIL_TEMPLATE,
    }
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """suppress: the address gets nothing any more. verdict: the rule that fits, for the service's health."""

    suppress: bool
    verdict: Verdict


def answer_of(item: Feedback) -> Answer:
    """The bounce as the answer it was to somebody."""
    told = _CODE.search(item.diagnostic[:200])
    code = int(told[1]) if told is not None else {"4": 450, "5": 550}.get(item.status[:1], 0)
    return Answer(Phase.RCPT, code, item.status, item.diagnostic)


def meaning(item: Feedback, provider: str, earlier: Sequence[tuple[datetime, Mapping[str, Any]]]) -> Meaning:
    """Decide about one bounce. earlier: (when, details) of bounces of the same address, this one left out."""
    verdict = judge(answer_of(item), provider=provider)
    if verdict.action in _AGAINST_SENDER:
        return Meaning(False, verdict)
    times = 1 + sum(
        details.get("rule") == verdict.rule and _counts(verdict.rule, abs(item.at - when))
        for when, details in earlier
    )
    limit = {"recipient_disabled": DISABLED_TIMES, "mailbox_full": FULL_TIMES}.get(verdict.rule)
    if limit is not None:
        return Meaning(times >= limit, verdict)
    hard = verdict.action is Action.SUPPRESS if item.hard is None else item.hard
    return Meaning(hard, verdict)


def _counts(rule: str, apart: timedelta) -> bool:
    return rule != "mailbox_full" or apart <= FULL_WITHIN
