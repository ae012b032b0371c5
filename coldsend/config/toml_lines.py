"""On which line of a TOML document each key stands; ``tomllib`` does not tell.

A scan of lines that follows table headers and steps over multi-line strings. Header and key are read by
``tomllib`` itself, so quoted and dotted names come out as it sees them. A key the scan cannot place (inside
an inline table, say) is simply missing from the answer.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

Path = tuple[str, ...]

_HEADER = re.compile(r"\s*(\[\[?)(.+?)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_\-.\s]|"[^"\\]*"|'[^']*')+?)\s*=\s*(.*)$""")


def lines_of(text: str) -> dict[Path, int]:
    """Line numbers, from 1, of tables and keys by their full path; the first one where a path repeats."""
    found: dict[Path, int] = {}
    table: Path = ()
    open_quote = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if open_quote:
            if open_quote in line:
                open_quote = ""
            continue
        if header := _HEADER.match(line):
            table = _names(f"[{header.group(2)}]") or table
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *_names(f"{key.group(1)} = 0")), number)
            open_quote = _left_open(key.group(2))
    return found


def _names(document: str) -> Path:
    """The path of the only key of a one-line document."""
    try:
        inside: Any = tomllib.loads(document)
    except ValueError:
        return ()
    names: list[str] = []
    while isinstance(inside, Mapping) and inside:
        name, inside = next(iter(inside.items()))
        names.append(name)
    return tuple(names)


def _left_open(value: str) -> str:
    """The triple quote that this line opens and does not close."""
    for quote in ('"""', "'''"):
        if value.startswith(quote) and quote not in value[3:]:
            return quote
    return ""
