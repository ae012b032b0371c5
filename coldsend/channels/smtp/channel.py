"""The SMTP channel: a pool of connections to one server, made when needed and closed when idle."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from coldsend import meter
from coldsend.channels.seam import Transcript
from coldsend.channels.smtp import wire
from coldsend.channels.smtp.auth import Secrets
from coldsend.channels.smtp.connection import Connection
from coldsend.channels.smtp.handshake import HandshakeFailed, Route, open_connection
from coldsend.channels.smtp.pipeline import Delivery, Pipeline, closed_while_idle, fits
from coldsend.channels.smtp.transaction import deliver
from coldsend.config.settings import SmtpSettings
from coldsend.domain.answers import Answer
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
            self._context = default_context(settings)
        # The next message's envelope travels with the body of the one before: one more for each is welcome.
        self.appetite = 2 * self.capacity if service.throttle_sec == 0 else self.capacity
        self._connections = 0  # open or being opened
        self._waiting: deque[Delivery] = deque()
        self._idle: list[Connection] = []  # the one used last is used next, so that the others can close
        self._pipelines: dict[Connection, Pipeline] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"SmtpChannel({self._route.host}:{self._route.port}, tls={self._route.tls})"

    async def send(
        self,
        message: Message,
        before_commit: Callable[[], None],
        answered: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Hand ``message`` over; the answer says how far it came."""
        if self._closed:
            raise RuntimeError("the channel is closed")
        deadline = asyncio.get_running_loop().time() + self._settings.session_deadline
        delivery = Delivery(message, before_commit, answered, deadline)
        answer = await self._first_try(delivery)
        if not closed_while_idle(delivery, answer):
            return answer
        keeps_slot = delivery.keeps_slot
        delivery.renew()
        if keeps_slot:
            return await self._over_new(delivery)
        return await self._first_try(delivery, fresh=True)

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

    async def _first_try(self, delivery: Delivery, *, fresh: bool = False) -> Answer:
        """Over an idle connection (not if ``fresh``), else a new one, else whichever is free first."""
        connection = None if fresh else self._take_idle()
        if connection is not None:
            return await self._over(connection, delivery)
        if fresh and self._connections >= self.capacity and self._idle:
            self._let_go(self._idle.pop(0))
        if self._connections < self.capacity:
            self._connections += 1
            return await self._over_new(delivery)
        self._waiting.append(delivery)
        result = await self._settled(delivery)
        if isinstance(result, Answer):
            return result
        if result is None:
            return await self._over_new(delivery)
        return await self._alone(result, delivery)

    async def _over_new(self, delivery: Delivery) -> Answer:
        """Open a connection in a slot that is ours, and send over it."""
        meter.connection_opened(self._service_id)
        try:
            connection = await open_connection(
                self._route, self._secrets, self._settings, self._context, delivery.deadline, self.transcript
            )
        except HandshakeFailed as failure:
            self._could_not_open(failure.answer)
            return failure.answer
        except BaseException:
            self._slot_is_free()
            raise
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
            if delivery.done.done() and not delivery.done.cancelled():
                # It was given a connection or a slot this very moment: others wait for it.
                given = delivery.done.result()
                if given is None:
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
        connection.deadline = delivery.deadline
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
            found = Pipeline(connection, self._settings, self._more, self._give_back, self._ended)
            self._pipelines[connection] = found
        return found

    def _more(self, connection: Connection) -> Delivery | None:
        """The next message whose envelope may go out now, behind the dot of another one."""
        while self._waiting and not self._closed:
            delivery = self._waiting[0]
            if not delivery.done.done():
                if not fits(connection, delivery.message):
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
        following = self._more(connection)
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
        self._connections -= 1

    def _could_not_open(self, told: Answer) -> None:
        """Who waits may use the connections there are; without any, asking again would not help."""
        self._connections -= 1
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
