"""Counts on their way from sender processes to their scheduler, whatever becomes of the processes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import pytest

from coldsend import meter
from coldsend.daemon import reports as module
from coldsend.daemon.reports import Reports, reporting
from coldsend.meter import Counts

KEY = ("coldsend_messages_total", "main", "sent")
HELD = ("coldsend_rows_held",)


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 120
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.005)  # another thread reads


def child(reports: Reports) -> int:
    """The writing end that a process would have inherited."""
    with reports.for_child() as descriptor:
        return os.dup(descriptor)


def say(descriptor: int, sent: int) -> None:
    line = json.dumps(Counts({KEY: sent}, {}, {HELD: 5}).as_json())
    os.write(descriptor, line.encode() + b"\n")


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    meter.reset()


def test_the_total_is_the_sum_of_the_latest_reports() -> None:
    reports = Reports()
    one, two = child(reports), child(reports)
    say(one, 3)
    say(one, 10)
    say(two, 100)
    until(lambda: reports.total().counters.get(KEY) == 110)
    assert reports.total().gauges[HELD] == 10
    os.close(one)
    os.close(two)


def test_what_a_process_counted_stays_when_it_ends_and_what_it_held_does_not() -> None:
    reports = Reports()
    one, two = child(reports), child(reports)
    say(one, 10)
    say(two, 1)
    os.close(one)
    until(lambda: reports.total().counters.get(KEY) == 11 and reports.total().gauges[HELD] == 5)
    os.close(two)
    until(lambda: HELD not in reports.total().gauges)
    assert reports.total().counters[KEY] == 11


def test_a_line_cut_off_by_a_kill_counts_as_not_written() -> None:
    reports = Reports()
    one = child(reports)
    say(one, 10)
    os.write(one, b'{"counters":[["coldsend_messages_total","main","sent",99')
    os.close(one)
    until(lambda: reports.total().counters.get(KEY) == 10 and HELD not in reports.total().gauges)


def test_what_is_no_report_is_passed_over() -> None:
    reports = Reports()
    one = child(reports)
    os.write(one, b'[]\n{"counters": 7}\nnonsense\n\xff\n')
    say(one, 4)
    until(lambda: reports.total().counters.get(KEY) == 4)
    os.close(one)


def test_a_process_that_never_reported_leaves_nothing() -> None:
    reports = Reports()
    with reports.for_child():
        pass
    assert reports.total() == Counts()


def test_a_process_reports_while_it_works_and_once_more_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    event = ("coldsend_events_total", "leading")

    def reported() -> float:
        return reports.total().counters.get(event, 0) - meter.read().counters.get(event, 0)

    reports = Reports()
    with reporting(child(reports)):
        meter.event("leading")
        until(lambda: reported() == 1)
        monkeypatch.setattr(module, "INTERVAL", 60.0)
        meter.event("leading")
    until(lambda: reported() == 2)


def test_a_scheduler_that_is_gone_troubles_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    monkeypatch.setattr(module, "LAST_WORD", 200.0)
    read, write = os.pipe()
    os.close(read)
    began = time.monotonic()
    with reporting(write):
        meter.event("leading")
    assert time.monotonic() - began < 100, "nobody is left to take it"


def test_a_scheduler_that_stands_still_holds_up_the_end_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    monkeypatch.setattr(module, "LAST_WORD", 0.05)
    read, write = os.pipe()
    os.set_blocking(read, False)
    began = time.monotonic()
    with reporting(write):
        for number in range(3000):
            meter.event(f"filler_{number}")  # a report larger than the pipe
    assert time.monotonic() - began < 100, "for ever, without a limit"
    os.close(read)
