"""What comes back, handed in as it comes: mail through IMAP, visits through the web part."""

from __future__ import annotations

import html
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import sqlalchemy as sa

from coldsend.database.tables import contacts, event_log, suppressions, task_contacts, tasks
from tests.acceptance.month import mails
from tests.acceptance.month.installation import CAMPAIGN, MAILBOX
from tests.acceptance.month.record import Message
from tests.acceptance.month.script import Happening, Kind, Script
from tests.conftest import Project
from tests.servers.dovecot import Dovecot

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:138.0) Gecko/20100101 Firefox/138.0"
SCANNER = "Barracuda Sentinel (EE)"
BASE_URL = "https://mail.example.com"
_VISITS = frozenset({Kind.UNSUBSCRIBE, Kind.CLICK, Kind.SCANNER})

Due = Sequence[tuple[Message, Happening]]


class ComingBack:
    """raw: the text of a message by its number."""

    def __init__(
        self, project: Project, script: Script, dovecot: Dovecot, web_port: int, raw: Callable[[int], bytes]
    ) -> None:
        self.project, self.script, self.dovecot = project, script, dovecot
        self._web_port, self._raw = web_port, raw

    def hand_in(self, due: Due, at: datetime) -> None:
        """All of it; mail and what operators do is known when this returns, visits when :meth:`are_known`."""
        mail = [raw for message, what in due if (raw := self._mail_of(message, what, at)) is not None]
        if mail:
            self.dovecot.put(MAILBOX, *mail, at=at)
            [polled] = self.project.json("inbox", "poll", MAILBOX)
            assert polled["read"] >= len(mail), polled
        stopped = [message.to for message, what in due if what.kind is Kind.STOP]
        if stopped:
            self.project.run("campaign", "stop", CAMPAIGN, *stopped)
        for message, what in visits(due):
            self._visited(message, what.kind)

    def are_known(self, due: Due) -> bool:
        """Whether each click is in the event log and each unsubscribe in force."""
        with self.project.database.read() as connection:
            return all(_has_come(connection, message, what.kind) for message, what in visits(due))

    def answers(self) -> bool:
        """Whether the web part can be visited."""
        try:
            self._visit("/nothing", BROWSER)
        except urllib.error.HTTPError as error:
            error.close()
            return True
        except OSError:
            return False
        return True

    def _mail_of(self, about: Message, what: Happening, at: datetime) -> bytes | None:
        match what.kind:
            case Kind.REPLY | Kind.UNSUBSCRIBE_REPLY:
                return mails.reply(about, what.words, at)
            case Kind.AUTO_REPLY:
                return mails.auto_reply(about, self.script.away_until(at, what), at)
            case Kind.BOUNCE:
                return mails.bounce(about, "5.1.1", f"550 5.1.1 <{about.to}>: no such user here", at)
            case Kind.SOFT_BOUNCE:
                return mails.bounce(about, "5.2.2", "552 5.2.2 mailbox full", at)
            case Kind.COMPLAINT:
                return mails.complaint(about, at)
        return None

    def _visited(self, message: Message, kind: Kind) -> None:
        """Do in the web part what the recipient's mail program, browser or scanner does."""
        parsed = message_from_bytes(self._raw(message.number), policy=default)
        assert isinstance(parsed, EmailMessage)
        if kind is Kind.UNSUBSCRIBE:
            found = re.search(rf"<{BASE_URL}(/[^>]+)>", str(parsed["List-Unsubscribe"]))
            assert found
            self._visit(found[1], BROWSER, b"List-Unsubscribe=One-Click")
            return
        part = parsed.get_body(("html",))
        assert part is not None
        found = re.search(rf'href="{BASE_URL}(/c/[^"]+)"', part.get_content())
        assert found, part.get_content()
        self._visit(html.unescape(found[1]), SCANNER if kind is Kind.SCANNER else BROWSER)

    def _visit(self, path: str, agent: str, data: bytes | None = None) -> None:
        url = f"http://127.0.0.1:{self._web_port}{path}"
        request = urllib.request.Request(url, data=data, headers={"User-Agent": agent})
        with _NO_REDIRECT.open(request, timeout=60) as answer:
            assert answer.status < 400


def visits(due: Due) -> list[tuple[Message, Happening]]:
    """Those that come through the web part."""
    return [(message, what) for message, what in due if what.kind in _VISITS]


def _has_come(connection: sa.Connection, message: Message, kind: Kind) -> bool:
    if kind is Kind.UNSUBSCRIBE:
        found = sa.select(suppressions.c.value).where(suppressions.c.value == message.to)
    else:
        sent = task_contacts.join(contacts).join(tasks)
        row = sa.select(task_contacts.c.task_id, task_contacts.c.contact_id).select_from(sent)
        row = row.where(contacts.c.email == message.to, task_contacts.c.message_id == message.message_id)
        found = sa.select(event_log.c.id).where(
            event_log.c.type == "click",
            sa.tuple_(event_log.c.task_id, event_log.c.contact_id).in_(row),
        )
    return connection.execute(found.limit(1)).first() is not None


class _Stay(urllib.request.HTTPRedirectHandler):
    """Where a click leads is none of our business."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.code = 200
        return fp


_NO_REDIRECT = urllib.request.build_opener(_Stay)
