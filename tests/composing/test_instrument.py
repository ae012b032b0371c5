"""What is done to a template's HTML: links, pixel, footer, a document around a fragment."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest

from coldsend.composing.compose import CannotCompose
from coldsend.composing.source import Variable
from coldsend.composing.tokens import Kind, Tokens
from coldsend.domain.states import VariableSource
from tests.composing.samples import PLAIN_SITE, SECRET, SITE, message, part, recipient, template

TOKENS = Tokens(SECRET)


class Links(HTMLParser):
    """All href and src values, unescaped, as a mail program would follow them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.images: list[str] = []
        self.attributes: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [name for name, _value in attrs]
        self.hrefs += [value or "" for name, value in attrs if name == "href"]
        self.images += [value or "" for name, value in attrs if name == "src"]


def links(body: str, **values: object) -> Links:
    values.setdefault("nickname", "Bob")
    return Links(message(template(body, text="x"), recipient(**values), site=SITE).html)  # type: ignore[arg-type]


def target_of(link: str) -> str:
    """The target of a tracked link, its token checked as the web part will."""
    parts = urlsplit(link)
    assert (parts.scheme, parts.netloc) == ("https", "mail.example.com")
    url = parse_qs(parts.query)["u"][0]
    assert TOKENS.read_click(parts.path.removeprefix("/c/"), url) == 7
    return url


@pytest.mark.parametrize(
    ("tag", "target"),
    [
        ('<a href="https://acme.example/">x</a>', "https://acme.example/"),
        ("<a href='http://acme.example'>x</a>", "http://acme.example"),
        ("<a href=https://acme.example/x>x</a>", "https://acme.example/x"),
        ('<A  CLASS=b HREF = "HTTPS://acme.example/x">x</A>', "HTTPS://acme.example/x"),
        ('<a\n href="https://acme.example/?a=1&amp;b=%20#c"\n>x</a>', "https://acme.example/?a=1&b=%20#c"),
        ('<a href=" https://acme.example/ü ">x</a>', "https://acme.example/ü"),
        ('<a title="a > b" href="https://acme.example">x</a>', "https://acme.example"),
        ('<a href="https://acme.example/{{ contact.nickname }}?q=a&amp;b">x</a>', "https://acme.example/Bob?q=a&b"),
        ("<a href='{{ contact.site }}'>x</a>", "https://bob.example/?x=\"1\"&y=<2>"),
        ('<a href="https://x.example/{% if contact.nickname %}a{% else %}b{% endif %}">x</a>', "https://x.example/a"),
    ],
)  # fmt: skip
def test_web_links_are_tracked_and_keep_their_target(tag: str, target: str) -> None:
    found = links(tag, fields={"site": 'https://bob.example/?x="1"&y=<2>'})
    assert target_of(found.hrefs[0]) == target


@pytest.mark.parametrize(
    "address",
    ["mailto:a@b.example?subject=x", "tel:+491234", "#top", "sms:+491234"],
)
def test_other_links_stay_as_they_are(address: str) -> None:
    assert links(f'<a href="{address}">x</a>').hrefs[0] == address
    assert links('<a href="{{ contact.site }}">x</a>', fields={"site": address}).hrefs[0] == address


@pytest.mark.parametrize("mark", ["data-no-track", 'data-no-track="yes"', "DATA-NO-TRACK"])
@pytest.mark.parametrize("address", ["https://acme.example/", "https://acme.example/{{ contact.nickname }}"])
def test_a_link_can_opt_out_and_the_mark_is_taken_out(mark: str, address: str) -> None:
    found = links(f'<a {mark} href="{address}" class="x">x</a>')
    assert found.hrefs[0].startswith("https://acme.example/")
    assert "data-no-track" not in found.attributes
    assert "class" in found.attributes


def test_the_unsubscribe_link_is_never_tracked() -> None:
    found = links('<a href="{{ unsubscribe_url }}">bye</a>')
    assert found.hrefs == [f"https://mail.example.com/u/{TOKENS.issue(Kind.UNSUBSCRIBE, 7)}"]


def test_the_same_target_twice_has_the_same_token() -> None:
    first, second, *_rest = links('<a href="https://a.example">x</a> <a href="https://a.example">y</a>').hrefs
    assert first == second


ASTRAY = [
    "javascript:alert(1)",
    "www.acme.example",
    "/page",
    "//acme.example",
    "https:///x",
    "data:text/html,x",
]


@pytest.mark.parametrize("address", ASTRAY)
@pytest.mark.parametrize("mark", ["", "data-no-track"])
def test_a_link_that_leads_astray_for_one_recipient_stops_that_recipient(address: str, mark: str) -> None:
    with pytest.raises(CannotCompose) as caught:
        links(f'<a {mark} href="{{{{ contact.site }}}}">x</a>', fields={"site": address})
    assert caught.value.reason == "template_error"
    assert address[:20] in caught.value.detail


def test_the_pixel_is_the_last_thing_of_the_body() -> None:
    html = message(template("<html><body><p>Hi</p></body></html>", text="x"), site=SITE).html
    pixel = f"https://mail.example.com/o/{TOKENS.issue(Kind.OPEN, 7)}.gif"
    assert re.findall(r"https://[^\s'\"]+\.gif", html) == [pixel, pixel]
    # A picture for Outlook only: filters take short HTML with one for a message that is a picture.
    assert Links(html).images == []
    assert re.search(r"<div [^>]*><!--\[if mso\]><img [^>]*><!\[endif\]--></div></body></html>\s*\Z", html)


def test_without_tracking_links_are_plain_and_there_is_no_pixel() -> None:
    body = '<a href="https://acme.example/{{ contact.nickname }}">x</a> <a href="https://b.example">y</a>'
    html = message(template(body, text="x"), site=PLAIN_SITE).html
    assert Links(html).hrefs[:2] == ["https://acme.example/Bob", "https://b.example"]
    assert ".gif" not in html


def test_a_fragment_becomes_a_document_on_the_same_lines() -> None:
    html = message(template("<p>\nHi</p>")).html
    assert html.startswith('<!DOCTYPE html><html><head><meta charset="utf-8"></head><body><p>\nHi</p>')
    assert html.rstrip().endswith("</body></html>")


def test_a_document_keeps_its_own_frame() -> None:
    html = message(template("<!doctype html>\n<html><head></head><body><p>Hi</p></body></html>")).html
    assert html.lower().count("<html") == html.lower().count("<body") == html.lower().count("</body>") == 1


FOOTED = [
    ("<p>Hi</p>", True, True),
    ('<p>{{ postal_address }} <a href="{{ unsubscribe_url }}">bye</a></p>', False, False),
    ('<a href="{{unsubscribe_url}}">bye</a>', False, True),
    ("<p>{{ postal_address }}</p>", True, False),
    # Not for everybody, not a link, or not to be seen: that does not count.
    ('{% if contact.nickname %}<a href="{{ unsubscribe_url }}">x</a>{% endif %}', True, True),
    ("<p>{{ unsubscribe_url }}</p>", True, True),
    ('<!-- <a href="{{ unsubscribe_url }}">x</a> -->', True, True),
]


@pytest.mark.parametrize(("body", "link", "address"), FOOTED)
def test_the_footer_brings_what_the_template_lacks(body: str, link: bool, address: bool) -> None:
    html = message(template(body, text="x")).html
    assert ("Unsubscribe</a></div>" in html) is link
    assert ("color:#767676\">1 Test Street, Testville" in html) is address  # fmt: skip
    unsubscribe = f"https://mail.example.com/u/{TOKENS.issue(Kind.UNSUBSCRIBE, 7)}"
    assert unsubscribe in Links(html).hrefs
    assert "1 Test Street, Testville" in html


def test_a_variable_that_stands_for_the_unsubscribe_link_counts() -> None:
    variables = [Variable("opt.out", VariableSource.SYSTEM, {"name": "unsubscribe_url"})]
    html = message(template('<a href="{{ opt.out }}">x</a>', text="x"), variables=variables).html
    assert "Unsubscribe" not in html
    assert f"/u/{TOKENS.issue(Kind.UNSUBSCRIBE, 7)}" in html


SOMETIMES = "{% if tag('x') %}{{ unsubscribe_url }}{% endif %}"


@pytest.mark.parametrize("text", [None, "Hi", "{{ postal_address }}", SOMETIMES])
def test_the_text_part_has_link_and_address_too(text: str | None) -> None:
    plain = part(message(template("<p>Hi</p>", text=text)), "plain")
    assert plain.count("1 Test Street, Testville") == 1
    assert f"https://mail.example.com/u/{TOKENS.issue(Kind.UNSUBSCRIBE, 7)}" in plain


@pytest.mark.parametrize(("language", "word"), [("de", "Abmelden"), ("zh-CN", "退订"), ("xx", "Unsubscribe")])
def test_the_footer_speaks_the_template_s_language(language: str, word: str) -> None:
    composed = message(template(f'<html lang="{language}"><body><p>Hi</p></body></html>'))
    assert f">{word}</a>" in composed.html
    assert f"{word}: https://" in composed.text


def test_a_right_to_left_footer_runs_from_right_to_left() -> None:
    assert '<div dir="rtl"' in message(template('<html lang="he"><body><p>Hi</p></body></html>')).html


def test_values_are_escaped_in_html_and_not_in_text() -> None:
    composed = message(template("<p title='{{ contact.nickname }}'>{{ contact.nickname | upper }}</p>",
                                text="{{ contact.nickname }}"),
                       recipient(nickname="<b>'A' & \"B\""))  # fmt: skip
    assert "<p title='&lt;b&gt;&#39;A&#39; &amp; &#34;B&#34;'>&lt;B&gt;" in composed.html
    assert composed.text.startswith("<b>'A' & \"B\"")
