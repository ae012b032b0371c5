"""The targets that the configuration names, and what is wrong with them.

One that cannot be used keeps no other from being told: deliveries to it fail with the reason, wait, and go
out when it is mended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from coldsend import logbook
from coldsend.alerts import chat, mail
from coldsend.alerts.seam import NotDelivered, Target
from coldsend.channels.values import is_loopback
from coldsend.config.settings import AlertsSettings, Settings
from coldsend.domain import alert_targets
from coldsend.domain.alert import AlertEvent, Notice
from coldsend.domain.finding import Finding

LOG = "log"
MAIL, WEBHOOK, CHAT = "email", "webhook", "chat"


@dataclass(frozen=True)
class Log:
    """The log: always there."""

    name: str = LOG
    gathers: bool = False

    async def send(self, notices: Sequence[Notice], message_id: str, at: datetime) -> None:
        for notice in notices:
            tell = logbook.alert_raised if notice.event is AlertEvent.RAISED else logbook.alert_cleared
            tell(notice.kind, notice.alert_id, notice.subject, notice.message)


@dataclass(frozen=True)
class Unusable:
    """A target whose configuration is not complete."""

    name: str
    reason: str
    gathers: bool = True

    async def send(self, notices: Sequence[Notice], message_id: str, at: datetime) -> None:
        raise NotDelivered(self.reason)


def names(settings: AlertsSettings) -> list[str]:
    """Where every notice goes, the log first."""
    return [
        LOG,
        *(f"{MAIL}:{email}" for email in alert_targets.addresses(settings.email)),
        *(f"{WEBHOOK}:{name}" for name in alert_targets.webhooks(settings.webhooks)),
        *(f"{CHAT}:{name}" for name in alert_targets.chats(settings.chat)),
    ]


def all_targets(settings: Settings) -> dict[str, Target]:
    """Each of :func:`names`, ready to send."""
    trouble = {finding.subject: finding.message for finding in problems(settings.alerts)}
    found: list[Target] = [Log()]
    found += _mails(settings)
    known = alert_targets.secrets(settings.alerts.webhook_secret)
    for name, url in alert_targets.webhooks(settings.alerts.webhooks).items():
        from coldsend.alerts.webhook import Webhook  # noqa: PLC0415 - httpx is slow to import, for a daemon

        found.append(Webhook(f"{WEBHOOK}:{name}", url, alert_targets.keys_for(name, known)))
    for name, url in alert_targets.chats(settings.alerts.chat).items():
        found.append(chat.Chat(f"{CHAT}:{name}", url))
    return {
        target.name: Unusable(target.name, trouble[target.name]) if target.name in trouble else target
        for target in found
    }


def _mails(settings: Settings) -> Iterator[Target]:
    route, credentials, smtp = mail.route_of(settings.alerts, settings.smtp)
    for email in alert_targets.addresses(settings.alerts.email):
        yield mail.Mail(f"{MAIL}:{email}", email, route.from_email, route, credentials, smtp)


def problems(settings: AlertsSettings) -> Iterator[Finding]:
    """What keeps a target from being used, as far as the configuration tells; subject: the target."""
    for email in alert_targets.addresses(settings.email):
        reason, hint = _mail_problem(settings)
        if reason:
            yield Finding("error", f"{MAIL}:{email}", reason, hint)
    known = alert_targets.secrets(settings.webhook_secret)
    for name in alert_targets.webhooks(settings.webhooks):
        if not alert_targets.keys_for(name, known):
            yield Finding(
                "error",
                f"{WEBHOOK}:{name}",
                "there is no secret to sign its webhooks with: [alerts] webhook_secret is empty",
                "make one with: coldsend alert secret",
            )
    chats = alert_targets.chats(settings.chat)
    for name, url in chats.items():
        subject = f"{CHAT}:{name}"
        if chat.apprise() is None:
            yield Finding("error", subject, f"Apprise is not installed; {chat.INSTALL}", chat.INSTALL)
        elif not chat.is_usable(url):
            yield Finding(
                "error", subject, "Apprise does not understand its URL", "see Apprise's list of URLs"
            )


def _mail_problem(settings: AlertsSettings) -> tuple[str, str]:
    if not settings.smtp_host:
        return (
            "there is no server to mail it through: [alerts] smtp_host is empty",
            "name one that campaigns do not go out through: [alerts] smtp_host",
        )
    if bool(settings.smtp_username) != bool(settings.smtp_password):
        return (
            "[alerts] smtp_username and smtp_password go together",
            "the password rather in COLDSEND_ALERTS_SMTP_PASSWORD",
        )
    if settings.smtp_password and settings.smtp_tls == "none" and not is_loopback(settings.smtp_host):
        return (
            "[alerts] smtp_tls = none would send the password in clear",
            "use starttls or implicit",
        )
    return "", ""
