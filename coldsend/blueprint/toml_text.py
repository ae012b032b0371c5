"""Values as TOML text that people like to read and edit; ``tomllib`` gives back exactly what was written.

Text of several lines stands between triple quotes with its own quotes as they are, so that HTML stays HTML;
libraries that write TOML escape every one of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

LINE = 100  # characters; longer lists stand on several lines

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_CLOSING = re.compile(r'"{3,}|"+\Z')  # quotes that would end a text
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def header(*names: str) -> str:
    """``[services.main]``."""
    return f"[{'.'.join(key(name) for name in names)}]"


def key(name: str) -> str:
    """A name as a key: bare where it can be."""
    return name if _BARE.fullmatch(name) else _line(name)


def value(given: Any) -> str:
    """Text, number, true or false, time, list or table; a table stands on one line."""
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, (int, float)):
        whole = isinstance(given, float) and given.is_integer() and abs(given) < 2**53
        return repr(int(given)) if whole else repr(given)
    if isinstance(given, datetime):
        return given.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(given, str):
        # A file may lose its carriage returns in any editor: they are written so that they are seen.
        return _block(given) if "\n" in given and "\r" not in given else _line(given)
    if isinstance(given, Mapping):
        inside = ", ".join(f"{key(name)} = {_on_a_line(one)}" for name, one in given.items())
        return f"{{ {inside} }}" if inside else "{}"
    return _list([_on_a_line(one) for one in given])


def _on_a_line(given: Any) -> str:
    return _line(given) if isinstance(given, str) else value(given)


def _list(items: list[str]) -> str:
    on_a_line = f"[{', '.join(items)}]"
    if len(on_a_line) <= LINE:
        return on_a_line
    return "[\n" + "".join(f"  {item},\n" for item in items) + "]"


def _line(text: str) -> str:
    return f'"{"".join(_escaped(character) for character in text)}"'


def _block(text: str) -> str:
    """Text between triple quotes; the line break behind the first ones is not a part of it."""
    plain = "".join(c if c in '\n\t"' else _escaped(c) for c in text)
    plain = _CLOSING.sub(lambda quotes: '\\"' * len(quotes[0]), plain)
    return f'"""\n{plain}"""'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if ord(character) < 32 or ord(character) == 127:
        return f"\\u{ord(character):04x}"
    return character
