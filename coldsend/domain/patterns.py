"""Regular expressions that are compiled when something is first held against them.

The large ones, of all that servers and people may say: together they would be a twentieth of the time that
every command takes to start, and nearly no command asks them.
"""

from __future__ import annotations

import re
from functools import cached_property


class Pattern:
    """One expression, and what is asked of it."""

    def __init__(self, text: str, flags: re.RegexFlag = re.NOFLAG) -> None:
        self._text = text
        self._flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self._text, self._flags)

    def search(self, text: str) -> re.Match[str] | None:
        return self.compiled.search(text)

    def fullmatch(self, text: str) -> re.Match[str] | None:
        return self.compiled.fullmatch(text)
