"""What a way out of alerts is: a name, and one method that hands a message over or says why it could not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from coldsend.domain.alert import Notice

SECONDS = 8.0  # one attempt takes no longer: a process that is told to stop has ten


class NotDelivered(Exception):
    """One attempt failed. final: no later one can do better. Its text holds no secret."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class Target(Protocol):
    """One place that alerts go to."""

    @property
    def name(self) -> str:
        """``email:a@b``, ``webhook:NAME``, ``chat:NAME`` or ``log``."""
        ...

    @property
    def gathers(self) -> bool:
        """Whether several notices may go in one message."""
        ...

    async def send(self, notices: Sequence[Notice], message_id: str, at: datetime) -> None:
        """Hand one message over; NotDelivered. message_id: the same for each attempt."""
        ...
