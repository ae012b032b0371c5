"""The demonstration's SMTP server: takes mail for anybody, keeps every message as a file, knows accounts.

An account can stop being let in after a number of messages, as with a provider that revokes a password: its
connection is closed after the last of them, and every login from then on is answered with 535.
"""

from __future__ import annotations

import itertools
import logging
import socket
import warnings
from collections import Counter
from email import message_from_bytes, policy
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HOST = "127.0.0.1"


class Mailbox:
    """``with Mailbox(folder, passwords, refuse_after={"carol": 4}) as mailbox`` listens on ``mailbox.port``.

    passwords: account -> password. refuse_after: account -> messages after which it is let in no more.
    """

    def __init__(self, folder: Path, passwords: dict[str, str], refuse_after: dict[str, int]) -> None:
        self.folder = folder
        self.taken: Counter[str] = Counter()
        self._passwords = passwords
        self._refuse_after = refuse_after
        self._numbers = itertools.count(1)
        # It warns, for each connection, of passwords in clear: they never leave this machine.
        warnings.filterwarnings("ignore", category=UserWarning, module="aiosmtpd")
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)
        self._controller = Controller(
            self,
            hostname=HOST,
            port=free_port(),
            auth_require_tls=False,
            auth_required=True,
            authenticator=self._authenticate,
            ident="coldsend demo",
        )

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    @property
    def port(self) -> int:
        return int(self._controller.port)

    def files(self) -> list[Path]:
        """The messages taken so far, in the order in which they came."""
        return sorted(self.folder.glob("*.eml"))

    def refuses(self, account: str) -> bool:
        limit = self._refuse_after.get(account)
        return limit is not None and self.taken[account] >= limit

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        account = data.login.decode() if isinstance(data, LoginPassword) else ""
        good = isinstance(data, LoginPassword) and self._passwords.get(account) == data.password.decode()
        return AuthResult(success=good and not self.refuses(account), handled=False, auth_data=account)

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Write the message to its file, then take it."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        recipient = str(envelope.rcpt_tos[0]) if envelope.rcpt_tos else "nobody"
        safe = "".join(letter if letter.isalnum() or letter in "@.-" else "_" for letter in recipient)
        (self.folder / f"{next(self._numbers):03} {safe}.eml").write_bytes(content)
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


def subject_of(file: Path) -> str:
    """The decoded subject of a stored message."""
    return str(message_from_bytes(file.read_bytes(), policy=policy.default)["Subject"])
