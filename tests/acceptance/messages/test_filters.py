"""SpamAssassin's own rules on our messages, offline: nothing above a point but what the template causes."""

from __future__ import annotations

import email.policy
from collections.abc import Iterator
from dataclasses import replace
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

import pytest

from coldsend.composing.source import TemplateSource
from coldsend.domain.message import Message
from tests.acceptance.messages.scripts import SCRIPTS
from tests.acceptance.messages.test_fuzz import SERVICE
from tests.composing import keys
from tests.composing.samples import NOW, SITE, made, recipient, template
from tests.composing.test_examples import SUBJECTS, contacts, source
from tests.servers.spamassassin import SpamAssassin, received

pytestmark = pytest.mark.servers
MOST = 1.0


@pytest.fixture(scope="module")
def assassin() -> Iterator[SpamAssassin]:
    with SpamAssassin() as running:
        yield running


def grave(assassin: SpamAssassin, data: bytes, mail_from: str) -> dict[str, float]:
    return {name: score for name, score in assassin.rules(received(data, mail_from)).items() if score > MOST}


def composed(source: TemplateSource, *, signed: bool, **values: object) -> Message:
    service = SERVICE if signed else replace(SERVICE, settings={})
    composer = made(source, service=service, site=SITE, signer=keys.signer() if signed else None)
    return composer.compose(recipient(**values), NOW)  # type: ignore[arg-type]


def test_the_filter_is_awake(assassin: SpamAssassin) -> None:
    bad = b"Subject: CHEAP VIAGRA!!!\r\n\r\nBuy VIAGRA now http://1.2.3.4/x\r\n"
    assert sum(assassin.rules(bad).values()) > 5


@pytest.mark.parametrize("name", SUBJECTS)
def test_no_example_costs_more_than_a_point_anywhere(assassin: SpamAssassin, name: str) -> None:
    to = contacts()[3]
    message = made(source(name), site=SITE, signer=keys.signer()).compose(to, NOW)
    assert grave(assassin, message.data, message.mail_from) == {}


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_we_add_costs_nothing_in_any_script(assassin: SpamAssassin, script: str) -> None:
    name, company, sentence = SCRIPTS[script]
    body = f"<p>{name},</p><p>{sentence} {company}</p><p><a href='https://acme.example/a'>{company}</a></p>"
    message = composed(template(body, f"{company} - {sentence}"), signed=script != "Latin", nickname=name)
    without_us = as_anybody_would_send(body, f"{company} - {sentence}", sentence, name)
    caused = grave(assassin, message.data, message.mail_from).keys()
    assert caused - grave(assassin, without_us, "robin@sender.example").keys() == set()


def as_anybody_would_send(body: str, subject: str, text: str, name: str) -> bytes:
    """The template's words in a message of the standard library's, with nothing of ours."""
    built = EmailMessage(policy=email.policy.SMTP)
    built["From"] = "Robin Field <robin@sender.example>"
    built["To"] = Address(name, addr_spec="bob@acme.example")
    built["Subject"] = subject
    built["Date"] = format_datetime(NOW)
    built["Message-ID"] = "<20270301.1234@sender.example>"
    built.set_content(text)
    built.add_alternative(f"<!DOCTYPE html><html><body>{body}</body></html>", subtype="html")
    return built.as_bytes()


def test_a_picture_for_everybody_would_cost_more(assassin: SpamAssassin) -> None:
    # Why the open pixel is a background: this is what it would come to as a picture.
    pixel = "<img src='https://mail.example.com/o/x.gif' width='1' height='1' alt=''>"
    data = as_anybody_would_send(f"<p>{'a few words ' * 90}</p>{pixel}", "Hello", "words", "Bob")
    assert any(rule.startswith("HTML_IMAGE_ONLY") for rule in grave(assassin, data, "robin@sender.example"))
