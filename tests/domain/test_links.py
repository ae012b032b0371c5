"""Names of links keep what all recipients share, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain import links

SOURCE = links.source(
    [
        '<a href="https://shop.example/offer?page=1&amp;x=2">a</a> '
        '<a href="https://shop.example/for/{{ contact.email }}/now?u={{ contact.id }}'
        '&amp;utm_source=mail">b</a>'
        '<a href="https://{{ contact.site }}/">c</a>',
        None,
        "Read https://shop.example/text",
    ]
)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://shop.example/offer?page=1&x=2", "https://shop.example/offer?page=1&x=2"),
        ("https://shop.example/text", "https://shop.example/text"),
        (
            "https://shop.example/for/bob@acme.com/now?u=77&utm_source=mail",
            "https://shop.example/for/…/now?u=…&utm_source=mail",
        ),
        ("https://bob.example/", "https://…/"),
        ("https://shop.example/offer?page=9", "https://shop.example/offer?…"),
        ("https://shop.example/offer?page=1#bob", "https://shop.example/offer?page=1"),
        ("http://[", "…"),
    ],
)
def test_a_link_keeps_what_its_template_has(url: str, name: str) -> None:
    assert links.label(url, SOURCE) == name


def test_without_a_template_nothing_is_known_to_be_shared() -> None:
    assert links.label("https://shop.example/bob", links.source([])) == "https://…/…"


@given(st.text(alphabet="bobqz@%&=?/#.", min_size=4))
def test_what_differs_for_each_recipient_is_not_in_the_name(value: str) -> None:
    name = links.label(f"https://shop.example/for/xyzzy{value}", SOURCE)
    assert "xyzzy" not in name


def test_a_name_that_cannot_be_encoded_has_a_key() -> None:
    assert len(links.digest("https://shop.example/\ud800")) == 64
