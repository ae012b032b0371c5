"""A turn whose locks somebody else holds: tried again for a while, then the database counts as away."""

from __future__ import annotations

import pymysql
import pytest
from sqlalchemy.exc import OperationalError

from coldsend import clock
from coldsend.delivery import turn as module
from coldsend.delivery.claim import Claimer
from coldsend.delivery.record import Recorder
from coldsend.delivery.turn import DatabaseAway, Turns
from coldsend.delivery.view import View

LOCK_WAIT = pymysql.err.OperationalError(1205, "Lock wait timeout exceeded")


class Held:
    """An engine of a database whose locks are held: each try takes ``seconds`` of the steady clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.tries = 0
        self.now = 0.0
        self.engine = self

    def trouble(self, error: OperationalError) -> str:
        return str(error.orig)

    def begin(self) -> None:
        self.tries += 1
        self.now += self.seconds
        raise OperationalError("UPDATE", None, LOCK_WAIT)


@pytest.mark.parametrize(("seconds", "tries"), [(0.0, module.REPEATS), (6.0, 4), (50.0, 1)])
def test_waits_for_locks_are_repeated_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch, seconds: float, tries: int
) -> None:
    held = Held(seconds)
    monkeypatch.setattr(clock, "monotonic", lambda: held.now)
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)
    turns = Turns(held, 1, Claimer(1, b"", 30.0), Recorder(1, 30.0), 20)  # type: ignore[arg-type]
    with pytest.raises(DatabaseAway, match="20 times" if tries == module.REPEATS else "1205"):
        turns.take([], {1: 1}, View())
    assert held.tries == tries
