"""Whether the hosts that mail is handed to can be reached and prove who they are; asked without logging in.

Who answers and will not do is an error; who does not answer is told of as not checked, for that may be over
in a minute. Says the time in its greeting who does: another clock to hold this host's against.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from coldsend import clock
from coldsend.config.authorities import trusting
from coldsend.config.settings import SmtpSettings
from coldsend.domain.finding import Finding
from coldsend.domain.reserved import is_reserved
from coldsend.domain.service import Service
from coldsend.errors import ColdsendError
from coldsend.installation.hosts import told_time

SECONDS = 5.0  # for each packet; the whole has its own limit
EXPIRES_SOON = timedelta(days=14)
_CHECK = "check --port and --tls of the services that use it"


def questions(
    services: Sequence[Service], settings: SmtpSettings
) -> Mapping[str, Callable[[], list[Finding]]]:
    """One question for each host that wants TLS; whom it is about -> what finds it out."""
    asked: dict[str, Callable[[], list[Finding]]] = {}
    for service in services:
        host, tls = str(service.settings.get("host") or ""), str(service.settings.get("tls") or "none")
        if not host or tls == "none" or is_reserved(host):
            continue
        port = int(service.settings.get("port") or 0)
        asked.setdefault(f"{host}:{port}", partial(_examined, host, port, tls, settings))
    return asked


def _examined(host: str, port: int, tls: str, settings: SmtpSettings) -> list[Finding]:
    return list(examine(host, port, tls, settings))


def examine(host: str, port: int, tls: str, settings: SmtpSettings) -> Iterator[Finding]:
    """What is wrong with a server's TLS; tls: "starttls" or "implicit"."""
    subject = f"{host}:{port}"
    try:
        context = trusting(settings.ca_file, "smtp")
        # Else the library looks this host's own name up, which may take long.
        own_name = settings.helo_name or socket.gethostname()
        if tls == "implicit":
            server: smtplib.SMTP = smtplib.SMTP_SSL(timeout=SECONDS, local_hostname=own_name, context=context)
        else:
            server = smtplib.SMTP(timeout=SECONDS, local_hostname=own_name)
        with server:
            server._host = host  # type: ignore[attr-defined] # what its certificate must be for
            code, greeting = server.connect(host, port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, greeting)
            if tls == "starttls":
                server.starttls(context=context)
            certificate = server.sock.getpeercert() if isinstance(server.sock, ssl.SSLSocket) else None
            yield from _expiry(subject, certificate or {})
            yield from told_time(subject, greeting.decode("latin-1"), clock.unshifted_now())
    except ssl.SSLCertVerificationError as error:
        yield Finding(
            "error",
            subject,
            f"its certificate is not to be trusted, so nothing is sent: {error.verify_message.rstrip('.')}",
            "check --host; a private authority is named in [smtp] ca_file",
        )
    except smtplib.SMTPNotSupportedError:
        yield Finding("error", subject, "offers no STARTTLS: nothing is sent there", _CHECK)
    except (OSError, smtplib.SMTPException) as error:
        yield _trouble(subject, error)
    except ColdsendError as error:
        yield Finding("error", "[smtp] ca_file", error.message, error.hint)


def _trouble(subject: str, error: OSError | smtplib.SMTPException) -> Finding:
    """An error where the server answered and will not do, a warning where nobody did."""
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code // 100 == 5:
        said = f"{error.smtp_code} {_text(error.smtp_error)}"
        return Finding("error", subject, f"refuses this host, so nothing is sent: {said}", _CHECK)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return Finding("error", subject, f"TLS failed, so nothing is sent: {error.strerror}", _CHECK)
    why = getattr(error, "strerror", None) or error
    hint = "check --host and --port, and whether a firewall closes that port"
    return Finding("warning", subject, f"was not checked: it cannot be reached from here ({why})", hint)


def _text(said: bytes | str) -> str:
    """What a server said, on one line that can be shown."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return "".join(sign if sign.isprintable() else " " for sign in text)[:200]


def _expiry(subject: str, certificate: Mapping[str, object]) -> Iterator[Finding]:
    ends = certificate.get("notAfter")
    if not isinstance(ends, str):
        return
    moment = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)
    if moment - clock.unshifted_now() < EXPIRES_SOON:
        yield Finding(
            "warning",
            subject,
            f"its certificate ends on {moment:%Y-%m-%d}: then nothing is sent there any more",
            "have whoever runs it renew the certificate",
        )
