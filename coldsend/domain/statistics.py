"""Intervals and the test that rates are judged with. Rates are successes by trials, 0 to 1.

Sources: the score interval of a rate is Wilson's (1927), that of a difference Newcombe's hybrid of two of
them (Statistics in Medicine 17, 1998, methods 3 and 10 of his two papers). Both stay within their bounds
and hold for the small counts that replies are. The test of two rates is Fisher's exact one, central: twice
the smaller of the two tails, so that it errs at most half of its level in either direction, whatever the
true rate is and however few successes there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, lgamma, sqrt
from statistics import NormalDist

_NORMAL = NormalDist()
_NEGLIGIBLE = 1e-17  # of the sum so far: adding it changes nothing


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true value lies, with the confidence that was asked for."""

    low: float
    high: float


def rate_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a rate. Without trials nothing is known: 0 to 1.

    ValueError where the counts are impossible or confidence is not between 0 and 1.
    """
    _require_counts(successes, trials)
    z = _z(1 - confidence)
    if trials == 0:
        return Interval(0.0, 1.0)
    rate, z2 = successes / trials, z * z
    middle = rate + z2 / (2 * trials)
    reach = z * sqrt(rate * (1 - rate) / trials + z2 / (4 * trials * trials))
    scale = 1 + z2 / trials
    low = 0.0 if successes == 0 else max(0.0, (middle - reach) / scale)
    high = 1.0 if successes == trials else min(1.0, (middle + reach) / scale)
    return Interval(low, high)


def difference_interval(
    successes: int, trials: int, other_successes: int, other_trials: int, confidence: float = 0.95
) -> Interval:
    """Newcombe's interval of how much the first rate is above the other, -1 to 1. ValueError as above."""
    one = rate_interval(successes, trials, confidence)
    other = rate_interval(other_successes, other_trials, confidence)
    if not trials or not other_trials:
        return Interval(one.low - other.high, one.high - other.low)
    rate, other_rate = successes / trials, other_successes / other_trials
    difference = rate - other_rate
    below = sqrt((rate - one.low) ** 2 + (other.high - other_rate) ** 2)
    above = sqrt((one.high - rate) ** 2 + (other_rate - other.low) ** 2)
    return Interval(max(-1.0, difference - below), min(1.0, difference + above))


def chance_of_difference(successes: int, trials: int, other_successes: int, other_trials: int) -> float:
    """How likely a difference as large as this one is if the true rates are the same (the p-value).

    Fisher's exact test, central: at most 1, and 1 where one side has no trials. ValueError as above.
    """
    _require_counts(successes, trials)
    _require_counts(other_successes, other_trials)
    least = _upper_tail(successes, trials, successes + other_successes, trials + other_trials)
    most = _upper_tail(other_successes, other_trials, successes + other_successes, trials + other_trials)
    return min(1.0, 2 * min(least, most))


def trials_needed(rate: float, other_rate: float, level: float, power: float = 0.8) -> int | None:
    """How many trials on each side tell these two rates apart, in ``power`` of cases; None if they are equal.

    level: of the two-sided test. The usual normal approximation, for planning: Fleiss, Statistical Methods
    for Rates and Proportions, with his correction for the exact test.
    """
    gap = abs(rate - other_rate)
    if gap == 0:
        return None
    mean = (rate + other_rate) / 2
    spread = sqrt(rate * (1 - rate) + other_rate * (1 - other_rate))
    by_chance, by_power = _z(level), _NORMAL.inv_cdf(power)
    plain = (by_chance * sqrt(2 * mean * (1 - mean)) + by_power * spread) ** 2 / gap**2
    return ceil(plain / 4 * (1 + sqrt(1 + 4 / (plain * gap))) ** 2)


def _upper_tail(hits: int, drawn: int, marked: int, total: int) -> float:
    """Chance of ``hits`` or more marked ones among ``drawn`` out of ``total``, of which ``marked`` are."""
    fewest, most = max(0, drawn + marked - total), min(drawn, marked)
    if hits <= fewest:
        return 1.0
    if hits > drawn * (marked / total):
        return _tail(hits, most, 1, drawn, marked, total)
    # Below the middle most of the mass is above: its complement has few terms.
    return max(0.0, 1 - _tail(hits - 1, fewest, -1, drawn, marked, total))


def _tail(start: int, end: int, step: int, drawn: int, marked: int, total: int) -> float:
    """Sum of the hypergeometric probabilities from ``start`` outwards to ``end``."""
    term = exp(
        _log_choose(marked, start) + _log_choose(total - marked, drawn - start) - _log_choose(total, drawn)
    )
    added, hits = term, start
    while hits != end and term > added * _NEGLIGIBLE:
        if step > 0:
            term *= (marked - hits) * (drawn - hits) / ((hits + 1) * (total - marked - drawn + hits + 1))
        else:
            term *= hits * (total - marked - drawn + hits) / ((marked - hits + 1) * (drawn - hits + 1))
        hits += step
        added += term
    return min(1.0, added)


def _log_choose(total: int, chosen: int) -> float:
    return lgamma(total + 1) - lgamma(chosen + 1) - lgamma(total - chosen + 1)


def _z(level: float) -> float:
    """The normal deviate that is exceeded, in either direction, with this chance."""
    if not 0 < level < 1:
        raise ValueError(f"a level is between 0 and 1, not {level}")
    return _NORMAL.inv_cdf(1 - level / 2)


def _require_counts(successes: int, trials: int) -> None:
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no rate")
