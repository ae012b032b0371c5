"""The seam between delivery and the ways out. A channel is anything with these two methods.

``send`` hands one message over and says how far it came (:class:`~coldsend.domain.answers.Answer`); it
raises nothing but programming errors and ``asyncio.CancelledError``. It calls ``before_commit()`` exactly
once, immediately before the step after which the outcome can be unknown: the final dot of SMTP, the request
of an HTTP API. If ``before_commit`` raises, nothing of that step may go out. A channel that takes such a step
for another message before ``send`` has returned must first call ``answered`` with the answer: so that no more
answers than ``capacity`` are ever known to the channel alone.

At most ``capacity`` messages are on their way at once, and may be in doubt after a crash. ``appetite`` is how
many sends it likes to have at hand: more than that where the next message can be prepared behind the one
before, otherwise the same. How to add one: docs/adding-a-channel.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from coldsend.domain.answers import Answer
from coldsend.domain.message import Message

Transcript = Callable[[str, str], None]
"""Hears the dialogue: "C" (we) or "S" (the server), and one line of it, with secrets masked."""


class Channel(Protocol):
    """One open way out through one sender service."""

    capacity: int
    appetite: int

    async def send(
        self,
        message: Message,
        before_commit: Callable[[], None],
        answered: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Hand ``message`` over; the answer says how far it came."""
        ...

    async def close(self) -> None:
        """Say goodbye to servers and let go of connections."""
        ...
