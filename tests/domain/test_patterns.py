"""Patterns that are compiled late must be as sound as those that are compiled at once."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from coldsend.domain import reply_category, reply_words
from coldsend.domain.patterns import Pattern


@pytest.mark.parametrize("module", [reply_words, reply_category])
def test_each_pattern_compiles(module: ModuleType) -> None:
    patterns = {name: one for name, one in vars(module).items() if isinstance(one, Pattern)}
    assert len(patterns) > 5
    for name, one in patterns.items():
        assert one.compiled.search("\n") is None, name


def test_it_answers_as_its_expression_does() -> None:
    pattern = Pattern(r"a+b", re.IGNORECASE)
    assert pattern.search("xAAb").span() == (1, 4)  # type: ignore[union-attr]
    assert pattern.search("ba") is None
    assert pattern.fullmatch("xab") is None
    assert pattern.fullmatch("Ab")
