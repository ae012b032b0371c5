"""The ramp of a new service: it may send a few messages on its first day, and more on each later one.

Stored as ``{"start": 20, "step": 10, "since": "2027-03-01"}``: 20 messages on the first day it sends, 30 on
the second; days on which it sends nothing do not count. The daily quota is where the ramp ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class Ramp:
    """start, step: messages a day. since: the quota day from which on days count."""

    start: int
    step: int
    since: date

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Ramp:
        """From what the column ``ramp`` holds."""
        return cls(int(document["start"]), int(document["step"]), date.fromisoformat(document["since"]))

    def document(self) -> dict[str, Any]:
        """What the column ``ramp`` holds."""
        return {"start": self.start, "step": self.step, "since": self.since.isoformat()}

    def limit(self, days: int) -> int:
        """Messages on a day that ``days`` days since it began, on which something was sent, came before."""
        return self.start + self.step * days
