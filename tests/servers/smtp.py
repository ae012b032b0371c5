"""SMTP servers for tests.

:class:`RecordingServer` is a process of its own that keeps a record of every message it took, written before
the 250 goes out, and can be told to fail in many ways: the oracle of delivery tests, quick enough for load.
:class:`StrictServer` is aiosmtpd in a thread: an independent parser that takes no liberties.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.ports import free_port

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Received:
    """One accepted message as the server recorded it. time: seconds since 1970; monotonic: this host's."""

    time: float
    monotonic: float
    mail_from: str
    rcpt_to: tuple[str, ...]
    message_id: str
    size: int
    connection: int
    user: str
    encrypted: bool
    number: int


class RecordingServer:
    """``with RecordingServer() as server:`` listens on ``server.port`` of 127.0.0.1.

    Rules, as keyword arguments or later through :meth:`control`:
      pipelining, eight_bit, smtputf8: offered (True).  size: the limit in EHLO, 0 for none.
      tls: "none", "starttls" or "implicit", with certificate=(cert file, key file).
      offer_starttls: False hides STARTTLS from EHLO.
      receive_buffer: octets the kernel takes for it (0: its own choice); a small one makes clients wait.
      users: {"name": "password or token"}: AUTH is required; mechanisms: ["PLAIN", "LOGIN", "XOAUTH2"];
      refuse_auth: True answers 535 to everybody from now on.
      latency: {"final": 0.05, "mail": ..}: seconds before the answer; points as below. Setting it
        lets go of the answers that were held back.
      brake: [messages, seconds]: once so many were accepted, each final answer takes so long instead.
      store: a folder for the messages as NNNNNNNN.eml.
      clock: a file with seconds to add to the times of the record (COLDSEND_TEST_CLOCK).
      refusals: a file for what the faults at rcpt have answered: {"time", "to", "reply"} in each line.
      port: listen here instead of on a free port.
      faults: a list, the first that fits is used: {"at": point, "to": part of the recipient's address,
        "times": how often, "skip": let so many pass first, "do": deed, ..}.
        Points: connect, ehlo, starttls, auth, challenge, mail, rcpt, data, body (bytes of it arrived), final,
        quit.
        Deeds: reply (with "reply": "451 4.3.0 no"; a 421 closes), raw (with "bytes": anything, "repeat": so
        many times, and "then": another deed), late (the answer, then "bytes" and the end after "seconds"),
        drop (close), rst, hang, stop reading, drip (the answer byte by byte, "interval": s),
        delay ("seconds": s).
        At final, "recorded": whether the message counts as taken; without it, it does unless it is refused.
    """

    def __init__(self, *, record: Path | None = None, **rules: Any) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="coldsend-smtp-"))
        self.record = record or self._folder / "record.jsonl"
        self.record.touch()
        self.rules = {key: _plain(value) for key, value in rules.items()}
        self.port = int(self.rules.setdefault("port", free_port()))
        self._control_port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __enter__(self) -> RecordingServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, again too: on the port it had, with the record it had."""
        program = Path(__file__).with_name("smtp_process.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(program), json.dumps(self.rules), str(self.record)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the SMTP server did not start")
        ports = json.loads(line)
        self.port, self._control_port = ports["port"], ports["control"]

    def stop(self) -> None:
        """End it at once; open connections are cut."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()
        self._process = None

    def control(self, **rules: Any) -> dict[str, int]:
        """Change rules now; returns {"connections" so far, "open" now, "most_open" at once}."""
        if self._control is None:
            self._control = socket.create_connection((HOST, self._control_port), timeout=60)
        plain = {key: _plain(value) for key, value in rules.items()}
        self.rules.update(plain)
        self._control.sendall(json.dumps(plain).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += self._control.recv(4096)
        return dict(json.loads(answer))

    def messages(self) -> list[Received]:
        """Everything that was accepted so far, in order."""
        text = self.record.read_text()
        complete = text[: text.rfind("\n") + 1]
        return [_received(json.loads(line)) for line in complete.splitlines()]

    def taken(self) -> int:
        """How many messages were accepted so far."""
        return self.record.read_bytes().count(b"\n")

    def wait_for(self, count: int, deadline: float = 120.0) -> list[Received]:
        """Wait until ``count`` messages have been accepted; fails after ``deadline`` seconds."""
        ends = time.monotonic() + deadline
        while (taken := self.taken()) < count:
            if time.monotonic() > ends:
                raise AssertionError(f"{taken} of {count} messages after {deadline:g} s")
            time.sleep(0.01)
        return self.messages()


def _received(document: dict[str, Any]) -> Received:
    return Received(**{**document, "rcpt_to": tuple(document["rcpt_to"])})


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


class _Collector:
    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.users: list[str] = []

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        self.users.append(str(session.auth_data.login.decode()) if session.auth_data else "")
        return "250 2.0.0 taken"


class StrictServer:
    """aiosmtpd: no PIPELINING, one command at a time, SMTPUTF8, STARTTLS or implicit TLS, AUTH.

    users: {"name": "password"}: AUTH is required. limit: SIZE.
    """

    def __init__(
        self,
        *,
        tls: str = "none",
        certificate: tuple[Path, Path] | None = None,
        users: dict[str, str] | None = None,
        limit: int = 1_000_000,
    ) -> None:
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
        self._collector = _Collector()
        options: dict[str, Any] = {"enable_SMTPUTF8": True, "data_size_limit": limit}
        if users is not None:
            options |= {
                "auth_required": True,
                "auth_require_tls": tls != "none",
                "authenticator": _Authenticator(users),
            }
        if tls == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        self.port = free_port()
        # aiosmtpd warns that AUTH without TLS is a bad idea, and of names in its own code.
        self._quiet = warnings.catch_warnings()
        self._quiet.__enter__()
        warnings.filterwarnings("ignore", message="Requiring AUTH while not requiring TLS")
        warnings.filterwarnings("ignore", message=".*is deprecated", category=DeprecationWarning)
        self._controller = Controller(
            self._collector,
            hostname=HOST,
            port=self.port,
            ssl_context=context if tls == "implicit" else None,
            ready_timeout=60,
            **options,
        )

    def __enter__(self) -> StrictServer:
        self._controller.start()
        return self

    def __exit__(self, *details: Any) -> None:
        with contextlib.suppress(RuntimeError):
            self._controller.stop()
        self._quiet.__exit__(*details)

    @property
    def envelopes(self) -> list[Envelope]:
        """What was accepted: mail_from, rcpt_tos, content (bytes), mail_options."""
        return self._collector.envelopes

    @property
    def users(self) -> list[str]:
        return self._collector.users


class _Authenticator:
    def __init__(self, users: dict[str, str]) -> None:
        self.users = users

    def __call__(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        known = isinstance(data, LoginPassword) and (
            self.users.get(data.login.decode()) == data.password.decode()
        )
        return AuthResult(success=known, handled=False, auth_data=data if known else None)
