"""The fast path: messages over one connection with one write, one read and one wake-up each.

Where the server offers PIPELINING, MAIL, RCPT and DATA go out in one group (RFC 2920), and the group of the
next message goes out together with the body and the final dot of the one before: the end of a message may be
the first "command" of a group. All of it happens as answers come in, without a task in between.

What must hold: at most one final dot of a connection is without its answer; ``before_commit`` is called
immediately before the write that has the dot in it; a body follows only the 354 that belongs to it, so a
server that says too much or too little is noticed before anything of the next message can go out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from coldsend.channels.smtp import wire
from coldsend.channels.smtp.connection import Connection
from coldsend.channels.smtp.reply import Reply, answer
from coldsend.channels.smtp.transaction import BLOCK, CLOSING, START_DATA, lost, refused
from coldsend.config.settings import SmtpSettings
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.message import Message

_PHASES = (Phase.MAIL, Phase.RCPT, Phase.DATA)


class Delivery:
    """One message on its way. ``done``: its Answer; a Connection to send it over alone; None: a free slot.

    answered: told of the answer to the final dot at once. deadline: of the event loop's clock. reused: it
    went over a connection that had carried another one. keeps_slot: its connection broke before it had heard
    anything of this message; the place is still its own.
    """

    __slots__ = ("answered", "before_commit", "deadline", "done", "keeps_slot", "message", "reused")

    def __init__(
        self,
        message: Message,
        before_commit: Callable[[], None],
        answered: Callable[[Answer], None] | None,
        deadline: float,
    ) -> None:
        self.message = message
        self.before_commit = before_commit
        self.answered = answered
        self.deadline = deadline
        self.reused = False
        self.keeps_slot = False
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def renew(self) -> None:
        """Once more, over another connection."""
        self.reused = self.keeps_slot = False
        self.done = asyncio.get_running_loop().create_future()

    def settle(self, result: Answer | Connection | None) -> None:
        if self.done.done():
            return
        if self.answered is not None and isinstance(result, Answer) and result.phase is Phase.FINAL:
            try:
                self.answered(result)
            except Exception as error:
                self.done.set_exception(error)
                return
        self.done.set_result(result)


def fits(connection: Connection, message: Message) -> bool:
    """Whether a message may take the fast path over this connection."""
    return (
        connection.extensions.pipelining
        and connection.transcript is None
        and not connection.needs_reset
        and len(message.data) <= BLOCK
    )


class Pipeline:
    """What is under way over one connection.

    more: the next message for it, if one waits. idle: called when nothing is under way any more. ended: the
    connection has failed; told whether a message keeps its slot.
    """

    def __init__(
        self,
        connection: Connection,
        settings: SmtpSettings,
        more: Callable[[Connection], Delivery | None],
        idle: Callable[[Connection], None],
        ended: Callable[[Connection, bool], None],
    ) -> None:
        self._connection = connection
        self._timeouts = (settings.mail_timeout, settings.rcpt_timeout, settings.data_timeout)
        self._final_timeout = settings.final_timeout
        self._more, self._idle, self._ended = more, idle, ended
        self._finishing: Delivery | None = None  # its dot is out
        self._doubted: tuple[Delivery, Answer] | None = None  # refused, if the answer was its own
        self._current: Delivery | None = None  # its envelope is out
        self._heard = 0  # answers to that envelope
        self._refusal: tuple[Phase, Reply] | None = None  # the first that was not the one we need
        self._last_dot = False  # a lone dot ends a DATA that nobody wanted

    def begin(self, delivery: Delivery) -> None:
        """Send the envelope over the idle connection."""
        self._connection.listener = self
        delivery.reused = self._connection.used
        self._current, self._heard, self._refusal = delivery, 0, None
        self._connection.write(self._envelope(delivery))
        self._wait()

    # what the connection calls

    def hear(self, arrived: list[Reply], more_began: bool) -> None:
        """Answers have come in. more_began: and the beginning of another one."""
        left = len(arrived)
        for reply in arrived:
            left -= 1
            if self._finishing is not None:
                self._end(self._finishing, reply, unasked=left > 0 and self._current is None)
            elif self._current is not None:
                self._advance(self._current, reply, early=arrived[-left] if left else None, began=more_began)
            else:
                self._connection.uninvited = reply
                self._connection.fail("the server spoke out of turn")
            if self._connection.failure:
                return
        if self._finishing is not None or self._current is not None:
            self._wait()
        else:
            self._connection.listener = None
            self._connection.used = True
            self._idle(self._connection)

    def failed(self) -> None:
        """The connection is gone: tell everybody how far they came."""
        self._connection.listener = None
        self._settle_doubted(ours=True)
        finishing, current = self._finishing, self._current
        self._finishing = self._current = None
        if finishing is not None:
            finishing.settle(lost(Phase.FINAL, self._connection))
        keeps_slot = False
        if current is not None:
            if self._refusal is not None:
                told = refused(*self._refusal, self._connection)
            else:
                told = lost(_PHASES[min(self._heard, 2)], self._connection)
            keeps_slot = current.keeps_slot = closed_while_idle(current, told) and not current.done.done()
            current.settle(told)
        self._ended(self._connection, keeps_slot)

    def give_up(self, delivery: Delivery) -> None:
        """Nobody waits for this message any more; no dot of its own may go out."""
        if delivery is self._finishing or (delivery is self._current and self._finishing is None):
            self._connection.fail("given up")

    # one answer each

    def _advance(self, delivery: Delivery, reply: Reply, early: Reply | None, *, began: bool) -> None:
        """An answer to MAIL, RCPT or DATA."""
        if self._last_dot:
            self._last_dot = False
            self._refuse(delivery)
            return
        phase = _PHASES[self._heard]
        self._heard += 1
        wanted = reply.code == START_DATA if phase is Phase.DATA else 200 <= reply.code < 300
        if not wanted and self._refusal is None:
            self._refusal = (phase, reply)
        if self._heard < 3:
            return
        # The predecessor's refusal was its own only if all these answers were ours.
        self._settle_doubted(ours=reply.code == START_DATA or reply.code >= 400)
        if self._refusal is None:
            self._commit(delivery, early, began=began)
        elif reply.code != START_DATA:
            self._refuse(delivery)
        elif self._refusal[0] is Phase.RCPT:
            # A DATA that began though its recipient was refused: the lone dot of RFC 2920, 3.1.
            self._last_dot = True
            self._connection.write(b".\r\n")
        else:
            # The server has a recipient: a dot could hand it an empty message.
            self._connection.fail("the server wants the message of a sender it refused")

    def _refuse(self, delivery: Delivery) -> None:
        assert self._refusal is not None
        self._current = None
        told = refused(*self._refusal, self._connection)  # which may fail the connection
        delivery.settle(told)

    def _commit(self, delivery: Delivery, early: Reply | None, *, began: bool) -> None:
        """The server waits for the body: send it with its dot, and the next envelope behind it."""
        connection = self._connection
        if delivery.done.done():
            self._current = None
            connection.fail("given up")
            return
        if early is not None or began:
            connection.uninvited = early
            if early is not None and early.code >= 400:
                self._refusal = (Phase.DATA, early)
            connection.fail("the server spoke out of turn")
            return
        try:
            delivery.before_commit()
        except BaseException as error:
            self._current = None
            delivery.done.set_exception(error)
            connection.fail("given up before the final dot")
            return
        body = delivery.message.data
        if not delivery.message.clean:
            body = wire.stuffed(body)
        following = self._more(connection)
        self._finishing, self._current = delivery, following
        if following is None:
            connection.write(body + b".\r\n")
            return
        following.reused = True
        self._heard, self._refusal = 0, None
        connection.write(b"".join((body, b".\r\n", self._envelope(following))))

    def _end(self, delivery: Delivery, reply: Reply, *, unasked: bool) -> None:
        """The answer to a final dot. unasked: there is another one that answers nothing."""
        connection, code = self._connection, reply.code
        self._finishing = None
        connection.used = True
        if (unasked and code >= 300) or 300 <= code < 400:
            # Two answers to one dot: the refusal may belong to something else.
            connection.fail(f"the server answered the final dot with {code}")
            delivery.settle(lost(Phase.FINAL, connection))
            return
        told = answer(Phase.FINAL, reply, connection.secrets)
        if code == CLOSING:
            delivery.settle(told)
            connection.fail("the server closes the connection")
        elif code >= 400 and self._current is not None:
            self._doubted = (delivery, told)
        else:
            delivery.settle(told)
        if self._current is not None and self._current.done.done() and not connection.failure:
            connection.fail("given up")  # its sender has gone; the predecessor is safe now

    def _settle_doubted(self, *, ours: bool) -> None:
        if self._doubted is not None:
            delivery, told = self._doubted
            self._doubted = None
            delivery.settle(told if ours else lost(Phase.FINAL, self._connection))

    def _envelope(self, delivery: Delivery) -> bytes:
        return wire.envelope(delivery.message, self._connection.extensions)

    def _wait(self) -> None:
        """Set the time until which the next answer must have come."""
        awaited = self._finishing or self._current
        assert awaited is not None
        self._connection.deadline = awaited.deadline
        seconds = self._final_timeout if self._finishing is not None else self._timeouts[min(self._heard, 2)]
        self._connection.answer_within(seconds)


def closed_while_idle(delivery: Delivery, told: Answer) -> bool:
    """The connection had ended, which only shows when it is used, or the server takes no more over it.

    Nothing of the message was sent; what a new connection meets is the answer.
    """
    return delivery.reused and told.phase is Phase.MAIL and (told.lost or told.code == CLOSING)
