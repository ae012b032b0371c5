"""Whose turn it is: templates of a set follow each other in rounds, as often in each as their weights say.

A round is a list of template ids; recipient number n of a task gets ``round[n % len(round)]``. With equal
weights that is each template once, in the order of the set. With others the turns of one template are
spread over the round (smooth weighted round-robin): 3 and 1 give A A B A, not A A A B. After every whole
round the counts are exactly as the weights, and in between they differ from that by less than a round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from coldsend.errors import InvalidInput

LONGEST_ROUND = 100  # turns: shares of one in a hundred
HEAVIEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Turn:
    """A template of a set and its weight: how many turns it takes in a round, 1 or more."""

    template_id: int
    weight: int = 1


def round_of(turns: Sequence[Turn]) -> list[int]:
    """The template ids of one round, in the order they are sent. Weights of 2 and 2 are those of 1 and 1."""
    divisor = gcd(*(turn.weight for turn in turns)) or 1
    weights = [turn.weight // divisor for turn in turns]
    length = sum(weights)
    credit = [0] * len(turns)
    found = []
    for _ in range(length):
        credit = [have + weight for have, weight in zip(credit, weights, strict=True)]
        chosen = credit.index(max(credit))
        credit[chosen] -= length
        found.append(turns[chosen].template_id)
    return found


def require_weights(weights: Sequence[int]) -> None:
    """InvalidInput where these cannot be the weights of one set: below 1, huge, a round that never ends."""
    if wrong := [weight for weight in weights if not 1 <= weight <= HEAVIEST]:
        raise InvalidInput(
            f"a weight is a whole number from 1 to {HEAVIEST}, not {wrong[0]}",
            hint="take a template out of the set if it shall not be sent",
        )
    length = sum(weights) // (gcd(*weights) or 1)
    if length > LONGEST_ROUND:
        raise InvalidInput(
            f"these weights make a round of {length} messages; it has at most {LONGEST_ROUND}",
            hint="use smaller numbers: 9 and 1 say the same as 900 and 100",
        )
