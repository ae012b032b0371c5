"""One message over one connection: MAIL, RCPT, DATA, the body, the final dot (RFC 5321, 3.3; RFC 2920).

With PIPELINING the three commands are one write. ``before_commit`` is called immediately before the write
that has the final dot in it; whatever happens from then on without an answer is Phase.FINAL and lost, so
that the engine takes the message for possibly delivered. Before it, a lost connection is a retry.
"""

from __future__ import annotations

from collections.abc import Callable

from coldsend.channels.smtp import wire
from coldsend.channels.smtp.connection import Connection
from coldsend.channels.smtp.reply import Reply, answer
from coldsend.config.settings import SmtpSettings
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.message import Message

BLOCK = 65536  # bodies up to this go out in one write together with the final dot

START_DATA = 354
CLOSING = 421

_PHASES = (Phase.MAIL, Phase.RCPT, Phase.DATA)


async def deliver(
    connection: Connection, message: Message, settings: SmtpSettings, before_commit: Callable[[], None]
) -> Answer:
    """Hand ``message`` over step by step and say how far it came; ``wire.refusal`` has nothing against it.

    A connection that must not be used again has failed.
    """
    answered = await _open(connection, message, settings)
    if answered is None:
        answered = await _send_body(connection, message, settings, before_commit)
    return answered


async def _open(connection: Connection, message: Message, settings: SmtpSettings) -> Answer | None:
    """MAIL, RCPT and DATA; None where the server waits for the body."""
    if connection.needs_reset and not await _reset(connection, settings):
        return lost(Phase.MAIL, connection)
    commands = (
        wire.mail_command(message, connection.extensions),
        wire.rcpt_command(message),
        b"DATA\r\n",
    )
    timeouts = (settings.mail_timeout, settings.rcpt_timeout, settings.data_timeout)
    if connection.extensions.pipelining:
        if connection.transcript:
            connection.say(b"".join(commands).decode().rstrip().replace("\r", ""))
        connection.write(b"".join(commands), 3)
        replies = await connection.replies(3, timeouts)
        answered = _first_refusal(connection, replies)
        if answered is not None and len(replies) == 3 and replies[2].code == START_DATA:
            await _send_nothing(connection, settings, recipient_refused=replies[1].code // 100 != 2)
        return answered
    for number, (command, timeout) in enumerate(zip(commands, timeouts, strict=True)):
        connection.say(command.decode().strip())
        connection.write(command, 1)
        replies = await connection.replies(1, (timeout,))
        answered = _first_refusal(connection, replies[:1], _PHASES[number : number + 1])
        if answered is not None:
            return answered
    return None


def _first_refusal(
    connection: Connection, replies: list[Reply], phases: tuple[Phase, ...] = _PHASES
) -> Answer | None:
    """The first reply that is not the one we need, or the loss of the connection before it came."""
    for phase, reply in zip(phases, replies, strict=False):
        wanted = reply.code == START_DATA if phase is Phase.DATA else 200 <= reply.code < 300
        if not wanted:
            return refused(phase, reply, connection)
    if connection.failure:
        return lost(phases[min(len(replies), len(phases) - 1)], connection)
    return None


async def _send_body(
    connection: Connection, message: Message, settings: SmtpSettings, before_commit: Callable[[], None]
) -> Answer:
    data = message.data if message.clean else wire.stuffed(message.data)
    position = 0
    while len(data) - position > BLOCK and not connection.failure:
        connection.write(data[position : position + BLOCK])
        position += BLOCK
        await connection.drained(settings.block_timeout)
    if not connection.quiet:
        if connection.uninvited is not None and connection.uninvited.code >= 400:
            return refused(Phase.DATA, connection.uninvited, connection)
        connection.fail("the server spoke out of turn")
        return lost(Phase.DATA, connection)
    try:
        before_commit()
    except BaseException:
        connection.fail("given up before the final dot")
        raise
    connection.write((data[position:] if position else data) + b".\r\n", 1)
    connection.say(f"(message of {len(data)} octets)\n.")
    replies = await connection.replies(1, (settings.final_timeout,))
    if not replies:
        return lost(Phase.FINAL, connection)
    code = replies[0].code
    if connection.uninvited is not None and code >= 300:
        # Two answers to one dot: the refusal may belong to something else.
        return lost(Phase.FINAL, connection)
    if 300 <= code < 400:
        connection.fail(f"the server answered the final dot with {code}")
        return lost(Phase.FINAL, connection)
    if code == CLOSING:
        connection.fail("the server closes the connection")
    return answer(Phase.FINAL, replies[0], connection.secrets)


async def _send_nothing(connection: Connection, settings: SmtpSettings, *, recipient_refused: bool) -> None:
    """End a DATA that began though its recipient (or sender) was refused: the lone dot of RFC 2920, 3.1."""
    if not recipient_refused:
        # The server has a recipient: a dot could hand it an empty message.
        connection.fail("the server wants the message of a sender it refused")
        return
    connection.say(".")
    connection.write(b".\r\n", 1)
    await connection.replies(1, (settings.data_timeout,))


async def _reset(connection: Connection, settings: SmtpSettings) -> bool:
    connection.say("RSET")
    connection.write(b"RSET\r\n", 1)
    replies = await connection.replies(1, (settings.mail_timeout,))
    if connection.failure or not replies or replies[0].code != 250:
        connection.fail("the server refused RSET")
        return False
    connection.needs_reset = False
    return True


def refused(phase: Phase, reply: Reply, connection: Connection) -> Answer:
    """An answer that is not the one we need; the transaction is open, or the connection has failed."""
    connection.needs_reset = True
    if reply.code == CLOSING:
        connection.fail("the server closes the connection")
    elif reply.code < 400:
        connection.fail(f"the server answered {phase} with {reply.code}")
        return lost(phase, connection)
    return answer(phase, reply, connection.secrets)


def lost(phase: Phase, connection: Connection) -> Answer:
    """No answer, because the connection failed."""
    return Answer(phase, 0, text=connection.failure, lost=True)
