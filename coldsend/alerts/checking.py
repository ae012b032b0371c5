"""Whether the targets of alerts can be used: what `coldsend doctor` says of them. Sends nothing.

As with the hosts that mail is handed to: who answers and will not do is an error, who does not answer a
warning, for that may be over in a minute and may be so from this host only.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from coldsend.alerts import mail
from coldsend.alerts.targets import MAIL, WEBHOOK, problems
from coldsend.channels.smtp.auth import Secrets
from coldsend.channels.smtp.handshake import HandshakeFailed, Route, open_connection
from coldsend.channels.values import is_loopback
from coldsend.config.authorities import trusting
from coldsend.config.settings import Settings
from coldsend.domain import alert_targets
from coldsend.domain.finding import Finding
from coldsend.domain.reserved import is_reserved
from coldsend.errors import ColdsendError

SECONDS = 4.0


def findings(settings: Settings, *, over_network: bool = True) -> list[Finding]:
    """What is wrong with each target; over the network, servers are connected to and logged in to."""
    found = list(problems(settings.alerts))
    if not settings.alerts.kinds.strip() and (settings.alerts.email or settings.alerts.webhooks):
        found.append(Finding("warning", "[alerts] kinds", "is empty: nobody is told of anything"))
    known = {finding.subject for finding in found}
    return [*found, *asyncio.run(_asked(settings, known))] if over_network else found


async def _asked(settings: Settings, known: set[str]) -> list[Finding]:
    looks = []
    addresses = alert_targets.addresses(settings.alerts.email)
    if addresses and f"{MAIL}:{addresses[0]}" not in known:
        looks.append(_mail_server(settings))
    webhooks = alert_targets.webhooks(settings.alerts.webhooks)
    looks += [_receiver(name, url) for name, url in webhooks.items() if f"{WEBHOOK}:{name}" not in known]
    return [finding for found in await asyncio.gather(*looks) for finding in found]


async def _mail_server(settings: Settings) -> Sequence[Finding]:
    service, credentials, smtp = mail.route_of(settings.alerts, settings.smtp)
    given = service.settings
    if is_reserved(given["host"]):
        return []
    subject = "[alerts] smtp_host"
    route = Route(given["host"], given["port"], given["tls"], smtp.helo_name, allow_plaintext_auth=False)
    deadline = asyncio.get_running_loop().time() + SECONDS
    try:
        context = trusting(smtp.ca_file, "smtp") if given["tls"] != "none" else None
        connection = await open_connection(route, Secrets(credentials), smtp, context, deadline, None)
    except HandshakeFailed as failure:
        hint = "see [alerts] smtp_host, smtp_port, smtp_tls, smtp_username"
        if failure.answer.lost or failure.answer.code // 100 == 4:
            why = f"was not checked: it cannot be reached from here ({failure.answer.text})"
            return [Finding("warning", subject, why, hint)]
        return [Finding("error", subject, f"alerts cannot be mailed: {failure.answer}", hint)]
    except ColdsendError as error:
        return [Finding("error", subject, error.message, error.hint)]
    await connection.goodbye()
    return []


async def _receiver(name: str, url: str) -> Sequence[Finding]:
    """Whether somebody answers there, and with a certificate that holds; nothing is asked."""
    subject, parts = f"{WEBHOOK}:{name}", urlsplit(url)
    host, encrypted = parts.hostname or "", parts.scheme == "https"
    found = []
    if not encrypted and not is_loopback(host):
        found.append(
            Finding("warning", subject, "its URL is not https: what is wrong here can be read on the way")
        )
    if is_reserved(host):
        return found
    try:
        async with asyncio.timeout(SECONDS):
            context = ssl.create_default_context() if encrypted else None
            _reader, writer = await asyncio.open_connection(
                host, parts.port or (443 if encrypted else 80), ssl=context
            )
    except (OSError, TimeoutError) as error:
        hint = f"try it with: coldsend alert test {subject}"
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            return [*found, Finding("error", subject, f"TLS with {host} failed: {error.strerror}", hint)]
        why = f"was not checked: {host} cannot be reached from here ({str(error) or 'no answer in time'})"
        return [*found, Finding("warning", subject, why, hint)]
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return found
