"""The SMTP channel: a pool of connections to one server, made when needed and closed when idle."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from shlex import quote
from typing import Any

from coldsend import meter
from coldsend.channels.seam import Transcript
from coldsend.channels.smtp import wire
from coldsend.channels.smtp.auth import Secrets
from coldsend.channels.smtp.behind import Behind
from coldsend.channels.smtp.connection import Connection
from coldsend.channels.smtp.handshake import HandshakeFailed, Route, open_connection
from coldsend.channels.smtp.pipeline import Pipeline
from coldsend.channels.smtp.queued import Delivery, closed_while_idle, fits
from coldsend.channels.smtp.transaction import deliver
from coldsend.config.authorities import trusting
from coldsend.config.settings import SmtpSettings
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.message import Message
from coldsend.domain.service import Service
from coldsend.errors import InvalidInput

TLS_MODES = ("none", "starttls", "implicit")


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
            self._context = trusting(settings.ca_file, "smtp")
        # The next message's envelope travels with the body of the one before: one more for each is welcome.
        self.appetite = self.capacity if service.throttled else 2 * self.capacity
        self._behind = Behind(allowed=settings.idle_seconds > 0)
        self._connections = 0  # open or being opened
        self._waiting: deque[Delivery] = deque()
        self._idle: list[Connection] = []  # the one used last is used next, so that the others can close
        self._pipelines: dict[Connection, Pipeline] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False
        self._all_free = asyncio.Event()  # no connection is open or being opened

    def __repr__(self) -> str:
        return f"SmtpChannel({self._route.host}:{self._route.port}, tls={self._route.tls})"

    async def send(self, message: Message, before_commit: Callable[[], None]) -> Answer:
        """Hand ``message`` over; the answer says how far it came."""
        if self._closed:
            raise RuntimeError("the channel is closed")
        delivery = Delivery(message, before_commit)
        answer = await self._first_try(delivery)
        if delivery.keeps_slot:
            delivery.renew()
            answer = await self._over_new(delivery)
        return answer

    async def close(self) -> None:
        """Let what is under way end, say goodbye to the server and let go of all connections.

        Whoever does not want to wait cancels the sends first. Messages that still wait for a connection are
        answered as if there were none.
        """
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        while self._waiting:
            self._waiting.popleft().settle(_not_any_more())
        while self._idle:
            self._let_go(self._idle.pop())
        while self._connections:
            self._all_free.clear()
            await self._all_free.wait()
        while self._leaving:
            await asyncio.wait(self._leaving)

    async def _first_try(self, delivery: Delivery) -> Answer:
        """Over an idle connection, else a new one, else whichever is free first."""
        connection = self._take_idle()
        if connection is not None:
            return await self._over(connection, delivery)
        if self._connections < self.capacity:
            self._connections += 1
            return await self._over_new(delivery)
        self._waiting.append(delivery)
        result = await self._settled(delivery)
        if isinstance(result, Answer):
            return result
        if result is None:
            delivery.renew()
            return await self._over_new(delivery)
        return await self._alone(result, delivery)

    async def _over_new(self, delivery: Delivery) -> Answer:
        """Open a connection in a slot that is ours, and send over it."""
        if self._closed:
            self._slot_is_free()
            return _not_any_more()
        meter.connection_opened(self._service_id)
        deadline = delivery.begins(self._settings.session_deadline)
        try:
            connection = await open_connection(
                self._route, self._secrets, self._settings, self._context, deadline, self.transcript
            )
        except HandshakeFailed as failure:
            self._could_not_open(failure.answer)
            return failure.answer
        except BaseException:
            self._slot_is_free()
            raise
        if self._closed:
            self._let_go(connection)
            return _not_any_more()
        return await self._over(connection, delivery)

    async def _over(self, connection: Connection, delivery: Delivery) -> Answer:
        """Send over a connection that nothing is under way on."""
        if not fits(connection, delivery.message):
            return await self._alone(connection, delivery)
        refused = wire.refusal(delivery.message, connection.extensions)
        if refused is not None:
            self._give_back(connection)
            return refused
        self._pipeline(connection).begin(delivery)
        result: Answer = await self._settled(delivery)
        return result

    async def _settled(self, delivery: Delivery) -> Any:
        """What becomes of a delivery; where its sender is cancelled, nothing more of it goes out."""
        try:
            return await delivery.done
        except asyncio.CancelledError:
            if delivery in self._waiting:
                self._waiting.remove(delivery)
            for pipeline in list(self._pipelines.values()):
                pipeline.give_up(delivery)
            if delivery.done.done() and not delivery.done.cancelled() and not delivery.done.exception():
                # It was given a connection or a slot this very moment: others wait for it.
                given = delivery.done.result()
                if given is None or delivery.keeps_slot:
                    self._slot_is_free()
                elif isinstance(given, Connection):
                    self._give_back(given)
            raise

    async def _alone(self, connection: Connection, delivery: Delivery) -> Answer:
        """Step by step, for servers and messages that the fast path is not for."""
        message = delivery.message
        refused = wire.refusal(message, connection.extensions)
        if refused is not None:
            self._give_back(connection)
            return refused
        connection.deadline = delivery.begins(self._settings.session_deadline)
        delivery.reused = connection.used
        try:
            answer = await deliver(connection, message, self._settings, delivery.before_commit)
        except BaseException:
            # Cancelled, or before_commit said no: nobody knows any more what the server waits for.
            connection.fail("given up")
            self._give_back(connection)
            raise
        connection.used = True
        if connection.failure and closed_while_idle(delivery, answer):
            delivery.keeps_slot = True
            self._drop(connection)
        else:
            self._give_back(connection)
        return answer

    def _pipeline(self, connection: Connection) -> Pipeline:
        found = self._pipelines.get(connection)
        if found is None:
            found = Pipeline(
                connection, self._settings, self._behind, self._more, self._give_back, self._ended
            )
            self._pipelines[connection] = found
        return found

    def _more(self, connection: Connection, behind: bool) -> Delivery | None:
        """The next message whose envelope may go out now. behind: behind the dot of another one."""
        while self._waiting:
            delivery = self._waiting[0]
            if not delivery.done.done():
                if not fits(connection, delivery.message) or (behind and not self._behind.may(connection)):
                    return None
                refused = wire.refusal(delivery.message, connection.extensions)
                if refused is None:
                    return self._waiting.popleft()
                delivery.settle(refused)
            self._waiting.popleft()
        return None

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.quiet:
                return connection
            self._let_go(connection)
        return None

    def _give_back(self, connection: Connection) -> None:
        """Nothing is under way over this connection: the next message, or rest, or the end."""
        if not connection.quiet or self._closed or self._settings.idle_seconds == 0:
            self._let_go(connection)
            return
        following = self._more(connection, False)
        if following is not None:
            self._pipeline(connection).begin(following)
            return
        while self._waiting:
            delivery = self._waiting.popleft()
            if not delivery.done.done():
                delivery.settle(connection)
                return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._behind.ended(connection)
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(self._settings.idle_seconds, self._close_idle)

    def _ended(self, connection: Connection, keeps_slot: bool) -> None:
        """A pipeline's connection has failed; ``keeps_slot``: the message it carried goes over a new one."""
        self._drop(connection)
        if not keeps_slot:
            self._slot_is_free()

    def _slot_is_free(self) -> None:
        """One connection less: who waits may open another."""
        while self._waiting and not self._closed:
            delivery = self._waiting.popleft()
            if not delivery.done.done():
                delivery.settle(None)
                return
        self._no_connection_more()

    def _no_connection_more(self) -> None:
        self._connections -= 1
        if not self._connections:
            self._all_free.set()

    def _could_not_open(self, told: Answer) -> None:
        """Who waits may use the connections there are; without any, asking again would not help."""
        self._no_connection_more()
        if self._connections == 0:
            while self._waiting:
                self._waiting.popleft().settle(told)

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
        self._drop(connection)
        self._slot_is_free()

    def _drop(self, connection: Connection) -> None:
        self._pipelines.pop(connection, None)
        task = asyncio.get_running_loop().create_task(connection.goodbye())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def _not_any_more() -> Answer:
    return Answer(Phase.CONNECT, 0, text="the channel was closed", lost=True)


def _route(service: Service, settings: SmtpSettings) -> Route:
    values = service.settings
    host, tls = str(values.get("host") or "").strip(), str(values.get("tls") or "none")
    helo_name = str(values.get("helo_name") or settings.helo_name)
    port = values.get("port")
    hint = f"coldsend service update {quote(service.name)} --host H --port P --tls none|starttls|implicit"
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
