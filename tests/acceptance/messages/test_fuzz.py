"""Names, fields, subjects and templates in ten scripts, friendly and hostile: a sound message or none.

Every message that is made is read by three readers that share nothing: the rules written down in ``rules``,
the standard library, GMime. All of them must find what was put in, and nothing else.
"""

from __future__ import annotations

import email
import email.policy
import html
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings

from coldsend.composing.compose import CannotCompose, composer
from coldsend.composing.source import TemplateSource
from coldsend.domain import sender
from coldsend.domain.message import Message, Recipient
from coldsend.domain.service import Service
from coldsend.errors import InvalidInput
from tests.acceptance.messages import scripts
from tests.acceptance.messages.rules import violations
from tests.composing import gmime, keys
from tests.composing.samples import SITE, mailboxes, recipient, template
from tests.composing.verifiers import MailDkim, by_dkimpy

pytestmark = pytest.mark.servers
# Verifiers reject what was signed in the future, and they read the real clock.
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

SERVICE = Service(
    3,
    "main",
    "smtp",
    "robin@sender.example",
    "Robin Field",
    {
        "bounce_address": "bounce+{token}@sender.example",
        "reply_to": "robin+{token}@sender.example",
        "unsubscribe_address": "stop+{token}@sender.example",
    },
)
BODY = (
    "<p>{{ contact.nickname | default('-') }}</p>\n<p>.</p>\n<p>FIXED <b>{{ contact.company }}</b></p>\n"
    "<p><a href='https://acme.example/?q=1'>FIXED</a></p>"
)
TEXT = "{{ contact.nickname | default('-') }}\n.\nFrom FIXED\n\n{{ contact.company }}\nhttps://acme.example/?q=1\n"


def written(fixed: str) -> TemplateSource:
    """A template with ``fixed`` in its own words, and a company and a name in all its parts."""
    subject = f"{fixed}: {{{{ contact.company }}}}"
    return template(BODY.replace("FIXED", html.escape(fixed)), subject, TEXT.replace("FIXED", fixed))


def compose(source: TemplateSource, to: Recipient, name: str | None = "Robin Field") -> Message:
    service = replace(SERVICE, from_name=name)
    return composer(source, [], service, SITE, keys.signer()).compose(to, NOW)


def plain(value: str) -> str:
    """A value as names and the subject show it."""
    return re.sub(r"\s{2,}", " ", value.strip())


def read(data: bytes) -> EmailMessage:
    """As the standard library reads it; it has nothing to complain about."""
    found = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    defects = [defect for part in found.walk() for defect in part.defects]
    assert defects == []
    return found


def assert_sound(message: Message, *, name: str | None, nickname: str, subject: str) -> None:
    assert violations(message.data, smtputf8=message.smtputf8) == []
    strict, lenient = gmime.read(message.data), read(message.data)
    complaints = strict.warnings
    if message.smtputf8:
        complaints = [each for each in complaints if not each.startswith("8-bit header")]
    assert complaints == []
    assert strict.subject == str(lenient["subject"]) == subject
    to = re.search(r"^To: (.*?)\r\n(?! )", message.data.decode(), re.MULTILINE | re.DOTALL)
    assert to is not None
    assert mailboxes(to[1]) == [(plain(nickname), message.rcpt_to)]
    if not message.smtputf8:
        assert strict.to == [(plain(nickname), message.rcpt_to)]
    assert strict.senders == [(plain(name or ""), "robin@sender.example")]
    assert [kind for kind, _text in strict.parts] == ["text/plain", "text/html"]


def assert_says(message: Message, in_text: list[str], in_html: list[str]) -> None:
    """Both parts say it, to GMime and to the standard library alike."""
    (_plain, strict_text), (_html, strict_html) = gmime.read(message.data).parts
    found = read(message.data)
    for kind, strict, words in (("plain", strict_text, in_text), ("html", strict_html, in_html)):
        part = found.get_body((kind,))
        assert part is not None
        content = str(part.get_content()).replace("\r\n", "\n")
        assert content == strict.replace("\r\n", "\n")
        for word in [*words, SITE.postal_address, "https://mail.example.com/u/"]:
            assert word in content


@RELAXED
@given(scripts.VALUES, scripts.VALUES, scripts.VALUES, scripts.WORDS, scripts.ADDRESSES)
@example("  two  spaces ", "a" * 90, "x", "y", "bob@acme.example")
@example("Robin", "Bob", "plain words " * 20 + "end", "y", "bob@acme.example")
@example('"quoted"', "comma, inc.", "=?x", "=?utf-8?q?=41?=", "用户@例え.example")
def test_what_fits_is_sent_and_reads_back_as_it_was_given(
    name: str, nickname: str, company: str, fixed: str, address: str
) -> None:
    if sender_refuses(name):
        name = "Robin Field"
    message = compose(
        written(fixed), recipient(address, nickname=nickname, fields={"company": company}), name
    )
    subject = f"{fixed}: {company}".strip()
    assert_sound(message, name=name, nickname=nickname, subject=subject)
    escaped = html.escape(company).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    assert_says(
        message, [company, nickname, fixed], [escaped, html.escape(fixed), quote("https://acme.example/", "")]
    )


def sender_refuses(name: str) -> bool:
    """Whether a service could not have this name in the first place."""
    try:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return sender.parse(f'"{quoted}" <robin@sender.example>').name != name.strip()
    except InvalidInput:
        return True


@RELAXED
@given(scripts.ANYTHING, scripts.ANYTHING, scripts.ANYTHING, scripts.WORDS)
def test_whatever_contacts_and_services_are_called_the_message_is_sound_or_there_is_none(
    name: str, nickname: str, company: str, fixed: str
) -> None:
    to = recipient(nickname=nickname, fields={"company": company})
    try:
        message = compose(written(fixed), to, name)
    except (CannotCompose, InvalidInput):
        return
    subject = f"{fixed}: {company}".strip()
    assert_sound(message, name=name, nickname=nickname if nickname.strip() else "", subject=subject)


@RELAXED
@given(scripts.ANYTHING, scripts.ANYTHING, scripts.ANYTHING)
def test_whatever_a_template_says_the_message_is_sound_or_there_is_none(
    subject: str, body: str, text: str
) -> None:
    try:
        message = compose(template(f"<p>{body}</p>", subject, text), recipient(nickname="Bob"))
    except (CannotCompose, InvalidInput):
        return
    assert violations(message.data) == []
    assert gmime.read(message.data).warnings == []
    assert_says(message, [], [])
    assert str(read(message.data)["subject"]) == gmime.read(message.data).subject == message.subject


@pytest.fixture(scope="module")
def perl() -> Iterator[MailDkim]:
    verifier = MailDkim()
    yield verifier
    verifier.close()


@settings(max_examples=25, deadline=None)
@given(scripts.VALUES, scripts.VALUES, scripts.WORDS)
def test_two_verifiers_that_share_nothing_find_the_signature_good(
    perl: MailDkim, nickname: str, company: str, fixed: str
) -> None:
    message = compose(written(fixed), recipient(nickname=nickname, fields={"company": company}))
    assert by_dkimpy(message.data, keys.record())
    assert perl.results(message.data, keys.record()) == "pass"
    assert not by_dkimpy(message.data.replace(b"One-Click", b"Two-Click"), keys.record())
    assert perl.results(message.data.replace(b"<https://mail", b"<https://mall", 1), keys.record()) != "pass"
