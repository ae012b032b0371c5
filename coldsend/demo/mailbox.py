"""An SMTP server for trying things out: takes mail for anybody, passes none on, keeps each message as a file.

It may ask for accounts, as the demonstration's does. An account can stop being let in after a number of
messages, as with a provider that revokes a password: its connection is closed after the last of them, and
every login from then on is answered with 535.

Files are called ``NUMBER RECIPIENT.eml``, numbered as they came, on from the highest number in the folder.
"""

from __future__ import annotations

import itertools
import logging
import socket
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from coldsend.demo.caught import Caught, caught_in, file_name
from coldsend.errors import Unreachable

HOST = "127.0.0.1"


class Mailbox:
    """``with Mailbox(folder, port) as mailbox`` listens on loopback; port 0: any that is free.

    passwords: account -> password; with some, nobody is let in without; with none, everybody is, whatever
    they log in with. refuse_after: account -> messages after which it is let in no more. tell: called with
    each message once its file is written.
    """

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        *,
        passwords: Mapping[str, str] | None = None,
        refuse_after: Mapping[str, int] | None = None,
        tell: Callable[[Caught], object] | None = None,
    ) -> None:
        self.folder = folder
        self.taken: Counter[str] = Counter()
        self._passwords = passwords or {}
        self._refuse_after = refuse_after or {}
        self._tell = tell
        self._numbers = itertools.count(1)
        # It warns, for each connection, of passwords in clear: they never leave this machine.
        warnings.filterwarnings("ignore", category=UserWarning, module="aiosmtpd")
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)
        self.port = port or free_port()
        self._controller: Controller | None = None

    def __enter__(self) -> Self:
        """Unreachable where the port cannot be had; OSError where the folder cannot be made."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count(max((one.number for one in caught_in(self.folder)), default=0) + 1)
        _require_free(self.port)
        # Not before: it has an event loop, which only its end closes.
        self._controller = Controller(
            self,
            hostname=HOST,
            port=self.port,
            auth_require_tls=False,
            auth_required=bool(self._passwords),
            authenticator=self._authenticate,
            ident="coldsend catcher",
        )
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._controller is not None:
            self._controller.stop()

    def files(self) -> list[Path]:
        """The messages taken so far, in the order in which they came."""
        return [one.file for one in caught_in(self.folder)]

    def refuses(self, account: str) -> bool:
        limit = self._refuse_after.get(account)
        return limit is not None and self.taken[account] >= limit

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        account, password = (text.decode(errors="replace") for text in (data.login, data.password))
        good = not self._passwords or self._passwords.get(account) == password
        return AuthResult(success=good and not self.refuses(account), handled=False, auth_data=account)

    def _new_file(self, recipient: str) -> Path:
        """One that is not there: another server may write into the same folder."""
        names = (file_name(number, recipient) for number in self._numbers)
        return next(file for name in names if not (file := self.folder / name).exists())

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Write the message to its file, then take it."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        recipient = str(envelope.rcpt_tos[0]) if envelope.rcpt_tos else "nobody"
        file = self._new_file(recipient)
        unfinished = file.with_suffix(".part")
        unfinished.write_bytes(content)
        unfinished.replace(file)
        if self._tell is not None:
            self._tell(Caught(file))
        account = str(session.auth_data)
        self.taken[account] += 1
        if self.refuses(account) and server.transport is not None:
            server.loop.call_later(0.05, server.transport.close)
        return "250 2.0.0 taken"


def free_port() -> int:
    """A port of loopback that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _require_free(port: int) -> None:
    """aiosmtpd would tell after five seconds."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Unreachable(
                f"cannot listen on {HOST}:{port}: {(error.strerror or str(error)).lower()}",
                hint="choose another port: coldsend catcher run --port PORT",
            ) from None
