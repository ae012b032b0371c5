"""Templates, services and recipients that the tests of composing share."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Sequence
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

from coldsend.composing.compose import Composer, composer
from coldsend.composing.dkim import Signer
from coldsend.composing.source import Site, TemplateSource, Variable
from coldsend.domain.message import Message, Recipient
from coldsend.domain.service import Service

NOW = datetime(2027, 3, 1, 23, 30, 5, tzinfo=UTC)
SECRET = bytes(range(32))
SITE = Site("https://mail.example.com", "1 Test Street, Testville", SECRET)
PLAIN_SITE = Site("https://mail.example.com", "1 Test Street, Testville", SECRET, False, False)
SERVICE = Service(3, "main", "smtp", "robin@sender.example", "Robin Field")


def template(
    body: str = "<p>Hello</p>", subject: str = "Hello", text: str | None = None, **values: Any
) -> TemplateSource:
    return TemplateSource(**{"id": 1, "name": "intro", **values}, subject=subject, body=body, text_body=text)


def recipient(address: str = "bob@acme.example", row_id: int = 7, **values: Any) -> Recipient:
    return Recipient(row_id, 1, 1, address, **values)


def made(
    source: TemplateSource,
    *,
    variables: Sequence[Variable] = (),
    service: Service = SERVICE,
    site: Site = PLAIN_SITE,
    signer: Signer | None = None,
) -> Composer:
    return composer(source, variables, service, site, signer)


def message(source: TemplateSource, to: Recipient | None = None, **options: Any) -> Message:
    return made(source, **options).compose(to or recipient(nickname="Bob"), NOW)


def parsed(composed: Message) -> EmailMessage:
    """The message as the standard library reads it."""
    read = email.message_from_bytes(composed.data, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    return read


def part(composed: Message, kind: str) -> str:
    """The decoded text or HTML part, with LF line ends."""
    found = parsed(composed).get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def mailboxes(field: str) -> list[tuple[str, str]]:
    """Names and addresses as RFC 2047 reads them: CPython 3.11 puts spaces between encoded-words of names."""
    found = getaddresses([field.replace("\r\n", "")])
    return [(str(make_header(decode_header(name))), address) for name, address in found]
