"""A value from TOML or from an environment variable, as the type of its settings key and within its limits.

Every refusal is a ValueError whose sentence says what would be right. What is refused is quoted, shortened,
unless the key is secret.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, get_origin

from coldsend.config.settings import Key
from coldsend.domain.printable import is_printable

WORDS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}

# Lines that may be broken, words that any space may part: all else ends up in a header, a path, a host name.
MULTILINE = frozenset({"postal_address"})


def from_toml(key: Key, value: Any) -> Any:
    """A value that tomllib made; numbers and booleans must be just that, not text."""
    if key.type is bool:
        if isinstance(value, bool):
            return value
        raise ValueError(f"must be true or false, not {_quoted(value)}")
    if key.type in (int, float):
        return _number(key, value)
    if get_origin(key.type) is tuple:
        if not isinstance(value, list) or not value:
            raise ValueError("must be a list of numbers, such as [5, 15, 30]")
        return tuple(_number(key, item) for item in value)
    if not isinstance(value, str):
        raise ValueError(f'must be text in quotes: {key.name} = "..."')  # noqa: TRY004
    return _text(key, value)


def from_variable(key: Key, text: str) -> Any:
    """The text of an environment variable; lists are separated by commas or spaces."""
    text = text.strip()
    if key.type is bool:
        if text.lower() in WORDS:
            return WORDS[text.lower()]
        raise ValueError(f"must be true or false, not {_quoted(text)}")
    if key.type in (int, float):
        return _number(key, _parsed(key.type, text))
    if get_origin(key.type) is tuple:
        parts = [part for part in re.split(r"[,\s]+", text) if part]
        if not parts:
            raise ValueError("must be a list of numbers, such as 5,15,30")
        return tuple(_number(key, _parsed(float, part)) for part in parts)
    return _text(key, text)


def _parsed(kind: type, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"must be {_what(kind)}, not {_quoted(text)}") from None


def _number(key: Key, value: Any) -> Any:
    kind = int if key.type is int else float
    right = isinstance(value, int) if kind is int else isinstance(value, (int, float))
    if isinstance(value, bool) or not right or not _finite(value):
        raise ValueError(f"must be {_what(kind)}, not {_quoted(value)}")
    if key.minimum is not None and value < key.minimum:
        raise ValueError(f"must be at least {key.minimum:g}, not {_quoted(value)}")
    if key.maximum is not None and value > key.maximum:
        raise ValueError(f"must be at most {key.maximum:g}, not {_quoted(value)}")
    return kind(value)


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False


def _text(key: Key, value: str) -> Any:
    breaks_allowed = key.path in MULTILINE
    if any(not (c.isprintable() or (breaks_allowed and (c in "\r\n" or is_printable(c)))) for c in value):
        raise ValueError("has a control character in it" + ("" if breaks_allowed else ", or a line break"))
    if key.choices and value not in key.choices:
        raise ValueError(f"must be one of {', '.join(key.choices)}, not {_quoted(value)}")
    return Path(value) if key.type is Path else value


def _what(kind: type) -> str:
    return "a whole number" if kind is int else "a number"


def _quoted(value: Any) -> str:
    try:
        shown = repr(value)
    except ValueError:  # a whole number with more digits than Python prints
        return "that"
    return shown if len(shown) <= 60 else shown[:57] + "..."
