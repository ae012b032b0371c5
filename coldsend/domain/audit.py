"""What the audit log keeps of a command line: its words, shortened, without anything secret. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

MASK = "***"
LONGEST_WORD = 300
MOST_WORDS = 40

# Options whose values may hold a password or token, whatever they look like.
SECRET_OPTIONS = frozenset({"--token-command"})

_LOGIN = re.compile(r"(?<=://).*@", re.DOTALL)  # a password may hold anything, spaces too
_IN_QUERY = re.compile(r"([?&][^=&\s]*(?:password|passwd|secret|token|key)[^=&\s]*=)[^&\s]+", re.IGNORECASE)


def kept(words: Sequence[str], *, private: bool = False) -> list[str]:
    """The words as they may be kept. private: of values, that there were some, and of options their names."""
    found: list[str] = []
    hide_next = False
    for word in words[:MOST_WORDS]:
        name, equals, value = word.partition("=")
        is_option = word.startswith("-") and not _is_number(word)
        if hide_next or (private and not is_option):
            found.append(MASK)
            hide_next = False
        elif is_option and equals and (private or name in SECRET_OPTIONS):
            found.append(f"{name}={MASK}" if value else word)
        else:
            hide_next = name in SECRET_OPTIONS
            found.append(_shortened(without_logins(word)))
    left_out = len(words) - len(found)
    return [*found, f"({left_out} more)"] if left_out > 0 else found


def without_logins(text: str) -> str:
    """The text with user and password taken out of URLs, and what is called a password or token in them."""
    return _IN_QUERY.sub(rf"\1{MASK}", _LOGIN.sub(f"{MASK}@", text))


def _shortened(word: str) -> str:
    return word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}.. ({len(word)} characters)"


def _is_number(word: str) -> bool:
    return word.lstrip("-").replace(".", "", 1).isdecimal()
