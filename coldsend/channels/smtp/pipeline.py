"""The fast path: messages over one connection with one write, one read and one wake-up each.

Where the server offers PIPELINING, MAIL, RCPT and DATA go out in one group (RFC 2920), and the group of the
next message goes out together with the body and the final dot of the one before: the end of a message may be
the first "command" of a group. All of it happens as answers come in, without a task in between.

What must hold:

* At most one final dot of a connection is without its answer, and the sender of the message before has
  noted its answer before the next ``before_commit`` is called.
* ``before_commit`` is called immediately before the write that has the dot in it.
* A body follows only the 354 that belongs to it. Nothing is written before all that has come in is read.
* The answer to a dot counts only when the answers to the envelope behind it have shown, by their kinds, that
  it was its own: a server that says too much or too little makes the outcome unknown, not wrong. Kinds that
  show nothing (a refused envelope) are followed by RSET, whose answer does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from coldsend.channels.smtp import wire
from coldsend.channels.smtp.behind import Behind
from coldsend.channels.smtp.connection import Connection
from coldsend.channels.smtp.queued import Delivery, closed_while_idle
from coldsend.channels.smtp.reply import Reply
from coldsend.channels.smtp.transaction import (
    CLOSING,
    RESET_DONE,
    START_DATA,
    final_answer,
    lost,
    refused,
)
from coldsend.config.settings import SmtpSettings
from coldsend.domain.answers import Answer, Phase

BEHIND_SECONDS = 30.0  # for the first answer to an envelope behind a dot; then it is sent without a dot

_PHASES = (Phase.MAIL, Phase.RCPT, Phase.DATA)
# What is answered next: an envelope's commands are 0, 1 and 2.
_RSET, _DATA, _LONE_DOT = -1, 2, 3
_NOT_UNDERSTOOD = (500, 502, 503)  # a command that the server has cut, or has not seen the one before


class Pipeline:
    """What is under way over one connection.

    more: the next message for it, if one waits that may go out now; told whether it would be behind the dot
    of another one. idle: called when nothing is under way any more. ended: the connection has failed; told
    whether a message keeps its slot.
    """

    def __init__(
        self,
        connection: Connection,
        settings: SmtpSettings,
        behind: Behind,
        more: Callable[[Connection, bool], Delivery | None],
        idle: Callable[[Connection], None],
        ended: Callable[[Connection, bool], None],
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._timeouts = (settings.mail_timeout, settings.rcpt_timeout, settings.data_timeout)
        self._server = behind
        self._more, self._idle, self._ended = more, idle, ended
        self._finishing: Delivery | None = None  # its dot is out
        self._held: tuple[Delivery, Answer] | None = None  # answered, if that was the answer to its dot
        self._current: Delivery | None = None  # its envelope is out
        self._behind = False  # and went out behind a dot
        self._step = 0  # what is answered next
        self._refusal: tuple[Phase, Reply] | None = None  # the first answer that was not the one we need
        self._then: Callable[[], None] | None = None  # what to do when all that has come in is read
        self._out_of_step = False  # answers and commands do not go together
        self._garbled = False  # the server has not understood what came behind a dot
        self._abandoned = False  # by us

    def begin(self, delivery: Delivery) -> None:
        """Send the envelope over the idle connection."""
        connection = self._connection
        connection.listener = self
        delivery.reused = connection.used
        if not connection.quiet:
            self._current, self._step = delivery, 0
            connection.fail("the server spoke out of turn")
            return
        self._send_group(delivery, reset=connection.needs_reset)
        self._wait()

    # what the connection calls

    def hear(self, arrived: list[Reply], more_began: bool) -> None:
        """Answers have come in. more_began: and the beginning of another one."""
        connection = self._connection
        for number, reply in enumerate(arrived, 1):
            if self._then is not None:
                self._out_of_turn(reply)
            elif self._finishing is not None:
                self._end(self._finishing, reply, arrived[number] if number < len(arrived) else None)
            elif self._step == _RSET:
                self._reset(reply)
            elif self._current is not None:
                self._advance(self._current, reply)
            else:
                self._out_of_turn(reply)
            if connection.failure:
                return
        if self._then is not None:
            if more_began:
                self._out_of_turn(None)
                return
            self._then()
        if self._then is not None:
            return  # a moment later
        if self._finishing is not None or self._current is not None or self._step == _RSET:
            self._wait()
        else:
            connection.listener = None
            connection.used = True
            self._idle(connection)

    def failed(self) -> None:
        """The connection is gone: tell everybody how far they came."""
        connection = self._connection
        connection.listener = None
        finishing, current, self._finishing, self._current = self._finishing, self._current, None, None
        unanswered = connection.timed_out and finishing is None
        doubtful = self._out_of_step or connection.unreadable or self._unproven(unanswered=unanswered)
        unheard = self._garbled or (self._behind and unanswered)
        if not self._abandoned and (
            (self._held is not None and doubtful)
            or (current is not None and self._behind and (unheard or finishing is not None))
        ):
            self._server.went_wrong(connection)
        self._server.ended(connection)
        self._tell_held(ours=not doubtful)
        if finishing is not None:
            finishing.settle(lost(Phase.FINAL, connection))
        keeps_slot = False
        if current is not None:
            told = self._told(unheard=unheard)
            keeps_slot = current.keeps_slot = closed_while_idle(current, told) and not current.done.done()
            current.settle(told)
        self._ended(connection, keeps_slot)

    def give_up(self, delivery: Delivery) -> None:
        """Nobody waits for this message any more; no dot of its own may go out."""
        if delivery is self._finishing or (delivery is self._current and self._finishing is None):
            self._abandon("given up")

    def _unproven(self, *, unanswered: bool) -> bool:
        """Whether the answers behind the one that is held leave open whose it was."""
        if unanswered and self._refusal is not None:
            # An answer never came, and the refusal may have been the last one of all.
            return True
        # A refusal, and not all the answers behind it: had it been one too many, they would look the same.
        return self._held is not None and self._held[1].code >= 400 and self._step != 0

    def _told(self, *, unheard: bool) -> Answer:
        """What the message whose envelope was out is told of the end. unheard: its answers prove nothing."""
        if unheard or (self._refusal is None and self._step <= 0):
            return lost(Phase.MAIL, self._connection)
        if self._refusal is not None:
            return refused(*self._refusal, self._connection)
        return lost(_PHASES[min(self._step, _DATA)], self._connection)

    # one answer each

    def _end(self, delivery: Delivery, reply: Reply, another: Reply | None) -> None:
        """The answer to a final dot. another: a reply that came with it."""
        connection, current = self._connection, self._current
        self._finishing = None
        connection.used = True
        told = final_answer(reply, another if current is None else None, connection)
        if current is None or connection.failure:
            delivery.settle(told)
        elif told.code == CLOSING:
            delivery.settle(told)
            connection.fail("the server closes the connection")
        elif current.done.done():
            delivery.settle(told)
            self._abandon("given up")  # its sender has gone; the message before is safe now
        else:
            self._held = (delivery, told)

    def _reset(self, reply: Reply) -> None:
        """The answer to RSET."""
        self._step = 0
        connection = self._connection
        if reply.code != RESET_DONE:
            self._out_of_step = reply.code != CLOSING
            connection.fail("the server refused RSET")
            return
        connection.needs_reset = False
        self._tell_held(ours=True)

    def _advance(self, delivery: Delivery, reply: Reply) -> None:
        """An answer to MAIL, RCPT, DATA, or the lone dot."""
        step, code = self._step, reply.code
        self._step = step + 1
        if step == _LONE_DOT:
            self._refuse(delivery)
        elif step == _DATA and code == START_DATA:
            self._begin_body()
        elif step < _DATA and 200 <= code < 300:
            return
        elif code < 400:
            self._step = step
            self._out_of_step = True
            self._connection.fail(f"the server answered {_PHASES[step]} with {code}")
        else:
            self._refused(delivery, step, reply)

    def _refused(self, delivery: Delivery, step: int, reply: Reply) -> None:
        """A refusal of one of the three commands; the last one ends the group."""
        if self._refusal is None:
            self._refusal = (_PHASES[step], reply)
        if reply.code == CLOSING:
            self._step = step
            self._connection.fail("the server closes the connection")
        elif self._behind and step == 0 and reply.code in _NOT_UNDERSTOOD:
            self._garbled = True
            self._connection.fail("the server lost a command that came behind a message")
        elif step == _DATA:
            self._refuse(delivery)

    def _begin_body(self) -> None:
        """354: its place among the answers shows that they are those we take them for."""
        self._tell_held(ours=True)
        if self._behind:
            self._server.worked()
        if self._refusal is None:
            self._then = self._commit_next
        elif self._refusal[0] is Phase.RCPT:
            self._then = self._end_nothing
        else:
            # The server has a recipient: a dot could hand it an empty message.
            self._connection.fail("the server wants the message of a sender it refused")

    def _refuse(self, delivery: Delivery) -> None:
        """The envelope was refused, and the server has said so to the end."""
        assert self._refusal is not None
        self._current = None
        delivery.settle(refused(*self._refusal, self._connection))
        self._then = self._go_on

    def _out_of_turn(self, reply: Reply | None) -> None:
        """A reply (None: the beginning of one) that nothing was asked for."""
        connection = self._connection
        connection.uninvited = reply
        if reply is None or reply.code != CLOSING:
            self._out_of_step = True
        if reply is not None and reply.code >= 400 and self._refusal is None:
            self._refusal = (Phase.DATA, reply)
        connection.fail("the server spoke out of turn")

    # what follows when everything is read

    def _commit_next(self) -> None:
        # Whoever sent the message before is woken first, and notes its answer.
        asyncio.get_running_loop().call_soon(self._commit)

    def _commit(self) -> None:
        """The server waits for the body: send it with its dot, and the next envelope behind it."""
        connection, delivery = self._connection, self._current
        if connection.failure or delivery is None:
            return
        self._then = None
        if delivery.done.done():
            self._abandon("given up")
            return
        if not connection.quiet:
            self._out_of_turn(None)
            return
        try:
            delivery.before_commit()
        except BaseException as error:
            self._current = None
            delivery.done.set_exception(error)
            self._abandon("given up before the final dot")
            return
        body = delivery.message.data
        if not delivery.message.clean:
            body = wire.stuffed(body)
        self._finishing = delivery
        self._current = following = self._more(connection, True)
        if following is None:
            connection.write(body + b".\r\n")
        else:
            following.reused = True
            self._step, self._refusal, self._behind = 0, None, True
            connection.write(b"".join((body, b".\r\n", self._envelope(following))))
        self._wait()

    def _end_nothing(self) -> None:
        """A DATA that began though its recipient was refused: the lone dot of RFC 2920, 3.1."""
        self._then = None
        self._connection.write(b".\r\n")

    def _go_on(self) -> None:
        """After a refusal: RSET, and the next envelope in the same group."""
        self._then = None
        following = self._more(self._connection, False)
        if following is not None:
            following.reused = True
        self._send_group(following, reset=True)

    def _send_group(self, delivery: Delivery | None, *, reset: bool) -> None:
        self._current, self._refusal, self._behind = delivery, None, False
        self._step = _RSET if reset else 0
        group = b"RSET\r\n" if reset else b""
        self._connection.write(group + self._envelope(delivery) if delivery is not None else group)

    def _envelope(self, delivery: Delivery) -> bytes:
        return wire.envelope(delivery.message, self._connection.extensions)

    def _tell_held(self, *, ours: bool) -> None:
        """ours: the answer was the one to the dot."""
        if self._held is not None:
            delivery, told = self._held
            self._held = None
            delivery.settle(told if ours else lost(Phase.FINAL, self._connection))

    def _abandon(self, why: str) -> None:
        self._abandoned = True
        self._connection.fail(why)

    def _wait(self) -> None:
        """Set the time until which the next answer must have come."""
        connection, current, step = self._connection, self._current, self._step
        connection.deadline = inf
        if self._finishing is not None:
            seconds = self._settings.final_timeout
        else:
            if current is not None:
                connection.deadline = current.begins(self._settings.session_deadline)
            seconds = self._timeouts[min(max(step, 0), _DATA)]
            if self._behind and step == 0:
                seconds = min(seconds, BEHIND_SECONDS)
        connection.answer_within(seconds)
