"""One round of looking and telling, for whoever has the time: the scheduler that leads, the web part once a
minute, `coldsend alert check` from cron. The last two are how a silent scheduler is noticed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.exc import DBAPIError

from coldsend import clock, logbook
from coldsend.alerts import looking
from coldsend.alerts.delivering import Delivered, Deliverer
from coldsend.alerts.looking import Seen
from coldsend.alerts.targets import all_targets
from coldsend.config.settings import Settings
from coldsend.database.engine import Database
from coldsend.errors import ColdsendError

BESIDE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to."""

    seen: Seen = field(default_factory=Seen)
    delivered: Delivered = field(default_factory=Delivered)


class Watch:
    """Looks and tells. Not to be shared between threads."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        should_stop: Callable[[], bool] = lambda: False,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._database = database
        self._settings = settings
        self._now = now
        targets = all_targets(settings)
        self._deliverer = Deliverer(database, targets, settings.alerts.digest_over, now, should_stop)

    def round(self) -> Round:
        """Look, then hand over what is due; errors of the database are raised."""
        seen = looking.look(self._database, self._settings.alerts, self._now())
        return Round(seen, self._deliverer.deliver())


@contextmanager
def beside(database: Database, settings: Settings, seconds: float = BESIDE_SECONDS) -> Iterator[None]:
    """Rounds in a thread of its own, beside something else, which its troubles do not hold up."""
    ending = threading.Event()

    def work() -> None:
        watch = Watch(database, settings, ending.is_set)
        failing = False
        while not ending.wait(seconds):
            try:
                watch.round()
                failing = False
            except (ColdsendError, DBAPIError) as error:
                if not failing:  # once per outage
                    logbook.job_failed("alerts", str(error))
                failing = True
            except Exception as error:
                logbook.unexpected_error("alerts", error)

    # A daemon thread: a target that answers never must not keep the process.
    thread = threading.Thread(target=work, name="alerts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(1.0)
