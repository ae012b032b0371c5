"""What a server's answer means, and what the engine does about it.

A verdict's ``outcome`` is what the server said: accepted, 4yz temporary, 5yz permanent, or nothing at all
after the final dot, which is unknown. Its ``action`` is what we do, by the table in ``reply_rules``: where a
refusal for good blames the sender (a quota, a reputation, a password) the recipient keeps waiting.
"""

from __future__ import annotations

from dataclasses import replace

from coldsend.domain.answers import BEFORE_MESSAGE, Action, Answer, Outcome, Phase, Verdict
from coldsend.domain.providers import provider_of
from coldsend.domain.reply_rules import RULES, UNEXPECTED, Rule

__all__ = ["ACCEPTED", "accepted", "judge", "provider_of", "repeated"]

ACCEPTED = Verdict(Outcome.ACCEPTED, Action.NONE, "accepted")
# Counts against the sender: a server that keeps falling silent after the dot must not make a whole list
# unknown.
UNKNOWN = Verdict(Outcome.UNKNOWN, Action.RECORD_UNKNOWN, "lost_after_final_dot", blames_sender=True)

TEXT_LIMIT = 500  # characters that are searched: servers come to the point, and patterns cost time

_ENDING = frozenset({Action.FAIL, Action.SUPPRESS, Action.FAIL_CONTENT, Action.FAIL_TEMPLATE})


def judge(answer: Answer, *, provider: str = "") -> Verdict:
    """The verdict on any answer. provider: :func:`provider_of` the recipient's domain, "" if not known."""
    if accepted(answer):
        return ACCEPTED
    if answer.phase is Phase.FINAL and (answer.lost or answer.code // 100 not in (4, 5)):
        return UNKNOWN
    if answer.lost:
        # The text is our own description of the failure: its words are nobody's answer.
        answer = Answer(answer.phase, 0, lost=True)
    elif len(answer.text) > TEXT_LIMIT:
        answer = Answer(answer.phase, answer.code, answer.enhanced, answer.text[:TEXT_LIMIT])
    rule = next((rule for rule in RULES if rule.fits(answer, provider)), UNEXPECTED)
    outcome, action = _outcome(answer, rule), rule.action
    if outcome is Outcome.TEMPORARY and action in _ENDING:
        # The words tell of an end, the code of another try: the code is what the server commits itself to.
        action = Action.RETRY
    return Verdict(outcome, action, rule.name, rule.blames_sender, rule.wait_seconds, rule.freeze)


def accepted(answer: Answer) -> bool:
    """Whether the server has taken the message over."""
    return answer.phase is Phase.FINAL and 200 <= answer.code < 300 and not answer.lost


def repeated(verdict: Verdict, answer: Answer) -> Verdict:
    """The verdict where this recipient's earlier attempt came as far as the envelope, and is tried again.

    One recipient at whom a server hangs up, or says "slow down", each time must not make its service rest or
    freeze each time: what it meets again counts against itself, by growing waits and an end.
    """
    if answer.phase in BEFORE_MESSAGE or verdict.outcome is Outcome.UNKNOWN:
        return verdict
    if answer.lost:
        return replace(verdict, blames_sender=False)
    if answer.phase is not Phase.MAIL and verdict.action in _RESTS:
        return replace(verdict, action=Action.RETRY, blames_sender=False, wait_seconds=0.0)
    return verdict


_RESTS = frozenset({Action.SLOW_DOWN, Action.COOL_DOWN})


def _outcome(answer: Answer, rule: Rule) -> Outcome:
    """By the class of the code; where there is none, by what the words come to."""
    digit = str(answer.code // 100) if answer.code else answer.enhanced[:1]
    if digit == "4":
        return Outcome.TEMPORARY
    if digit == "5":
        return Outcome.PERMANENT
    return Outcome.PERMANENT if rule.action in _ENDING else Outcome.TEMPORARY
