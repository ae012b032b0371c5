"""Fixtures of the delivery tests."""

from __future__ import annotations

import pytest

from coldsend import clock


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The steady clock, which stands still but for what is added to its one value."""
    moment = [clock.monotonic()]
    monkeypatch.setattr(clock, "monotonic", lambda: moment[0])
    return moment
