"""Plans: a message made from encoded lines is, octet by octet, the one that rendering and encoding make."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coldsend.composing import headers, mime
from coldsend.composing.build import Parts, build, read
from coldsend.composing.compose import CannotCompose, Composer
from coldsend.composing.plan import MOST_LAYOUTS
from coldsend.composing.source import Site, TemplateSource, Variable
from coldsend.composing.tokens import Kind, Tokens
from coldsend.composing.variables import Vocabulary
from coldsend.domain.message import Recipient
from coldsend.domain.states import VariableSource
from tests.composing.samples import NOW, PLAIN_SITE, SERVICE, SITE, made, parsed, part, recipient, template

pytestmark = pytest.mark.costly

VARIABLES = [
    Variable("city", VariableSource.CONTACT_TAG, {"prefix": "city:"}),
    Variable("vip", VariableSource.CONTACT_TAG, {"tag": "vip"}),
]


def reference(source: TemplateSource, parts: Parts, to: Recipient, site: Site) -> bytes:
    """The message made the straightforward way: all of it rendered, encoded and joined for this one."""
    tokens = Tokens(site.link_secret)
    unsubscribe = f"{site.base_url}/u/{tokens.issue(Kind.UNSUBSCRIBE, to.row_id)}"
    values: dict[str, Any] = {
        "contact__email": to.email,
        "contact__nickname": to.nickname,
        "contact__tags": to.tags,
        **{f"contact__{name}": to.fields.get(name) for name in ("company", "note")},
        "city": next((tag[5:] for tag in to.tags if tag.startswith("city:")), None),
        "vip": "vip" in to.tags,
        "date": NOW.date(),
        "sender__name": SERVICE.from_name,
        "unsubscribe_url": unsubscribe,
        "_unsubscribe_url": unsubscribe,
        "postal_address": site.postal_address,
        "_postal_address": site.postal_address,
        "_open": tokens.issue(Kind.OPEN, to.row_id),
        "tag": lambda name: name in to.tags,
    }
    for number, target in enumerate(parts.instrumented.targets):
        values[f"_click_{number}"] = tokens.issue(Kind.CLICK, to.row_id, target)
    # What is left out is missing: Jinja makes it undefined by itself.
    values = {name: found for name, found in values.items() if not blank(found)}
    subject = parts.subject.render(values).strip()
    text, html = parts.text, parts.html
    encodings = [mime.shorter("".join(each.statics)) for each in (text, html)]
    bodies = [
        mime.encoded(whole_lines(each.render(values)), encoding)
        for each, encoding in zip((text, html), encodings, strict=True)
    ]
    mark = mime.boundary(f"{source.id}/{SERVICE.id}/{source.name}")
    own = f"<{tokens.issue_folded(Kind.MESSAGE_ID, to.row_id)}@sender.example>"
    return (
        "From: Robin Field <robin@sender.example>\r\n"
        f"To: {headers.mailbox((to.nickname or '').strip() or None, to.email, 4)}\r\n"
        f"Subject: {headers.unstructured(subject, 9)}\r\n"
        f"Date: {headers.date(NOW)}\r\n"
        f"Message-ID: {own}\r\n"
        f"List-Unsubscribe: <{unsubscribe}>\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/alternative; boundary="{mark}"\r\n'
        f"\r\n--{mark}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {encodings[0]}\r\n\r\n"
        f"{bodies[0]}"
        f"\r\n--{mark}\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {encodings[1]}\r\n\r\n"
        f"{bodies[1]}"
        f"\r\n--{mark}--\r\n"
    ).encode()


def blank(value: object) -> bool:
    return value is None or value == () or (isinstance(value, str) and not value.strip())


def whole_lines(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def outcome(composer: Composer, to: Recipient, at: datetime = NOW) -> bytes | tuple[str, str, str]:
    """The message's octets, or why there is none."""
    try:
        return composer.compose(to, at).data
    except CannotCompose as error:
        return error.reason, error.detail, error.hint


class _Rendered(Composer):
    """A composer that renders every message, as if it had no plan."""

    def _read_plan(self) -> None:
        self._plan = None


def rendering(source: TemplateSource) -> Composer:
    reading = read(source, Vocabulary(VARIABLES))
    return _Rendered(reading, build(reading, PLAIN_SITE), SERVICE, PLAIN_SITE, None)


FIXED = st.sampled_from(
    [
        " ", "\t", ".", "=", "x", "é", "中文", "\n", " \n", ".\n", "a" * 60, "b=c " * 25, "<b>&amp;</b>",
        "😀" * 9,
        "<a href='https://acme.example/?a=1&amp;b=2'>link</a>", "x" * 75 + "\n", "x" * 76 + "\n",
        "<a href='https://acme.example/'>to</a><a href='https://acme.example/two'>too</a>",
    ]
)  # fmt: skip
PRINTED = st.sampled_from(
    [
        "{{ contact.nickname }}", "{{ contact.nickname | default('friend') }}", "{{ vip }}",
        "{{ contact.note | default }}", "{{ contact.company | d('<&> =\\'é') }}", "{{ contact.company }}",
        "{{ contact.email }}",
        "{{ sender.name }}", "{{ unsubscribe_url }}", "{{ postal_address }}", "{{ city | default('') }}",
        "{{ contact.note }}", "{{ contact.company | default('two\\nlines') }}", "{{ date }}",
    ]
)  # fmt: skip
WORKED_OUT = st.sampled_from(
    [
        "{{ contact.company | upper }}", "{{ contact.nickname | default(contact.email) }}", "{{ 'a' }}",
        "{{ contact.note or '-' }}", "{{ 'yes' if tag('vip') else 'no' }}", "{{ contact.company | e }}",
        "{{ contact.company ~ '<' }}", "{% filter upper %}x{{ contact.email }}\n{% endfilter %}",
        "{% set who = contact.nickname | default('you') %}{{ who }}", "{{ contact.tags | join(', ') }}",
        "{{ 'a=b \\x01' }}", "{{ sender.name | lower }}",
        "{% for t in contact.tags %}{{ t }}\n{% endfor %}",
    ]
)  # fmt: skip


def branched(inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    conditions = st.sampled_from(["contact.note", "vip", "contact.company == 'Acme'", "not city", "tag('x')"])
    ends = st.sampled_from(["", "\n"])
    whole = st.builds("{{% if {0} %}}{1}{{% elif {2} %}}{3}{{% else %}}{4}{{% endif %}}{5}".format,
                      conditions, inside, conditions, inside, inside, ends)  # fmt: skip
    short = st.builds(
        "{{% if {0} %}}{1}{{% endif %}}{2}".format, conditions, inside, st.sampled_from(["", "\n"])
    )
    return st.lists(inside | whole | short, max_size=4).map("".join)


BODIES = st.recursive(FIXED | PRINTED | PRINTED | WORKED_OUT, branched, max_leaves=10)
SUBJECTS = st.lists(
    st.sampled_from(["Hi ", "é", "a word " * 12, "=?", "{{ contact.note | default('-') }}"]) | PRINTED,
    min_size=1, max_size=4,
).map("".join)  # fmt: skip
VALUES = st.none() | st.sampled_from(
    [
        "", " ", "\u3000", "Bob", " Bob ", "Zoë", "O'Neill & Sons", "a=b", "<b>", "x" * 90, "中文" * 40,
        "tab\there", "two\nlines", "a {{ b }}", "[[x]]", "100% [a] {b}", "bell\x07", "trailing ", "é ",
        ".", "=?utf-8?q?=0a?=", "a\u2028b", "50%", "\x85", "Acme", "nul\0",
    ]
)  # fmt: skip
BOB = recipient(nickname="Bob & <b>", tags=("vip",))
OWN_FOOTER = "{{ unsubscribe_url }} {{ postal_address }}\n"
UNSEEN = "<a data-no-track='{{ contact.note | d }}' href='https://acme.example/'>x</a>"
TAGS = st.lists(st.sampled_from(["vip", "x", "city:Bonn", "city: ", "city:a\nb"]), unique=True).map(tuple)
RECIPIENTS = st.builds(
    lambda nickname, company, note, tags, row: recipient(
        nickname=nickname, fields={"company": company, "note": note}, tags=tags, row_id=row
    ),
    VALUES, VALUES, VALUES, TAGS, st.integers(0, 2**56 - 1),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(BODIES, SUBJECTS, st.none() | BODIES, st.lists(RECIPIENTS, min_size=1, max_size=4), st.booleans())
@example("x", "x", OWN_FOOTER + "{% if vip %}{{ contact.note | d }}{% endif %}\n", [BOB], True)
@example(
    "x", "x", "{{ contact.note | d }}.\n{{ contact.note | d }} \n{{ contact.note | d }}x \nx\n", [BOB], True
)
@example("x", "x", "{{ contact.note | d }}.x\n.{{ vip }}y \nx{{ vip }}x\t\n" + "." * 99, [BOB], True)
@example("{{ contact.nickname }}", "{{ contact.nickname }}", "{{ contact.nickname }}\n", [BOB], True)
@example(UNSEEN, "x", None, [BOB, recipient(fields={"note": "bell\x07"})], True)
@example("中文" * 40 + "{{ contact.company | d('é') }}\n{{ vip }}", "é", None, [BOB], False)
def test_a_planned_message_is_the_rendered_one(
    body: str, subject: str, text: str | None, everybody: list[Recipient], tracked: bool
) -> None:
    source, site = template(body, subject, text), SITE if tracked else PLAIN_SITE
    reading = read(source, Vocabulary(VARIABLES))
    if reading.faults:
        return
    parts = build(reading, site)
    planned, rendered = (kind(reading, parts, SERVICE, site, None) for kind in (Composer, _Rendered))
    for to in everybody:
        found = outcome(planned, to)
        assert found == outcome(rendered, to)
        if isinstance(found, bytes):
            assert b"\n." not in found
            assert found == reference(source, parts, to, site)
            assert_it_says_what_it_is_said_to_say(planned, to)


def assert_it_says_what_it_is_said_to_say(composer: Composer, to: Recipient) -> None:
    composed = composer.compose(to, NOW)
    assert part(composed, "plain") == composed.text
    assert part(composed, "html") == composed.html
    assert len(str(parsed(composed)["subject"]).split()) == len(composed.subject.split())


@pytest.mark.parametrize(
    ("body", "to"),
    [
        ("<p>{{ contact.nickname }}</p>", {"nickname": "Bob"}),
        ("<p>{{ contact.nickname }}</p>", {"nickname": "Zoë O'Neill & Söhne = 1"}),
        ("<p>{{ contact.nickname | default('you') }}</p>", {"nickname": "  "}),
        ("{% if contact.nickname %}<p>{{ contact.nickname }}</p>{% endif %}", {"nickname": None}),
        (
            "{% if vip %}<p>{{ contact.nickname | upper }}</p>{% else %}<p>-</p>{% endif %}",
            {"nickname": None},
        ),
        ("<p>{{ contact.nickname | title }} {{ date | date_format('%B') }}</p>", {"nickname": "bob"}),
        ("<p>{{ sender.name }} {{ city }} {{ vip }}</p>", {"tags": ("city:Bonn",)}),
        ("<p>" + "中文" * 40 + "{{ contact.nickname }}</p>", {"nickname": "文中"}),
        ("<a href='https://acme.example/{{ contact.nickname }}'>x</a>", {"nickname": "bob"}),
    ],
)
def test_what_is_usual_is_not_rendered(
    body: str, to: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    composer = made(template(body), variables=VARIABLES, site=SITE)
    monkeypatch.setattr(composer, "_rendered", None)
    assert composer.compose(recipient(**to), NOW).data


def test_a_template_with_many_ways_through_it_keeps_a_bounded_number_of_them() -> None:
    body = "".join(f"{{% if contact.f{number} %}}<p>{number}</p>{{% endif %}}" for number in range(8))
    source = template(body)
    composer, rendered = made(source), rendering(source)
    for way in range(256):
        fields = {f"f{number}": "x" for number in range(8) if way >> number & 1}
        to = recipient(fields=fields)
        assert composer.compose(to, NOW).data == rendered.compose(to, NOW).data
    assert composer._plan is not None
    assert len(composer._plan._html._layouts) == MOST_LAYOUTS
