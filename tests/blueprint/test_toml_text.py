"""Values as TOML: whatever is written is read back as it was, and stands where it is said to stand."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coldsend.blueprint import toml_text
from coldsend.config.toml_lines import lines_of

pytestmark = pytest.mark.costly

AWKWARD = st.sampled_from(
    ['"', '""', '"""', "'", "'''", "\\", "\n", "\r\n", "\t", "[x]", "a = 1", "#", "]", "=", "\x00"]
)
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.lists(AWKWARD | st.text("ab <>", max_size=3), max_size=8).map("".join),
)
NAMES = st.one_of(st.text("ab-_9", min_size=1, max_size=4), TEXT)
SCALARS = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(10**9, 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds + 0.5, UTC)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(
    NAMES, st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3), max_size=3
)


def written(document: dict[str, Any]) -> tuple[str, dict[tuple[str, ...], int]]:
    """The document as text, and the line on which each table and key begins."""
    text, lines = "", {}
    for first, tables in document.items():
        for second, pairs in tables.items():
            lines[first, second] = text.count("\n") + 1
            text += toml_text.header(first, second) + "  # a comment = [x]\n"
            for name, one in pairs.items():
                lines[first, second, name] = text.count("\n") + 1
                text += f'{toml_text.key(name)} = {toml_text.value(one)} # \'and\' """ another\n\n'
    return text, lines


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS)
def test_what_is_written_is_what_is_read_and_stands_where_it_is_said_to_stand(
    document: dict[str, Any],
) -> None:
    text, lines = written(document)
    assert tomllib.loads(text) == {first: tables for first, tables in document.items() if tables}
    found = lines_of(text)
    assert {path: found[path] for path in lines} == lines


@settings(max_examples=60, deadline=None)
@given(TEXT.map(lambda text: f"\n{text}"))
@example('\n"""')
@example('\n""""a"" "')
@example('\n\\"')
def test_text_of_several_lines_comes_back(text: str) -> None:
    assert tomllib.loads(f"x = {toml_text.value(text)}") == {"x": text}


def test_html_stays_html() -> None:
    body = '<p class="a">He said "" \\o/</p>\n<a href="https://x.example">x</a>\n'
    assert toml_text.value(body) == '"""\n' + body.replace("\\", "\\\\") + '"""'


def test_keys_in_inline_tables_and_lists_of_several_lines_do_not_mislead() -> None:
    text = '''a = { b = 1, "c d" = [
  "x = 1", # y = 2
  { e = 2 },
] }
[t]
f = 2027-01-01 08:00:00
g = """
[u]
\\""" h = 1
"""
i = \'\'\'
[v]\'\'\'
[[w]]
j = 1
[[w]]
j = 2
'''
    assert lines_of(text) == {
        ("a",): 1, ("a", "b"): 1, ("a", "c d"): 1, ("a", "c d", "e"): 3,
        ("t",): 5, ("t", "f"): 6, ("t", "g"): 7, ("t", "i"): 11, ("w",): 13, ("w", "j"): 14,
    }  # fmt: skip
