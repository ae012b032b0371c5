"""Making a connection ready to carry messages: TCP, greeting, EHLO, TLS, AUTH.

Where the service asks for TLS there is no way around it: a server that does not offer STARTTLS, or answers
it with a refusal, is not spoken to. Credentials go over an unencrypted connection only to loopback, or
where the service's settings say ``allow_plaintext_auth``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from coldsend.channels.limits import leave_room, raise_if_ours
from coldsend.channels.seam import Transcript
from coldsend.channels.smtp.auth import Exchange, Secrets
from coldsend.channels.smtp.connection import Connection, reason
from coldsend.channels.smtp.reply import Reply, answer, printable
from coldsend.channels.smtp.resolving import addresses
from coldsend.channels.smtp.wire import extensions
from coldsend.config.settings import SmtpSettings
from coldsend.domain.answers import Answer, Phase

AUTH_LINE_LIMIT = 500  # a longer first response waits for the server's challenge (RFC 4954, 4)


class HandshakeFailed(Exception):
    """The connection never became usable; ``answer`` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer))
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Route:
    """Where to and how. tls: "none", "starttls" or "implicit". helo_name: "" for this host's."""

    host: str
    port: int
    tls: str
    helo_name: str
    allow_plaintext_auth: bool


async def open_connection(
    route: Route,
    secrets: Secrets,
    settings: SmtpSettings,
    context: ssl.SSLContext | None,
    deadline: float,
    transcript: Transcript | None,
) -> Connection:
    """A connection ready for MAIL, before ``deadline`` (event loop time); raises HandshakeFailed."""
    connection = await _connect(route, secrets, settings, deadline, transcript)
    try:
        await _introduce(connection, route, settings, context)
    except BaseException as error:
        connection.fail("the handshake failed")
        await connection.gone()
        if isinstance(error, HandshakeFailed):
            raise HandshakeFailed(error.answer) from None
        raise
    return connection


async def _introduce(
    connection: Connection, route: Route, settings: SmtpSettings, context: ssl.SSLContext | None
) -> None:
    seconds = settings.greeting_timeout
    if route.tls == "implicit":
        await _encrypt(connection, route, context, seconds)
    await _greeting(connection, seconds)
    await _ehlo(connection, route, seconds)
    if route.tls == "starttls":
        await _starttls(connection, seconds)
        await _encrypt(connection, route, context, seconds)
        await _ehlo(connection, route, seconds)
    if connection.secrets:
        await _authenticate(connection, route, seconds)


async def _connect(
    route: Route, secrets: Secrets, settings: SmtpSettings, deadline: float, transcript: Transcript | None
) -> Connection:
    """The first address that answers; every address gets its share of the time that is left."""
    loop = asyncio.get_running_loop()
    ends = min(loop.time() + settings.connect_timeout, deadline)
    where = f"{route.host}:{route.port}"

    def lost(why: str) -> HandshakeFailed:
        return HandshakeFailed(Answer(Phase.CONNECT, 0, text=f"cannot connect to {where}: {why}", lost=True))

    leave_room()
    try:
        async with asyncio.timeout_at(ends):
            found = await addresses(route.host)
    except TimeoutError:
        raise lost("the name could not be resolved in time") from None
    except (OSError, UnicodeError) as error:
        raise_if_ours(error)
        raise lost(str(getattr(error, "strerror", "") or error)) from None
    why = "the name has no address"
    for number, address in enumerate(found):
        share = (ends - loop.time()) / (len(found) - number)
        try:
            async with asyncio.timeout(max(share, 0.001)):
                _, connection = await loop.create_connection(
                    lambda: Connection(secrets, transcript), address, route.port
                )
        except TimeoutError:
            why = "no answer in time"
        except OSError as error:
            raise_if_ours(error)
            why = _plain(error)
        else:
            connection.deadline = deadline
            return connection
    raise lost(why)


async def _greeting(connection: Connection, seconds: float) -> None:
    reply = await _reply_to(connection, None, Phase.GREETING, seconds)
    if reply.code != 220:
        raise HandshakeFailed(answer(Phase.GREETING, reply, connection.secrets))


async def _ehlo(connection: Connection, route: Route, seconds: float) -> None:
    name = route.helo_name or _own_name(connection)
    reply = await _reply_to(connection, f"EHLO {name}", Phase.GREETING, seconds)
    if reply.code // 100 == 5 and reply.code != 554:
        # An old server; it has no extensions, and the checks that follow know what that means.
        reply = await _reply_to(connection, f"HELO {name}", Phase.GREETING, seconds)
        reply = reply._replace(text=b"") if reply.code == 250 else reply
    if reply.code != 250:
        raise HandshakeFailed(answer(Phase.GREETING, reply, connection.secrets))
    connection.extensions = extensions(reply.text)


async def _starttls(connection: Connection, seconds: float) -> None:
    if not connection.extensions.starttls:
        raise HandshakeFailed(
            Answer(Phase.TLS, 0, text="the server does not offer STARTTLS, which this service asks for")
        )
    reply = await _reply_to(connection, "STARTTLS", Phase.TLS, seconds)
    if reply.code != 220:
        raise HandshakeFailed(answer(Phase.TLS, reply, connection.secrets))


async def _encrypt(
    connection: Connection, route: Route, context: ssl.SSLContext | None, seconds: float
) -> None:
    assert context is not None
    try:
        await connection.start_tls(context, route.host, seconds)
    except OSError as error:
        refused = isinstance(error, ssl.SSLError)
        raise HandshakeFailed(
            Answer(Phase.TLS, 0, text=f"TLS failed: {printable(_plain(error))}", lost=not refused)
        ) from None
    connection.say("(encrypted from here)")


async def _authenticate(connection: Connection, route: Route, seconds: float) -> None:
    secrets = connection.secrets
    in_clear = route.tls == "none" and not _is_loopback(connection.peer())
    if in_clear and not route.allow_plaintext_auth:
        raise HandshakeFailed(
            Answer(
                Phase.AUTH,
                538,
                "5.7.11",
                "credentials are never sent unencrypted: use TLS (starttls or implicit)",
            )
        )
    exchange = secrets.exchange(connection.extensions.auth)
    if exchange is None:
        offered = ", ".join(sorted(connection.extensions.auth)) or "no mechanism"
        raise HandshakeFailed(
            Answer(
                Phase.AUTH,
                504,
                "5.5.4",
                printable(f"the server offers {offered}; we can use {secrets.usable_mechanisms()}"),
            )
        )
    reply = await _exchange(connection, exchange, seconds)
    if reply.code != 235:
        raise HandshakeFailed(answer(Phase.AUTH, reply, secrets))


async def _exchange(connection: Connection, exchange: Exchange, seconds: float) -> Reply:
    """Run one SASL exchange; the reply that ends it."""
    line, responses = f"AUTH {exchange.mechanism}", list(exchange.responses)
    shown = line
    if exchange.initial and len(line) + len(responses[0]) < AUTH_LINE_LIMIT:
        line += f" {responses.pop(0).decode()}"
        shown += " ***"
    reply = await _reply_to(connection, line, Phase.AUTH, seconds, shown=shown)
    while reply.code == 334:
        # "*" gives up an exchange that goes on longer than we know it.
        response = responses.pop(0).decode() if responses else "*"
        reply = await _reply_to(connection, response, Phase.AUTH, seconds, shown="***")
        if response == "*" and reply.code == 334:
            return Reply(535, b"5.7.8 the server asks for more than the mechanism has")
    return reply


async def _reply_to(
    connection: Connection, command: str | None, phase: Phase, seconds: float, *, shown: str | None = None
) -> Reply:
    """Send one command (None: only listen) and wait for its reply; raises HandshakeFailed."""
    if command is not None:
        connection.say(command if shown is None else shown)
        connection.write(f"{command}\r\n".encode(), 1)
    replies = await connection.replies(1, (seconds,))
    if connection.uninvited is not None or not replies:
        # A second reply that nobody asked for spoils the first one too: which of them is the answer?
        raise HandshakeFailed(Answer(phase, 0, text=connection.failure, lost=True))
    return replies[0]


def _own_name(connection: Connection) -> str:
    """This host's name if it is a full one, else the address literal of RFC 5321, 4.1.3."""
    name = socket.gethostname()
    if "." in name and name.isascii() and " " not in name:
        return name
    address = connection.own_address() or "127.0.0.1"
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _is_loopback(address: str) -> bool:
    try:
        parsed: Any = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


def _plain(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return reason(error)
