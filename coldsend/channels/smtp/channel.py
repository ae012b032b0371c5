"""The SMTP channel: a pool of connections to one server, made when needed and closed when idle."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from coldsend import meter
from coldsend.channels.seam import Transcript
from coldsend.channels.smtp.auth import Secrets
from coldsend.channels.smtp.connection import Connection
from coldsend.channels.smtp.handshake import HandshakeFailed, Route, open_connection
from coldsend.channels.smtp.transaction import deliver
from coldsend.config.settings import SmtpSettings
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.message import Message
from coldsend.domain.service import Service
from coldsend.errors import InvalidInput

TLS_MODES = ("none", "starttls", "implicit")


CLOSING = 421  # "service not available, closing transmission channel"


class SmtpChannel:
    """A way out through one SMTP server; see :class:`coldsend.channels.seam.Channel`.

    Service settings: host, port, tls (none, starttls, implicit), connections, helo_name,
    allow_plaintext_auth. Credentials: {"username", "password"} or {"username", "token"}, or none.
    tls_context: replaces the default one, which checks certificate and host name against the system's
    authorities and ``settings.ca_file``. transcript: is told every line of the dialogue as ("C" or "S",
    text), with secrets masked and bodies left out; may be set later, for connections opened from then on.
    InvalidInput where the settings cannot work.
    """

    def __init__(
        self,
        service: Service,
        credentials: Mapping[str, Any],
        settings: SmtpSettings,
        *,
        tls_context: ssl.SSLContext | None = None,
        transcript: Transcript | None = None,
    ) -> None:
        self.capacity = service.connections
        self._service_id = service.id
        self.transcript = transcript
        self._route = _route(service, settings)
        self._secrets = Secrets(credentials)
        self._settings = settings
        self._context = tls_context
        if self._route.tls != "none" and tls_context is None:
            self._context = default_context(settings)
        self._slots = asyncio.Semaphore(self.capacity)
        self._idle: list[Connection] = []  # the one used last is used next, so that the others can close
        self._sweep: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"SmtpChannel({self._route.host}:{self._route.port}, tls={self._route.tls})"

    async def send(self, message: Message, before_commit: Callable[[], None]) -> Answer:
        """Hand ``message`` over; the answer says how far it came."""
        async with self._slots:
            if self._closed:
                raise RuntimeError("the channel is closed")
            deadline = asyncio.get_running_loop().time() + self._settings.session_deadline
            connection = self._take_idle()
            if connection is not None:
                answer = await self._send_over(connection, message, before_commit, deadline)
                if not (answer.phase is Phase.MAIL and (answer.lost or answer.code == CLOSING)):
                    return answer
                # It had been closed while idle, which only shows when it is used, or the server takes no more
                # messages over this connection. Nothing was sent; what a new connection meets is the answer.
            meter.connection_opened(self._service_id)
            try:
                connection = await open_connection(
                    self._route, self._secrets, self._settings, self._context, deadline, self.transcript
                )
            except HandshakeFailed as failure:
                return failure.answer
            return await self._send_over(connection, message, before_commit, deadline)

    async def close(self) -> None:
        """Say goodbye to the server and let go of all connections."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.goodbye() for connection in idle))
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def _send_over(
        self, connection: Connection, message: Message, before_commit: Callable[[], None], deadline: float
    ) -> Answer:
        connection.deadline = deadline
        try:
            answer = await deliver(connection, message, self._settings, before_commit)
        except BaseException:
            # Cancelled, or before_commit said no: nobody knows any more what the server waits for.
            connection.fail("given up")
            raise
        finally:
            self._give_back(connection)
        return answer

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.quiet:
                return connection
            self._let_go(connection)
        return None

    def _give_back(self, connection: Connection) -> None:
        if not connection.quiet or self._closed or self._settings.idle_seconds == 0:
            self._let_go(connection)
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(self._settings.idle_seconds, self._close_idle)

    def _close_idle(self) -> None:
        """Close what has been idle for long enough, and look again when the next one will have been."""
        self._sweep = None
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._settings.idle_seconds
        while self._idle and (self._idle[0].idle_since <= oldest or not self._idle[0].quiet):
            self._let_go(self._idle.pop(0))
        if self._idle:
            wait = self._idle[0].idle_since - oldest
            self._sweep = loop.call_later(max(wait, 0.001), self._close_idle)

    def _let_go(self, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(connection.goodbye())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def default_context(settings: SmtpSettings) -> ssl.SSLContext:
    """Certificate and host name are checked, always; ``ca_file`` adds authorities to the system's."""
    context = ssl.create_default_context()
    if settings.ca_file:
        try:
            context.load_verify_locations(settings.ca_file)
        except OSError as error:
            raise InvalidInput(
                f"the authorities in {settings.ca_file} cannot be read: {error.strerror or error}",
                hint="[smtp] ca_file must name a PEM file with certificates",
            ) from error
    return context


def _route(service: Service, settings: SmtpSettings) -> Route:
    values = service.settings
    host, tls = str(values.get("host") or "").strip(), str(values.get("tls") or "none")
    helo_name = str(values.get("helo_name") or settings.helo_name)
    port = values.get("port")
    hint = f"coldsend service update {service.name} --host H --port P --tls none|starttls|implicit"
    if not host:
        raise InvalidInput(f"service {service.name!r} has no host", hint=hint)
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise InvalidInput(f"the port of service {service.name!r} is not a number from 1 to 65535", hint=hint)
    if tls not in TLS_MODES:
        raise InvalidInput(
            f"tls of service {service.name!r} is {tls!r}, not one of {', '.join(TLS_MODES)}", hint=hint
        )
    if not helo_name.isprintable() or " " in helo_name or not helo_name.isascii():
        raise InvalidInput(
            f"{helo_name!r} cannot be the name given in EHLO", hint="use this host's full name"
        )
    return Route(host, port, tls, helo_name, bool(values.get("allow_plaintext_auth")))
