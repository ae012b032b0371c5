"""A connection to a mailbox: reached, encrypted, logged in. Reads only.

Credentials are ``{"username", "password"}`` or ``{"username", "token_command"}``; the command prints an
OAuth 2 access token. What a server says is shown without them.
"""

from __future__ import annotations

import base64
import imaplib
import re
import shlex
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from coldsend.channels.smtp.auth import Secrets
from coldsend.channels.smtp.connection import reason
from coldsend.config.authorities import trusting
from coldsend.config.settings import InboxSettings
from coldsend.domain.mailbox import Mailbox, Trouble
from coldsend.errors import ColdsendError
from coldsend.inbox.wire import Stopped, Wire

TOKEN_SECONDS = 10.0
_TEXT_LIMIT = 500

# Servers that decline a login for now say so (RFC 5530), or in such words.
_FOR_NOW = re.compile(
    r"\[(UNAVAILABLE|INUSE|LIMIT|SERVERBUG|CONTACTADMIN)|too many|try again|temporar|later|throttl|rate limit"
    r"|busy|not connected|timed? ?out",
    re.IGNORECASE,
)


class MailboxError(ColdsendError):
    """A mailbox could not be read; ``trouble`` tells what kind of error it was."""

    code = "unreachable"
    exit_code = 5

    def __init__(self, trouble: Trouble, message: str, *, hint: str = "") -> None:
        super().__init__(message[:_TEXT_LIMIT], hint=hint)
        self.trouble = trouble
        if trouble is Trouble.CREDENTIALS:
            self.code, self.exit_code = "refused", 4


@dataclass(frozen=True, slots=True)
class Connection:
    """A client that is logged in, and what must not be seen of its credentials."""

    client: Wire
    secrets: Secrets

    def command(self, trouble: Trouble, run: Callable[[Wire], tuple[str, list[Any]]]) -> list[Any]:
        """The data of one command's answer; MailboxError of this kind where the server says no."""
        with translated(self.secrets, trouble):
            self.client.begin_command()
            status, data = run(self.client)
            if status != "OK":
                raise MailboxError(trouble, self.secrets.mask(_text(data)))
        return data


@contextmanager
def opened(
    mailbox: Mailbox,
    credentials: Mapping[str, Any],
    settings: InboxSettings,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Connection]:
    """A connection that is logged in, closed at the end. MailboxError or Stopped."""
    known = with_token(credentials)
    secrets = Secrets(known)
    context = trusting(settings.ca_file, "inbox")
    with translated(secrets, Trouble.CONNECT):
        client = Wire(
            mailbox.host,
            mailbox.port,
            context=context if mailbox.tls == "implicit" else None,
            timeout=settings.timeout,
            should_stop=should_stop,
        )
    try:
        with translated(secrets, Trouble.SERVER):
            if mailbox.tls == "starttls":
                _start_tls(client, context)
            _log_in(client, secrets, str(known.get("password") or ""))
        yield Connection(client, secrets)
        client.begin_command()
        with suppress(imaplib.IMAP4.error, OSError, Stopped):
            client.logout()
    finally:
        client.shutdown()


@contextmanager
def translated(secrets: Secrets, trouble: Trouble) -> Iterator[None]:
    """Errors of libraries as MailboxError: of this kind, or CONNECT where the connection is gone."""
    try:
        yield
    except (MailboxError, Stopped):
        raise
    except ssl.SSLCertVerificationError as error:
        text = f"the server's certificate is not accepted: {reason(error)}"
        hint = "where a private authority has signed it, name that: [inbox] ca_file"
        raise MailboxError(Trouble.CONNECT, text, hint=hint) from error
    except ssl.SSLError as error:
        text = f"no encrypted connection: {reason(error)}"
        hint = "check --tls and --port: implicit is usual on 993, starttls on 143"
        raise MailboxError(Trouble.CONNECT, secrets.mask(text), hint=hint) from error
    except (imaplib.IMAP4.abort, OSError) as error:
        words = reason(error) if isinstance(error, OSError) else str(error)
        raise MailboxError(Trouble.CONNECT, secrets.mask(words)) from error
    except imaplib.IMAP4.error as error:
        raise MailboxError(trouble, secrets.mask(_text(error.args))) from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # imaplib takes much for granted.
        raise MailboxError(Trouble.SERVER, "the server's answer cannot be understood") from error


def with_token(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Credentials with the access token that their command prints, if they have one."""
    command = credentials.get("token_command")
    return dict(credentials) if not command else {**credentials, "token": _printed(str(command))}


def _printed(command: str) -> str:
    """The access token, at most ``TOKEN_SECONDS`` later. What the command says in vain may hold secrets, and
    is not shown."""
    hint = "run it by hand to see what it says: it must print an access token and nothing else"
    try:
        done = subprocess.run(
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TOKEN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        text = f"the token command gave no answer within {TOKEN_SECONDS:g} seconds"
        raise MailboxError(Trouble.TOKEN, text, hint=hint) from error
    except (OSError, ValueError) as error:
        text = f"the token command cannot be run: {reason(error)}"
        raise MailboxError(Trouble.TOKEN, text, hint=hint) from error
    token = done.stdout.decode("ascii", "replace").strip()
    if done.returncode != 0:
        raise MailboxError(Trouble.TOKEN, f"the token command ended with {done.returncode}", hint=hint)
    if not token or not token.isprintable() or " " in token:
        raise MailboxError(Trouble.TOKEN, "the token command printed no token", hint=hint)
    return token


def _start_tls(client: Wire, context: ssl.SSLContext) -> None:
    if client.state != "NONAUTH":
        # Somebody in between could have let us in, to keep us from asking for encryption.
        raise MailboxError(Trouble.CONNECT, "the server let us in before the connection was encrypted")
    if "STARTTLS" not in client.capabilities:
        raise MailboxError(
            Trouble.CONNECT, "the server does not offer STARTTLS", hint="try --tls implicit, on port 993"
        )
    client.begin_command()
    status, data = client.starttls(context)
    if status != "OK":
        raise MailboxError(Trouble.CONNECT, f"the server declined STARTTLS: {_text(data)}")


def _log_in(client: Wire, secrets: Secrets, password: str) -> None:
    if client.state != "NONAUTH":
        raise MailboxError(Trouble.SERVER, "the server let us in without asking who we are")
    client.begin_command()
    offered = {name[5:] for name in client.capabilities if name.startswith("AUTH=")}
    exchange = secrets.exchange(offered)
    try:
        if exchange is not None:
            answers = iter(exchange.responses)
            client.authenticate(exchange.mechanism, lambda _challenge: _decoded(next(answers, None)))
        elif not password or "LOGINDISABLED" in client.capabilities:
            wanted = secrets.usable_mechanisms()
            names = ", ".join(sorted(offered)) or "none"
            raise MailboxError(Trouble.SERVER, f"the server offers no login we have: {wanted}; but {names}")
        else:
            _log_in_plainly(client, secrets.username, password)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        text = secrets.mask(_text(error.args))
        trouble = Trouble.SERVER if _FOR_NOW.search(text) else Trouble.CREDENTIALS
        what = "the server declines the login for now" if trouble is Trouble.SERVER else "login refused"
        raise MailboxError(trouble, f"{what}: {text}") from error


def _log_in_plainly(client: Wire, username: str, password: str) -> None:
    """LOGIN, for servers that have nothing better."""
    if not (username + password).isascii():
        raise MailboxError(
            Trouble.CREDENTIALS, "this server takes no user name or password with other characters than ASCII"
        )
    client.login(quoted(username), password)  # imaplib quotes the password only


def quoted(text: str) -> str:
    """An IMAP string of ASCII characters without control characters."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _decoded(response: bytes | None) -> bytes | None:
    """imaplib encodes by itself; None ends the exchange."""
    return None if response is None else base64.b64decode(response)


def _text(data: Any) -> str:
    """What the server said, as one line."""
    parts = [
        part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part) for part in data if part
    ]
    return " ".join(" ".join(parts).split()) or "no reason given"
