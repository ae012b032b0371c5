"""Alerts to chats, through Apprise: an optional extra, ``pip install 'coldsend[chat]'``."""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coldsend.alerts.seam import NotDelivered
from coldsend.domain.alert import AlertEvent, AlertKind, Notice, headline, text

INSTALL = "install it: pip install 'coldsend[chat]'"

_SHORTEST_TOKEN = 6
_LONGEST_REASON = 300


def apprise() -> Any | None:
    """The library; None where it is not installed."""
    try:
        return importlib.import_module("apprise")
    except ImportError:
        return None


@dataclass(frozen=True)
class Chat:
    """One chat; see :class:`coldsend.alerts.seam.Target`."""

    name: str
    url: str = field(repr=False)
    gathers: bool = True

    async def send(self, notices: Sequence[Notice], message_id: str, at: datetime) -> None:
        # Apprise waits for servers four seconds at a time, and knows nothing of message ids. A thread of its
        # own, which nobody waits for at the end: a server that never comes to one must not hold up a process.
        outcome: Future[None] = Future()
        outcome.set_running_or_notify_cancel()

        def work() -> None:
            try:
                self._notify(notices)
            except Exception as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(None)

        threading.Thread(target=work, name=self.name, daemon=True).start()
        await asyncio.wrap_future(outcome)

    def _notify(self, notices: Sequence[Notice]) -> None:
        library = apprise()
        if library is None:
            raise NotDelivered(f"Apprise is not installed; {INSTALL}")
        said: list[str] = []
        _said.set(said)  # of this thread, which is for this message alone
        chats = library.Apprise()
        taken = chats.add(self.url) and chats.notify(
            title=headline(notices), body=text(notices), notify_type=_type(library, notices)
        )
        if not taken:
            words = without_tokens(" ".join(" ".join(said).split()), self.url)
            raise NotDelivered(words[:_LONGEST_REASON] or "Apprise could not deliver it")


class _Listener(logging.Handler):
    """Keeps what Apprise says of a failure, for whom it was asked by: chats are told at the same time, and
    it hands work to threads of its own, with the context."""

    def emit(self, record: logging.LogRecord) -> None:
        if (said := _said.get()) is not None:
            said.append(record.getMessage())


_said: ContextVar[list[str] | None] = ContextVar("_said", default=None)

# What it logs may quote URLs: it goes to the listener, and nowhere else.
_logger = logging.getLogger("apprise")
_logger.propagate = False
_logger.addHandler(_Listener(logging.WARNING))


def without_tokens(said: str, url: str) -> str:
    """What was said, without any part of the URL that may be a token."""
    for part in sorted(re.split(r"[^\w~.-]+", url), key=len, reverse=True):
        if len(part) >= _SHORTEST_TOKEN:
            said = said.replace(part, "***")
    return said


def is_usable(url: str) -> bool:
    """Whether Apprise understands the URL; only where it is installed."""
    library = apprise()
    assert library is not None
    return bool(library.Apprise().add(url))


def _type(library: Any, notices: Sequence[Notice]) -> Any:
    """The colour that chats show."""
    raised = [notice for notice in notices if notice.event is AlertEvent.RAISED]
    if not raised or all(notice.kind is AlertKind.CAMPAIGN_DONE for notice in raised):
        return library.NotifyType.SUCCESS
    return library.NotifyType.FAILURE
