"""What lint finds, and that it finds nothing where there is nothing."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from coldsend.composing import lint
from coldsend.composing.build import read
from coldsend.composing.skeleton import MOST_UNCLOSED
from coldsend.composing.variables import Vocabulary
from tests.composing.samples import template

GOOD = '<p>Hi {{ contact.nickname | default("you") }}, see <a href="https://x.example">this</a>.</p>'


def found(severity: str, body: str = GOOD, **values: str) -> list[str]:
    """Findings as "part, line: message"."""
    return [
        f"{one.subject.partition(', ')[2]}: {one.message}"
        for one in lint.problems(template(body, **values), [])
        if one.severity == severity
    ]


def test_a_good_template_has_no_findings() -> None:
    assert lint.problems(template(GOOD, subject="Hello", text="Hi"), []) == []
    assert lint.problems(template(GOOD), []) == []


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("<p>\n<b>x</p>", 2, "<b> is not closed"),
        ("<div>\n<p>x</p>", 1, "<div> is not closed"),
        ("x\n</div>", 2, "</div> closes nothing"),
        ("<p>x</p>\n<a href='https://x.example'>y", 2, "<a> is not closed"),
        ("<p>{{ contact.nickname\n| default('x') }}</p>\n\n<b>", 4, "<b> is not closed"),
        ("<p>x\n<a href=www.x.example>y</a></p>", 2, "has no scheme"),
        ("<a href='x.html'>y</a>", 1, "has no scheme"),
        ("<a href='//x.example'>y</a>", 1, "has no scheme"),
        ("<a href='x.example:8080/y'>y</a>", 1, "has no scheme"),
        ("<a href='javascript:alert(1)'>y</a>", 1, "the scheme 'javascript'"),
        ("<a href='https://'>y</a>", 1, "names no host"),
        ("<a href=''>y</a>", 1, "leads nowhere"),
        ("x <img src='/a.png' alt=''>", 1, "has no scheme"),
        ("x <img alt=''>", 1, "no src"),
        ("<p>{{ name }}</p>", 1, "there is no variable 'name'"),
        ("<p>x</p>\n{% if %}", 2, "Expected an expression"),
        ("<p>x</p>\n{{ contact.nickname", 2, "unexpected end of template"),
        ("[[name]]", 1, "'[[name]]' is left as it is"),
        ("", 0, "the body is empty"),
        ("<style>p{}</style>", 0, "the text part derived from the HTML is empty"),
        ("<a href='https://x.example/{% for t in contact.tags %}{{ t }}{% endfor %}'>y</a>", 1, "a loop"),
        ("<p>a</p>\n<p", 2, "the tag '<p' lacks its '>'"),
        ("x" * 1_000_001, 0, "at most 1,000,000"),
    ],
)
def test_errors_name_part_and_line(body: str, line: int, words: str) -> None:
    place = f"line {line}: " if line else ": "
    assert any(words in one and place in one for one in found("error", body)), found("error", body)


def test_what_is_far_too_large_is_not_read_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint, "read", lambda *_: pytest.fail("it was read, which takes minutes"))
    (finding,) = lint.problems(template("<p>x</p>" * 130_000), ())
    assert finding.message == "it has 1,040,000 bytes, at most 1,000,000"


def test_a_condition_that_begins_in_a_link_and_ends_outside_is_an_error() -> None:
    body = "<p><a href='{% if contact.nickname %}https://x.example'>{% endif %}y</a></p>"
    assert any("endif" in one for one in found("error", body, text="x"))
    assert any("no text can be derived" in one for one in found("error", body))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<a href='http://x.example'>y</a>", "is not encrypted"),
        ("x <img src='https://x.example/a.png'>", "no alt text"),
        ("x <img src='data:image/png;base64,xx' alt=''>", "embedded as data:"),
        ("<p>x</p><form></form>", "<form> is dropped"),
        ("<p>" + "x" * 100_001 + "</p>", "Gmail cuts"),
        (
            "{% if contact.nickname %}<div class=a>{% else %}<div class=b>{% endif %}x</div>",
            "<div> is not closed",
        ),
    ],
)
def test_warnings_do_not_refuse(body: str, words: str) -> None:
    assert any(words in one for one in found("warning", body))
    assert found("error", body) == []


@pytest.mark.parametrize(
    "body",
    [
        "<ul><li>a<li>b</ul><p>c<p>d<br><hr><table><tr><td>e<tr><td>f</table>",
        "<p>a</p><br/><img src='https://x.example/a' alt=''/>",
        "<!-- <b> --><p>a &lt;b&gt; c</p>",
        "<!--[if mso]><table><![endif]--><p>a</p><!--[if mso]></table><![endif]-->",
        "<a href='{{ contact.site }}'>x</a><a href='mailto:a@b.example'>y</a>",
        "<a href='#x'>z</a><a name=x>w</a>",
        "<a href='https://{{ contact.site }}/x'>x</a>",
        "<style>@media x { a > b { c: d } }</style><p>5 < 6 and 7 > 3</p>",
    ],
)
def test_sound_html_is_left_in_peace(body: str) -> None:
    assert found("error", body) == []
    assert found("warning", body) == []


@pytest.mark.parametrize(
    ("subject", "severity", "words"),
    [
        ("x" * 79, "warning", "79 characters"),
        ("x" * 201, "error", "at most 200"),
        ("a\nb", "error", "line break"),
        ("a\tb", "error", "control character"),
        ("  ", "error", "empty"),
        ("{{ name }}", "error", "there is no variable 'name'"),
        ("Re: our talk", "error", "answers a message"),
        ("RE[2] : our talk", "error", "answers a message"),
        ("caf\udce9", "error", "which is no text"),
        ("a\x07b", "error", "which is no text"),
        ("回复：你好", "error", "answers a message"),
        ("{{ contact.nickname", "error", "unexpected end"),
    ],
)
def test_subjects_are_checked(subject: str, severity: str, words: str) -> None:
    assert any(words in one and one.startswith("subject") for one in found(severity, subject=subject))


def test_the_length_of_a_subject_is_that_of_its_own_words() -> None:
    subject = "A question about {{ contact.company | default('your company and whatever it may do') }} today"
    assert found("warning", subject=subject) == []


def test_all_problems_come_at_once_errors_first() -> None:
    bad = template("<b>{{ a }}<a href='x'>y</a>", subject="x" * 80 + "{{ b }}", text="{{ c }}")
    severities = [one.severity for one in lint.problems(bad, [])]
    assert severities == sorted(severities)
    messages = " ".join(one.message for one in lint.problems(bad, []))
    for expected in ("'a'", "'b'", "'c'", "<b> is not closed", "no scheme", "80 characters"):
        assert expected in messages


def test_a_misspelt_variable_is_told_the_right_one() -> None:
    hints = [one.hint for one in lint.problems(template("{{ contact_nickname }} {{ emial }}"), [])]
    assert hints[0] == "did you mean {{ contact.nickname }}?"
    assert hints[1] == "did you mean {{ contact.email }}?"


def test_a_custom_field_nobody_has_is_a_warning() -> None:
    source = template("<p>{{ contact.compny }} {{ contact.nickname }} {{ contact.city }}</p>")
    warnings = [one for one in lint.problems(source, [], {"company", "city"}) if one.severity == "warning"]
    assert [(one.message, one.hint) for one in warnings] == [
        ("none of the contacts added last has a field 'compny'", "did you mean contact.company?")
    ]
    assert lint.problems(source, [], None) == []


@pytest.mark.parametrize(
    ("body", "text", "said"),
    [
        ("<p>x</p>", None, ["an unsubscribe link", "the postal address"]),
        ('{{ postal_address }}<a href="{{ unsubscribe_url }}">x</a>', None, []),
        ('{{ postal_address }}<a href="{{ unsubscribe_url }}">x</a>', "{{ unsubscribe_url }}", ["postal"]),
        ("{{ postal_address }}", None, ["an unsubscribe link"]),
    ],
)
def test_notes_say_what_is_added(body: str, text: str | None, said: list[str]) -> None:
    notes = lint.look(template(body, text=text), [])[1]
    assert len(notes) == bool(said)
    assert all(words in notes[0] for words in said)


class _Work:
    """Counts the characters that are looked at to tell lines."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parsed = 0
        parse = HTMLParser.check_for_whole_start_tag

        def counted(parser: HTMLParser, i: int) -> int:
            self.parsed += len(parser.rawdata) - i
            return parse(parser, i)

        monkeypatch.setattr(HTMLParser, "check_for_whole_start_tag", counted)


def test_tags_that_are_never_closed_are_told_of_some_times_and_not_looked_for_thousands_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = _Work(monkeypatch)
    body = "<p>x</p>" + "<a " * 3_000
    found = lint.problems(template(body), [])
    assert all("lacks its '>'" in one.message for one in found)
    assert len(found) == MOST_UNCLOSED
    assert work.parsed < 100 * len(body)


@pytest.mark.costly
def test_lines_are_told_of_all_of_many_faults() -> None:
    body = "".join(f'<p>{{{{ contact.nickname\n| default("x") }}}}<img src="x{n}"></p>\n' for n in range(500))
    found = [one for one in lint.problems(template(body), []) if one.severity == "error"]
    assert [one.subject.rpartition(" ")[2] for one in found] == [str(2 * n + 2) for n in range(500)]


def test_lists_in_lists_in_lists_do_not_make_an_endless_text() -> None:
    reading = read(template("<ol><li>x" * 2_000), Vocabulary([]))
    assert len(reading.text_source) < 100_000


@pytest.mark.costly
@pytest.mark.parametrize("count", [300, 3_000])
def test_expressions_that_are_nested_too_deeply_are_a_fault(count: int) -> None:
    condition = " and ".join(["contact.nickname"] * count)
    found = lint.problems(template(f"<p>{{% if {condition} %}}x{{% endif %}}</p>"), [])
    assert "nested too deeply" in found[0].message
