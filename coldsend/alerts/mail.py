"""Alerts by mail, through the server that [alerts] names.

It is none of the sender services: no quota is counted, no health is judged, and a service that is frozen does
not keep anybody from hearing of it. The dialogue is that of the SMTP channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime

from coldsend.alerts.seam import SECONDS, NotDelivered
from coldsend.channels.smtp.channel import SmtpChannel
from coldsend.channels.values import PORTS_BY_TLS
from coldsend.config.settings import AlertsSettings, SmtpSettings
from coldsend.domain import address
from coldsend.domain.alert import Notice, headline, text
from coldsend.domain.answers import Outcome
from coldsend.domain.message import Contents, Message
from coldsend.domain.replies import judge
from coldsend.domain.service import Service

SENDER_NAME = "coldsend"


@dataclass(frozen=True)
class Mail:
    """One address; see :class:`coldsend.alerts.seam.Target`."""

    name: str
    to: str
    sender: str
    route: Service
    credentials: dict[str, str] = field(repr=False)
    smtp: SmtpSettings
    gathers: bool = True

    async def send(self, notices: Sequence[Notice], message_id: str, at: datetime) -> None:
        message = compose(self.sender, self.to, notices, message_id, at)
        channel = SmtpChannel(self.route, self.credentials, self.smtp)
        try:
            answer = await channel.send(message, lambda: None)
        finally:
            await channel.close()
        if judge(answer).outcome is not Outcome.ACCEPTED:
            raise NotDelivered(str(answer))


def compose(sender: str, to: str, notices: Sequence[Notice], message_id: str, at: datetime) -> Message:
    """A plain message that no automatic reply answers. message_id makes the same Message-ID each time."""
    mail_from, rcpt_to = _envelope(sender), _envelope(to)
    smtputf8 = not (mail_from.isascii() and rcpt_to.isascii())
    document = EmailMessage(policy=SMTPUTF8 if smtputf8 else SMTP)
    full_id = f"<{message_id}@{address.parse(sender).domain}>"
    document["From"] = f"{SENDER_NAME} <{mail_from}>"
    document["To"] = rcpt_to
    document["Subject"] = f"[coldsend] {' '.join(headline(notices).split())}"
    document["Date"] = format_datetime(at)
    document["Message-ID"] = full_id
    document["Auto-Submitted"] = "auto-generated"
    document.set_content(text(notices))
    contents = Contents(
        document["From"], rcpt_to, document["Subject"], html="", text=text(notices), headers={}
    )
    return Message(
        row_id=0,
        mail_from=mail_from,
        rcpt_to=rcpt_to,
        message_id=full_id,
        data=document.as_bytes(),
        tell=lambda: contents,
        smtputf8=smtputf8,
    )


def route_of(settings: AlertsSettings, smtp: SmtpSettings) -> tuple[Service, dict[str, str], SmtpSettings]:
    """Where mails of alerts go, with what they log in, and how long everything may take."""
    sender = settings.email_from or settings.email.partition(",")[0].strip()
    route = Service(
        id=0,
        name="alerts",
        type="smtp",
        from_email=sender,
        settings={
            "host": settings.smtp_host,
            "port": settings.smtp_port or PORTS_BY_TLS[settings.smtp_tls],
            "tls": settings.smtp_tls,
            "connections": 1,
        },
    )
    login = {"username": settings.smtp_username, "password": settings.smtp_password}
    hurried = replace(
        smtp,
        connect_timeout=SECONDS,
        greeting_timeout=SECONDS,
        session_deadline=SECONDS,
        final_timeout=SECONDS,
        idle_seconds=0.0,
    )
    return route, login if settings.smtp_username else {}, hurried


def _envelope(email: str) -> str:
    """The address with its domain as A-labels."""
    parsed = address.parse(email)
    return f"{parsed.email.rpartition('@')[0]}@{parsed.domain}"
