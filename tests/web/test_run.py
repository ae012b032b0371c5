"""The process behind the server processes: whatever fails, it ends, and lets go of the spool."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from coldsend.web.drain import Drain
from coldsend.web.run import ServersEnd, WebRun


class FakeDrain:
    """Works nothing off. last: raised by the round at the end."""

    away = ""

    def __init__(self, last: Exception | None = None) -> None:
        self.last = last
        self.rounds: list[bool] = []
        self.closed = False

    def round(self, *, everything: bool = False, go_on: Callable[[], bool]) -> int:
        self.rounds.append(everything)
        if everything and self.last is not None:
            raise self.last
        return int(go_on()) * 0

    def left(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


class FakeProcesses:
    def __init__(self, drained: Exception | None = None, *, hopeless: bool = False) -> None:
        self.drained = drained
        self.hopeless = hopeless

    def start(self) -> None: ...
    def keep(self) -> None: ...

    def drain(self) -> None:
        if self.drained is not None:
            raise self.drained


def run(processes: FakeProcesses, drain: FakeDrain) -> None:
    WebRun(processes, cast(Any, drain), lambda: True).run()


def ended(drain: FakeDrain) -> bool:
    names = [thread.name for thread in threading.enumerate()]
    return drain.closed and drain.rounds[-1] is True and "drain" not in names


def test_at_the_end_what_is_left_is_worked_off() -> None:
    drain = FakeDrain()
    run(FakeProcesses(), drain)
    assert ended(drain)


def test_a_bug_in_the_last_round_is_logged_and_the_spool_let_go(caplog: pytest.LogCaptureFixture) -> None:
    drain = FakeDrain(ValueError("a bug"))
    run(FakeProcesses(), drain)
    assert ended(drain)
    assert "unexpected_error" in caplog.text


def test_server_processes_that_do_not_end_well_do_not_keep_it_alive() -> None:
    drain = FakeDrain()
    with pytest.raises(OSError, match="no such process"):
        run(FakeProcesses(OSError("no such process")), drain)
    assert ended(drain)


def test_where_no_server_process_stays_alive_it_says_so() -> None:
    drain = FakeDrain()
    with pytest.raises(ServersEnd, match="ends at once"):
        WebRun(FakeProcesses(hopeless=True), cast(Drain, drain), lambda: False).run()
    assert ended(drain)
