"""The text part derived from HTML."""

from __future__ import annotations

import pytest

from coldsend.composing.build import read
from coldsend.composing.skeleton import skeleton
from coldsend.composing.variables import Vocabulary
from coldsend.errors import InvalidInput
from tests.composing.samples import made, message, recipient, template


def derived(body: str) -> str:
    """The source of the text part."""
    reading = read(template(body), Vocabulary([]))
    assert not reading.faults
    return reading.text_source.rstrip("\n")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<p>One<br>Two<br><br>Three</p>", "One\nTwo\n\nThree"),
        ("<div>One</div><div>Two</div>", "One\nTwo"),
        ("  <p>  a \n b\t<b>c</b>d <i> e</i>\n</p> ", "a b cd e"),
        ("<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul><p>d</p>", "- a\n- b\n  - c\n\nd"),
        ("<ol><li>a</li><li>b</li></ol>", "1. a\n2. b"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><th>c</th></tr></table>", "a b\nc"),
        ("&lt;a&gt; &amp; &eacute;&nbsp;x", "<a> & é\u00a0x"),
        ("<head><title>t</title><style>p{}</style></head><script>x</script><p>a</p>", "a"),
        ('<div style="display:none">preheader</div><p>a</p>', "a"),
        ('<p>x</p><div style="DISPLAY : none">a<div>b</div>c</div>y', "x\n\ny"),
        (
            '<img src="https://x.example/a.png" alt="A chart"><img src="https://x.example/b" alt="">',
            "A chart",
        ),
        ('<a href="https://x.example/?a=1&amp;b=2">page</a>.', "page (https://x.example/?a=1&b=2)."),
        ('<a href="https://x.example">https://x.example</a>', "https://x.example"),
        ('<a href="https://x.example"><img src="https://x.example/i" alt=""></a>', "https://x.example"),
        ('<a href="mailto:a@b.example">a@b.example</a>', "a@b.example"),
        ('<a href="mailto:a@b.example">write</a>', "write (a@b.example)"),
        ('<a href="#top">up</a><a name="x">y</a>', "upy"),
        ("<p>Hi {{ contact.nickname }},</p>", "Hi {{ contact.nickname }},"),
        ('<a href="{{ unsubscribe_url }}">bye</a>', "bye ({{ unsubscribe_url }})"),
        ("<!-- x --><p>a</p>{# b #}", "a"),
        ("{% raw %}<b>x</b>{% endraw %}", "{% raw %}<b>x</b>{% endraw %}"),
    ],
)
def test_html_reads_as_text(body: str, text: str) -> None:
    assert derived(body) == text


def test_conditions_stay_around_what_they_stand_around() -> None:
    body = (
        "<p>Hi</p>\n{% if contact.nickname -%}\n  <p>Dear {{ contact.nickname }}</p>\n{%- else %}<p>No</p>"
        "{% endif %}<ul>{% for t in contact.tags %}<li>{{ t }}</li>{% endfor %}</ul>"
    )
    source = template(body)
    first = message(source, recipient(nickname="Bob", tags=("a", "b"))).text
    assert first.startswith("Hi\n\nDear Bob\n\n- a\n- b\n\n")
    assert message(source, recipient(tags=("a",))).text.startswith("Hi\n\nNo\n\n- a\n\n")


def test_a_condition_inside_a_line_stays_in_the_line() -> None:
    source = template("<p>Hello{% if contact.nickname %} {{ contact.nickname }}{% endif %}, how are you?</p>")
    assert message(source, recipient(nickname="Bob")).text.startswith("Hello Bob, how are you?\n")
    assert message(source, recipient()).text.startswith("Hello, how are you?\n")


def test_escaping_filters_do_nothing_in_text() -> None:
    text = message(template("<p>{{ contact.nickname | e }}</p>"), recipient(nickname="A & B")).text
    assert text.startswith("A & B\n")


@pytest.mark.parametrize("entity", ["&#123;&#123; x }}", "&lbrace;&percnt; x", "&#123;# x"])
def test_jinja_spelled_with_character_references_is_refused(entity: str) -> None:
    with pytest.raises(InvalidInput, match="character references"):
        made(template(f"<p>{entity}</p>"))


def test_a_condition_half_hidden_asks_for_a_written_text() -> None:
    body = '<div style="display:none">{% if contact.nickname %}a</div><p>b</p>{% endif %}'
    with pytest.raises(InvalidInput, match="no text can be derived"):
        made(template(body))
    made(template(body, text="written"))


@pytest.mark.parametrize(
    "source",
    [
        "<p>{{ a }}</p>\n{%- if b -%}\n x {% endif +%}\n{# c #}{% raw %}{{ d }}{% endraw %}e",
        "no code at all",
        "{{ '}}' }}{% if x == '%}' %}{% endif %}",
        "   {%- if a %}  \n  {{- b -}}  \n",
        "",
    ],
)
def test_a_skeleton_restores_to_what_it_was_made_from(source: str) -> None:
    taken = skeleton(source)
    assert taken.restore(taken.text) == source
    assert "{{" not in taken.text
    assert "{%" not in taken.text
