"""The nature of an event, which reports count apart: who opened or clicked, how bad a bounce or a refusal is.

Decided from what is stored with the event, so that it can be counted again at any time with the same result.
The database decides it for many at once (stores/rollups.py), by the sets here.
"""

from __future__ import annotations

from enum import StrEnum

from coldsend.domain.answers import Action
from coldsend.domain.reply_rules import RULES


class Nature(StrEnum):
    """What is counted apart within a type of event; NONE where nothing is."""

    NONE = ""
    HUMAN = "human"  # opens and clicks
    MACHINE = "machine"
    OWN = "own"
    HARD = "hard"  # bounces, and refusals for good: the address is no good
    SOFT = "soft"  # the others
    RETRIED = "retried"  # a failed attempt that is not the last one


_ENDING = (Action.SUPPRESS, Action.FAIL, Action.FAIL_CONTENT)

# Reply rules that say the address is no good; all by which a recipient is refused for good; and those that
# blame the sender or need more than one message to tell: a bounce by one of them is soft, whoever says what.
HARD_RULES = frozenset(rule.name for rule in RULES if rule.action is Action.SUPPRESS)
REFUSING_RULES = frozenset(rule.name for rule in RULES if rule.action in _ENDING)
SOFT_RULES = frozenset(
    rule.name for rule in RULES if rule.action not in (Action.SUPPRESS, Action.FAIL, Action.RETRY)
) | {"recipient_disabled", "mailbox_full"}
