"""Alerts to chats, through Apprise: an optional extra, ``pip install 'coldsend[chat]'``."""

from __future__ import annotations

import asyncio
import importlib
import io
import logging
import re
from collections.abc import Sequence
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
        # Apprise waits for servers four seconds at a time, and knows nothing of message ids.
        await asyncio.to_thread(self._notify, notices)

    def _notify(self, notices: Sequence[Notice]) -> None:
        library = apprise()
        if library is None:
            raise NotDelivered(f"Apprise is not installed; {INSTALL}")
        heard = _Heard()
        logger = logging.getLogger("apprise")
        before = logger.propagate
        logger.addHandler(heard)
        logger.propagate = False  # what it logs may quote the URL
        try:
            chats = library.Apprise()
            taken = chats.add(self.url) and chats.notify(
                title=headline(notices), body=text(notices), notify_type=_type(library, notices)
            )
        finally:
            logger.removeHandler(heard)
            logger.propagate = before
        if not taken:
            raise NotDelivered(without_tokens(heard.said(), self.url) or "Apprise could not deliver it")


class _Heard(logging.StreamHandler[io.StringIO]):
    """Keeps what Apprise says of a failure."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.setLevel(logging.WARNING)

    def said(self) -> str:
        return " ".join(self.stream.getvalue().split())[:_LONGEST_REASON]


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
    logger = logging.getLogger("apprise")
    before = logger.disabled
    logger.disabled = True
    try:
        return bool(library.Apprise().add(url))
    finally:
        logger.disabled = before


def _type(library: Any, notices: Sequence[Notice]) -> Any:
    """The colour that chats show."""
    raised = [notice for notice in notices if notice.event is AlertEvent.RAISED]
    if not raised or all(notice.kind is AlertKind.CAMPAIGN_DONE for notice in raised):
        return library.NotifyType.SUCCESS
    return library.NotifyType.FAILURE
