"""A message that waits for a connection or is under way over one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from coldsend.channels.smtp.connection import Connection
from coldsend.channels.smtp.transaction import BLOCK, CLOSING
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.message import Message


class Delivery:
    """One message on its way. ``done``: its Answer; a Connection to send it over alone; None: a free slot.

    deadline: of the event loop's clock, once it has left the queue. reused: it went over a connection that
    had carried another one. keeps_slot: its connection broke before it had heard anything of this message;
    the place is still its own, and it may try a new one.
    """

    __slots__ = ("before_commit", "deadline", "done", "keeps_slot", "message", "reused")

    def __init__(self, message: Message, before_commit: Callable[[], None]) -> None:
        self.message = message
        self.before_commit = before_commit
        self.deadline: float | None = None
        self.reused = False
        self.keeps_slot = False
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def renew(self) -> None:
        """Once more, over another connection."""
        self.reused = self.keeps_slot = False
        self.done = asyncio.get_running_loop().create_future()

    def settle(self, result: Answer | Connection | None) -> None:
        if not self.done.done():
            self.done.set_result(result)

    def begins(self, session_deadline: float) -> float:
        """Its deadline; it leaves the queue now, if it has not done so before."""
        if self.deadline is None:
            self.deadline = asyncio.get_running_loop().time() + session_deadline
        return self.deadline


def fits(connection: Connection, message: Message) -> bool:
    """Whether a message may take the fast path over this connection."""
    return connection.extensions.pipelining and connection.transcript is None and len(message.data) <= BLOCK


def closed_while_idle(delivery: Delivery, told: Answer) -> bool:
    """The connection had ended, which only shows when it is used, or the server takes no more over it.

    Nothing of the message was sent; what a new connection meets is the answer.
    """
    return delivery.reused and told.phase is Phase.MAIL and (told.lost or told.code == CLOSING)
