"""Whatever JSON a provider sends: no error, and nothing that could not be stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.feedback import Feedback, Kind
from coldsend.web.webhooks import engagelab, reading, sendgrid, ses
from tests.web.webhooks.samples import (
    NOW,
    engagelab_response,
    engagelab_status,
    sendgrid_event,
    ses_bounce,
    ses_complaint,
    ses_event,
    sns_notification,
)

Events = Callable[[Any, datetime], list[Feedback]]

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just("\ud800\0\n"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def _changed(value: Any, draw: st.DrawFn) -> Any:
    """The value with one of its parts, however deep, replaced by something else."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: _changed(value[name], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        return [_changed(value[0], draw), *value[1:]]
    return draw(_values)


@st.composite
def _nearly(draw: st.DrawFn, samples: list[Any]) -> Any:
    return _changed(draw(st.sampled_from(samples)), draw)


SENDGRID = [
    [sendgrid_event(name, reason="550 no", type="bounce", url="https://a.example", sg_machine_open=True)]
    for name in sendgrid.KINDS
]
ENGAGELAB = [
    *(engagelab_status(name, error_detail={"sub_stat": 1, "message": "x"}) for name in engagelab.STATUSES),
    *(engagelab_response(name, url="https://a.example") for name in engagelab.RESPONSES),
]
SES = [
    ses_bounce("Permanent", "General"),
    ses_complaint(),
    *(ses_event(name, place, link="https://a.example") for name, (_kind, place) in ses.KINDS.items()),
]


def _sound(found: list[Feedback]) -> None:
    for each in found:
        assert each.at <= NOW
        assert isinstance(each.kind, Kind)
        assert len(each.recipient) <= reading.ADDRESS_LIMIT
        for text in (each.recipient, each.diagnostic, each.status, *each.message_ids):
            assert text.isprintable()
        json.dumps(dict(each.details), allow_nan=False).encode("ascii")
        str([each.recipient, each.diagnostic, each.message_ids, each.details]).encode("utf-8")


@pytest.mark.costly
@pytest.mark.parametrize("events", [sendgrid.events, engagelab.events, ses.events])
@given(payload=_values)
def test_any_json_is_read_without_an_error(events: Events, payload: Any) -> None:
    _sound(events(payload, NOW))


@pytest.mark.costly
@given(payload=_nearly(SENDGRID))
def test_nearly_what_sendgrid_sends_is(payload: Any) -> None:
    _sound(sendgrid.events(payload, NOW))


@pytest.mark.costly
@given(payload=_nearly(ENGAGELAB))
def test_nearly_what_engagelab_sends_is(payload: Any) -> None:
    _sound(engagelab.events(payload, NOW))


@pytest.mark.costly
@given(event=_nearly(SES))
def test_nearly_what_ses_sends_is(event: Any) -> None:
    _sound(ses.events(sns_notification(json.dumps(event)), NOW))


NONSENSE: list[Any] = [None, True, "", "x", "²", [], {}, -1, 0, 1e300, float("nan"), "9" * 400, 1.9e9]


@pytest.mark.parametrize(
    ("told", "read"),
    [
        (1763640000, "2025-11-20T12:00:00+00:00"),
        (1763640000.5, "2025-11-20T12:00:00.500000+00:00"),
        ("1763640000", "2025-11-20T12:00:00+00:00"),
        (1763640000325, "2025-11-20T12:00:00.325000+00:00"),
        ("2026-11-20T11:41:00.123Z", "2026-11-20T11:41:00.123000+00:00"),
        ("2026-11-20T12:41:00+01:00", "2026-11-20T11:41:00+00:00"),
        ("2026-11-20T11:41:00", "2026-11-20T11:41:00+00:00"),
        *((nonsense, NOW.isoformat()) for nonsense in NONSENSE),
    ],
)  # fmt: skip
def test_times_are_read_in_every_form_and_else_it_is_now(told: Any, read: str) -> None:
    assert reading.moment(told, NOW).isoformat() == read


def test_texts_are_one_printable_line_of_bounded_length() -> None:
    assert reading.text("a\r\n b\0c\ud800") == "a b?c?"
    assert len(reading.text("x" * 10_000_000)) == reading.TEXT_LIMIT
    unprintable: list[Any] = [None, True, [], {}, 5]
    assert [reading.text(value) for value in unprintable] == ["", "", "", "", "5"]
