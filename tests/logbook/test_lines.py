"""Log lines: they can be read back, cannot be forged, name no address, and do not flood."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend import clock, log_lines, logbook, meter
from coldsend.log_lines import LineHandler, masked
from tests.planning.world import NOW


@contextlib.contextmanager
def written(style: str = "text") -> Iterator[io.StringIO]:
    """What is logged inside."""
    stream = io.StringIO()
    with contextlib.redirect_stderr(stream):
        logbook.configure("debug", style)
    yield stream


def parsed(line: str) -> tuple[str, dict[str, str]]:
    """Event and fields of a line of text, by the rule that the documentation gives."""
    _stamp, _level, event, rest = f"{line.rstrip()} ".split(maxsplit=3)
    fields: dict[str, str] = {}
    decoder = json.JSONDecoder()
    while rest:
        name, _, rest = rest.partition("=")
        if rest.startswith('"'):
            value, end = decoder.raw_decode(rest)
        else:
            end = rest.index(" ")
            value = rest[:end]
        fields[name] = value
        rest = rest[end + 1 :]
    return event, fields


unusual = st.text() | st.text(alphabet=' =\\"\n\r\x1b\x85\u2028a') | st.just("")


@pytest.mark.costly
@given(unusual)
def test_a_line_of_text_can_be_read_back_whatever_a_server_said(reason: str) -> None:
    with written() as stream:
        logbook.service_thawed("main", 7, reason)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert len(text.splitlines()) == 1
    assert all(c.isprintable() for c in text[:-1] if ord(c) < 0xA0)
    assert parsed(text) == (
        "service_thawed", {"service": "main", "service_id": "7", "reason": masked(reason)},
    )  # fmt: skip


@pytest.mark.costly
@given(unusual)
def test_a_line_of_json_can_be_read_back_whatever_a_server_said(reason: str) -> None:
    with written("json") as stream:
        logbook.service_thawed("main", 7, reason)
    text = stream.getvalue()
    assert len(text.splitlines()) == 1
    document = json.loads(text)
    assert (document["event"], document["level"], document["service_id"]) == ("service_thawed", "info", 7)
    assert document["reason"] == masked(reason)


def test_times_and_truths_look_the_same_in_both_styles() -> None:
    for style in ("text", "json"):
        with written(style) as stream:
            logbook.service_cooling_down("main", 1, "slow", until=NOW)
            logbook.worker_rescued(1, {"sent": 2}, by_journal=True)
        assert "2027-03-01T09:00:00Z" in stream.getvalue()
        assert "true" in stream.getvalue()


@pytest.mark.costly
@given(st.emails())
def test_no_address_is_written_in_full(address: str) -> None:
    local, _, domain = address.rpartition("@")
    for text in (address, f"<{address}>", f"550 5.1.1 <{address}>: no such user", f"to={address}, x"):
        shown = masked(text)
        assert address not in shown
        assert f"{local}@" not in shown.replace("***@", "")
        assert f"***@{domain}" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mysql://user:pa55word@db.example/x", "mysql://user:***@db.example/x"),
        ("https://x.example/u?to=bob%40example.com&y", "https:***@example.com&y"),
        ('"odd one"@example.com', "***@example.com"),
        ("jörg@bücher.example", "***@bücher.example"),
        ("bob@[192.0.2.1]", "***@[192.0.2.1]"),
        ("BOB@LOCALHOST", "***@LOCALHOST"),
        ("Access denied for user 'c'@'10.0.0.1'", "Access denied for user 'c'@'10.0.0.1'"),
        ("coldsend-worker@1 is up", "coldsend-worker@1 is up"),
        ("a@ b @c", "a@ b @c"),
        ("one@a.example two@b.example", "***@a.example ***@b.example"),
    ],
)
def test_what_is_an_address_and_what_is_not(text: str, shown: str) -> None:
    assert masked(text) == shown


def failure(text: str) -> ValueError:
    """An error with a traceback."""
    try:
        raise ValueError(text)  # noqa: TRY301
    except ValueError as error:
        return error


def test_addresses_in_tracebacks_are_shortened_too() -> None:
    for style in ("text", "json"):
        with written(style) as stream:
            logbook.unexpected_error("attempt at row 5", failure("cannot greet bob@example.com"))
        assert "Traceback" in stream.getvalue()
        assert "***@example.com" in stream.getvalue()
        assert "bob@" not in stream.getvalue()


def test_the_same_line_is_written_five_times_a_minute_and_then_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moment = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: moment[0])
    meter.reset()
    with written("json") as stream:
        for _ in range(1000):
            logbook.journal_failed("no space left on device")
        assert stream.getvalue().count("\n") == log_lines.BURST
        moment[0] += log_lines.WINDOW
        logbook.journal_failed("no space left on device")
    last = json.loads(stream.getvalue().splitlines()[-1])
    assert last["held_back"] == 1000 - log_lines.BURST
    assert meter.read().counters["coldsend_events_total", "journal_failed"] == 1001


def test_lines_about_different_things_are_not_held_back_for_each_other() -> None:
    with written() as stream:
        for service in range(100):
            logbook.service_frozen(f"s{service}", service, "535 no", code="credentials", probe_at=None)
        for task in range(100):
            logbook.paused_by_engine("task", task, "why")
    assert stream.getvalue().count("service_frozen") == 100
    assert stream.getvalue().count("paused_by_engine") == 100


def test_one_bug_that_every_row_meets_is_not_written_for_every_row() -> None:
    with written() as stream:
        for row in range(100):
            logbook.unexpected_error(f"attempt at row {row}", failure(str(row)))
        try:
            {}["another bug"]
        except KeyError as error:
            logbook.unexpected_error("attempt at row 7", error)
    assert stream.getvalue().count("unexpected_error") == log_lines.BURST + 1


def test_what_is_still_held_back_at_the_end_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with written("json") as stream:
        for _ in range(9):
            logbook.database_away("gone", outcomes_held=1)
        logbook.configure("info", "json")
    last = json.loads(stream.getvalue().splitlines()[-1])
    assert (last["event"], last["of"], last["count"]) == ("lines_held_back", "database_away", 4)


@pytest.mark.costly
def test_kinds_of_lines_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: moment[0])
    with written() as stream:
        for task in range(5000):
            moment[0] += 0.001 if task < 2500 else 1.0
            for _ in range(6):
                logbook.task_started(f"c/{task}", task)
        [handler] = [one for one in logging.getLogger("coldsend").handlers if isinstance(one, LineHandler)]
        assert len(handler._kinds) <= log_lines._MOST_KINDS
        handler.close()
    lines = [parsed(line) for line in stream.getvalue().splitlines()]
    told = [fields for event, fields in lines if event == "task_started"]
    held_back = sum(int(fields["count"]) for event, fields in lines if event == "lines_held_back")
    assert len(told) + held_back == 30_000
    assert held_back > 4_900


def test_what_libraries_warn_of_is_a_line_like_the_others() -> None:
    with written("json") as stream:
        logging.getLogger("some.library").warning("odd: %s\nnext", "bob@example.com")
        logging.getLogger("some.library").info("chatter")
    [line] = stream.getvalue().splitlines()
    document = json.loads(line)
    assert (document["event"], document["logger"]) == ("library_message", "some.library")
    assert document["text"] == "odd: ***@example.com\nnext"


def test_each_line_is_written_once_however_often_logging_is_set_up() -> None:
    with written() as stream:
        logbook.configure("info", "text")
        with contextlib.redirect_stderr(stream):
            logbook.configure("info", "text")
        logbook.leading(1, leads=True)
        logging.getLogger("some.library").warning("once")
    assert stream.getvalue().count("leading") == 1
    assert stream.getvalue().count("once") == 1


def test_levels_below_the_configured_one_are_not_written() -> None:
    stream = io.StringIO()
    with contextlib.redirect_stderr(stream):
        logbook.configure("warning", "text")
    logbook.leading(1, leads=True)
    assert stream.getvalue() == ""


def test_the_time_is_that_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(microseconds=5))
    with written() as stream:
        logbook.leading(1, leads=True)
    assert stream.getvalue().startswith("2027-03-01T09:00:00.000005Z info    leading worker=1 leads=true")


def test_fields_never_take_the_names_of_a_lines_own(capsys: pytest.CaptureFixture[str]) -> None:
    import ast

    calls: list[Any] = [
        node
        for file in Path(logbook.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "event"
    ]
    names = {keyword.arg for call in calls for keyword in call.keywords}
    assert len(calls) > 30
    assert names & {"ts", "level", "event", "held_back", "traceback", None} == set()
