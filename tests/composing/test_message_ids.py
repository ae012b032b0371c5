"""The Message-ID that can be told of a row without composing its message."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coldsend.composing.message_ids import message_id
from coldsend.composing.tokens import Tokens
from tests.composing.samples import NOW, SECRET, SERVICE, made, recipient, template


@pytest.mark.parametrize("settings", [{}, {"domain": "mail.bücher.example"}])
def test_it_is_the_one_that_the_composed_message_carries(settings: dict[str, str]) -> None:
    service = replace(SERVICE, settings=settings)
    composed = made(template(), service=service).compose(recipient(row_id=4711), NOW)
    assert message_id(Tokens(SECRET), 4711, service) == composed.message_id
