"""Whole messages: the standard library reads back what was meant, and nothing can be smuggled in."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from datetime import timedelta
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.composing.compose import CannotCompose
from coldsend.composing.source import Site
from coldsend.composing.tokens import Kind, Tokens
from coldsend.domain.message import Message, Recipient
from coldsend.domain.service import Service
from coldsend.errors import InvalidInput
from tests.composing.samples import (
    NOW,
    PLAIN_SITE,
    SECRET,
    SERVICE,
    SITE,
    made,
    mailboxes,
    message,
    parsed,
    part,
    recipient,
    template,
)

SCRIPTS = (
    "Latin azAZ09",
    "äöüßéñçØł",
    "Кириллица",
    "Ελληνικά",
    "中文邮件退货",
    "日本語かなカナ",
    "한국어",
    "עברית",
    "العربية",
    "हिन्दी",
    "ไทย",
    "😀👩\u200d👧",
)
SIGNS = " .,;:!?\"'\\/()<>[]{}@&=#%*+-_|~^`$"
LETTERS = st.sampled_from("".join(SCRIPTS) + SIGNS)
# Placeholders of other tools are refused on purpose; their test stands below.
VALUE = st.text(LETTERS, max_size=120).filter(
    lambda text: not re.search(r"\{\{|\{%|%\}|\[\[|\*\||%%|<<", text)
)

BODY = (
    "<p>Dear {{ contact.nickname | default('friend') }},</p>\n<p>"
    + "a line that is the same for everybody and a little longer than seventy-six characters "
    + "</p>\n<ul>\n<li>one = 1</li>\n<li>zwei ä</li>\n</ul>\n<p>{{ contact.company | default('-') }}"
    + ' <a href="https://acme.example/?x=1&amp;y=2">link</a></p>\n.\n<p>end</p>'
)
SOURCE = template(
    BODY,
    subject="{{ contact.company | default('-') }}: hello {{ contact.nickname | default('friend') }}",
    text="Dear {{ contact.nickname | default('friend') }},\n\n"
    + "the same for everybody\n" * 9
    + "\n{{ contact.company | default('-') }} \n.\nFrom here\n",
)
COMPOSER = made(SOURCE, site=SITE)


def filled(nickname: str, company: str) -> Message:
    return COMPOSER.compose(recipient(nickname=nickname, fields={"company": company}), NOW)


def as_email_message(composed: Message, to_name: str) -> EmailMessage:
    """The same message as the standard library would build it."""
    built = EmailMessage(policy=email.policy.SMTP)
    built["From"] = "Robin Field <robin@sender.example>"
    to_name = re.sub(r"\s{2,}", " ", to_name)
    built["To"] = email.headerregistry.Address(to_name, addr_spec=composed.rcpt_to)
    built["Subject"] = composed.subject
    built["Message-ID"] = composed.message_id
    built.set_content(composed.text)
    built.add_alternative(composed.html, subtype="html")
    return built


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(VALUE, VALUE)
def test_a_message_means_what_email_message_would_mean(nickname: str, company: str) -> None:
    composed = filled(nickname, company)
    read = parsed(composed)
    expected = as_email_message(composed, nickname.strip())
    for name in ("subject", "message-id"):
        assert str(read[name]) == str(expected[name])
    for name in ("from", "to"):
        assert [a.addr_spec for a in read[name].addresses] == [a.addr_spec for a in expected[name].addresses]
    wanted_names = [a.display_name for a in expected["to"].addresses]
    field = composed.data.partition(b"\r\nTo: ")[2].partition(b"\r\nSubject: ")[0].decode()
    assert [name for name, _address in mailboxes(field)] == wanted_names
    for kind, text in (("plain", composed.text), ("html", composed.html)):
        wanted = expected.get_body((kind,))
        assert wanted is not None
        assert part(composed, kind) == text == wanted.get_content().replace("\r\n", "\n")
    assert read.get_content_type() == expected.get_content_type()
    assert not read.defects
    assert not any(found.defects for found in read.walk())


@pytest.mark.costly
@settings(max_examples=150, deadline=None)
@given(VALUE, VALUE)
def test_values_arrive_whole_and_older_parsers_agree(nickname: str, company: str) -> None:
    composed = filled(nickname, company)
    shown = company if company.strip() else "-"
    assert composed.subject.startswith(shown.strip())
    assert shown in part(composed, "plain")
    classic = email.message_from_bytes(composed.data, policy=email.policy.compat32)
    subject = classic["Subject"].replace("\r\n", "")
    assert str(make_header(decode_header(subject))) == composed.subject
    text, html = classic.get_payload()
    assert text.get_payload(decode=True).decode().replace("\r\n", "\n") == composed.text
    assert html.get_payload(decode=True).decode().replace("\r\n", "\n") == composed.html


HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "MIME-Version",
    "Content-Type",
]


@pytest.mark.costly
@settings(max_examples=150, deadline=None)
@given(VALUE, VALUE)
def test_the_bytes_are_sound(nickname: str, company: str) -> None:
    composed = filled(nickname, company)
    assert b"\n" not in composed.data.replace(b"\r\n", b"")
    assert b"\r" not in composed.data.replace(b"\r\n", b"")
    assert b"\0" not in composed.data
    assert composed.data.isascii()
    head, _, _body = composed.data.partition(b"\r\n\r\n")
    lines = composed.data.split(b"\r\n")
    assert all(len(line) <= 998 for line in lines)
    assert not any(line.isspace() for line in lines)
    assert composed.clean
    assert not any(line.startswith(b".") for line in lines)
    names = re.findall(rb"^([A-Za-z-]+):", head, re.MULTILINE)
    assert [name.decode() for name in names] == HEADERS


ODDITIES = ["\r", "\n", "\0", "\x0b", "\x85", "\u2028", " ", ":", "a", "Bcc: x", "=?utf-8?q?=0d=0a?="]
HOSTILE = st.lists(st.sampled_from(ODDITIES), max_size=8).map("".join)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE, st.sampled_from(["nickname", "company", "email", "tag"]))
def test_no_field_can_add_a_header(first: str, second: str, where: str) -> None:
    evil = f"{first}\r\nBcc: thief@evil.example{second}"
    to = Recipient(1, 1, 1, "bob@acme.example", "Bob", ("vip",), {"company": "Acme"})
    to = {
        "nickname": replace(to, nickname=evil),
        "company": replace(to, fields={"company": evil}),
        "email": replace(to, email=evil),
        "tag": replace(to, tags=(f"city:{evil}",)),
    }[where]
    composer = made(template(subject="{{ contact.company }} {{ tag_value('city:') | default('-') }}"))
    with pytest.raises(CannotCompose) as caught:
        composer.compose(to, NOW)
    assert caught.value.reason in {"bad_header", "bad_address", "template_error"}


@pytest.mark.parametrize("value", ["=?utf-8?q?a=0D=0ABcc=3A_x?=", "x\ny", "x\0y", "x\u2028y", "x\x85y"])
def test_a_line_break_in_the_subject_is_a_bad_header(value: str) -> None:
    with pytest.raises(CannotCompose) as caught:
        message(template(subject="Hi {{ contact.company }}"), recipient(fields={"company": value}))
    assert caught.value.reason in {"bad_header", "template_error"}


@pytest.mark.parametrize(
    "left", ["{{ first_name }}", "{% if x %}", "[[name]]", "*|FNAME|*", "%%name%%", "<<name>>"]
)
def test_a_placeholder_in_a_value_never_goes_out(left: str) -> None:
    source = template("<p>{{ contact.company }}</p>", text="x")
    with pytest.raises(CannotCompose) as caught:
        message(source, recipient(fields={"company": f"a {left}"}))
    assert caught.value.reason == "template_error"
    assert "contact.company" in caught.value.detail
    message(source, recipient(fields={"company": "a [b] {c} 100% <d>"}))
    message(source, recipient(fields={"company": "fine", "unused": left}))


def test_the_headers_say_who_writes_to_whom_and_how_to_stop_it() -> None:
    service = replace(SERVICE, settings={"reply_to": "Team <team@bücher.example>"})
    composed = message(template(), service=service, site=SITE)
    read = parsed(composed)
    token = Tokens(SECRET).issue(Kind.UNSUBSCRIBE, 7)
    assert str(read["from"]) == "Robin Field <robin@sender.example>"
    assert str(read["to"]) == "Bob <bob@acme.example>"
    assert str(read["reply-to"]) == "Team <team@xn--bcher-kva.example>"
    assert composed.headers == {
        "List-Unsubscribe": f"<https://mail.example.com/u/{token}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Reply-To": "Team <team@xn--bcher-kva.example>",
    }
    for name, value in composed.headers.items():
        assert f"\r\n{name}: {value}\r\n".encode() in composed.data
    assert parsedate_to_datetime(str(read["date"])) == NOW
    assert "auto-submitted" not in read
    assert "feedback-id" not in read
    assert (composed.mail_from, composed.rcpt_to) == ("robin@sender.example", "bob@acme.example")


def test_long_addresses_leave_unsubscribe_on_one_line() -> None:
    site = Site("https://a-rather-long-name-of-a-host.mail.example.com/with/a/path", "x", SECRET)
    head = message(template(), site=site).data.split(b"\r\n\r\n")[0]
    assert re.search(rb"\r\nList-Unsubscribe: <https://[^\s>]{80,}>\r\n", head)


def test_the_message_id_is_that_of_the_row_on_the_sending_domain() -> None:
    first, again, other = (message(template(), recipient(row_id=row)).message_id for row in (5, 5, 6))
    assert first == again != other
    local, domain = first.strip("<>").split("@")
    assert domain == "sender.example"
    assert Tokens(SECRET).read(local.upper()) == (Kind.MESSAGE_ID, 5)
    by_setting = message(template(), service=replace(SERVICE, settings={"domain": "mta.example"}))
    assert by_setting.message_id.endswith("@mta.example>")


def test_international_addresses_go_out_as_servers_take_them() -> None:
    composed = message(template(), recipient("bob@bücher.example"))
    assert (composed.rcpt_to, composed.smtputf8) == ("bob@xn--bcher-kva.example", False)
    assert composed.data.isascii()
    wide = message(template(), recipient("jürgen@bücher.example"))
    assert (wide.rcpt_to, wide.smtputf8) == ("jürgen@xn--bcher-kva.example", True)
    read = email.message_from_string(wide.data.decode(), policy=email.policy.SMTPUTF8)
    assert read["to"].addresses[0].addr_spec == "jürgen@xn--bcher-kva.example"
    sender = replace(SERVICE, from_email="röbin@sender.example")
    assert message(template(), service=sender).smtputf8


def test_a_bad_address_stops_that_recipient() -> None:
    with pytest.raises(CannotCompose) as caught:
        message(template(), recipient("bob@"))
    assert caught.value.reason == "bad_address"
    assert "bob@" in caught.value.detail


def test_an_empty_subject_stops_the_recipient() -> None:
    source = template(subject="{% if contact.company %}x{% endif %}")
    with pytest.raises(CannotCompose) as caught:
        message(source)
    assert caught.value.reason == "bad_header"


def test_mostly_chinese_goes_as_base64() -> None:
    composed = message(
        template("<p>" + "关于退货处理的一个问题，" * 30 + "</p>\n<p>{{ contact.nickname }}</p>")
    )
    assert composed.data.count(b"Content-Transfer-Encoding: base64") == 2
    assert part(composed, "html") == composed.html


def test_the_parts_do_not_leak_from_one_recipient_into_the_next() -> None:
    composer = made(template("<p>{{ contact.nickname | default('you') }}</p>{% set a = contact.nickname %}"))
    texts = [composer.compose(recipient(nickname=name), NOW).html for name in ("Ann", None, "Bob", None)]
    assert ["Ann" in t for t in texts] == [True, False, False, False]
    assert texts[1] == texts[3]


def test_a_message_carries_the_time_it_was_made_at() -> None:
    composer = made(template())
    for later in (timedelta(0), timedelta(seconds=1), timedelta(days=200)):
        read = parsed(composer.compose(recipient(), NOW + later))
        assert parsedate_to_datetime(str(read["date"])) == NOW + later


@pytest.mark.parametrize(
    ("service", "complaint"),
    [
        (replace(SERVICE, from_email="robin"), "sender address"),
        (replace(SERVICE, from_name="a\r\nb"), "sender name"),
        (replace(SERVICE, settings={"reply_to": "x y z"}), "reply-to"),
        (replace(SERVICE, settings={"domain": "a b"}), "Message-ID domain"),
    ],
)
def test_a_service_that_cannot_send_is_named(service: Service, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=rf"service 'main' cannot send: .*{complaint}"):
        made(template(), service=service)


@pytest.mark.parametrize("absent", ["base_url", "postal_address"])
def test_an_incomplete_site_is_refused(absent: str) -> None:
    with pytest.raises(InvalidInput, match=absent):
        made(template(), site=replace(PLAIN_SITE, **{absent: ""}))


def test_a_sender_without_a_name_is_called_by_its_address() -> None:
    made_by = message(template("{{ sender.name }}"), service=replace(SERVICE, from_name=None))
    assert SERVICE.from_email in made_by.text


@pytest.mark.parametrize("company", ["Re: our talk", " RE : x", "Fwd: x", "AW[3]: x", "回复：x"])
def test_a_value_cannot_make_a_subject_look_like_an_answer(company: str) -> None:
    composer = made(template(subject="{{ contact.company }}"))
    with pytest.raises(CannotCompose, match="it answers nothing") as caught:
        composer.compose(recipient(fields={"company": company}), NOW)
    assert caught.value.reason == "bad_header"


@pytest.mark.parametrize("company", ["Return: x", "Resume", "A Re: b", "Fwdx: y", "AWS: costs"])
def test_words_that_only_begin_so_are_none(company: str) -> None:
    composer = made(template(subject="{{ contact.company }}"))
    assert composer.compose(recipient(fields={"company": company}), NOW).subject == company
