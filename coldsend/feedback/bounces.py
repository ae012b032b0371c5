"""What a bounce means, by the same table as a server's answer to us: ``domain/reply_rules.py``.

A bounce is such an answer that came later, from further away. The address is given up where the answer says
that it is no good; where it was disabled, with the second message; where its mailbox is full, with the third
within two weeks. What blames the sender (reputation, authentication) never costs a recipient anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from coldsend.domain import reply_text
from coldsend.domain.answers import Action, Answer, Phase, Verdict
from coldsend.domain.feedback import Feedback
from coldsend.domain.replies import judge

# rule -> so many messages within this time, and the address is given up.
REPEATED = {
    "recipient_disabled": (2, timedelta(days=365)),
    "mailbox_full": (3, timedelta(days=14)),
}

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


def verdict_of(item: Feedback, provider: str) -> Verdict:
    """What the words and codes of a bounce come to. provider: ``provider_of`` the recipient's domain."""
    said = reply_text.parse(item.diagnostic, Phase.RCPT)
    # The words are those of the server; the status is what the sender of the bounce made of them.
    enhanced = said.enhanced or item.status
    code = said.code or {"4": 450, "5": 550}.get(enhanced[:1], 0)
    return judge(
        Answer(Phase.RCPT, code, enhanced, said.text, lost=said.lost and not code), provider=provider
    )


def is_hard(item: Feedback, verdict: Verdict) -> bool:
    """Whether this bounce alone says that the address is no good."""
    if verdict.action in _AGAINST_SENDER or verdict.rule in REPEATED:
        return False
    return verdict.action is Action.SUPPRESS if item.hard is None else item.hard


def often_enough(rule: str, met: Sequence[tuple[datetime, int]]) -> bool:
    """Whether a rule of ``REPEATED`` has met one address often enough. met: (when, which message)."""
    count, within = REPEATED[rule]
    return any(
        len({message for at, message in met if first <= at <= first + within}) >= count for first, _ in met
    )
