"""`coldsend alert test`: one notice that says what it is, to each target, now; nothing is stored."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from coldsend import logbook
from coldsend.alerts.seam import SECONDS, NotDelivered, Target
from coldsend.domain.alert import AlertEvent, AlertKind, Notice


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it. error: "" where the notice was taken."""

    target: str
    error: str = ""


def notice(by: str, now: datetime) -> Notice:
    """What is sent. Programs see ``facts.test``."""
    return Notice(
        alert_id=0,
        event=AlertEvent.RAISED,
        kind=AlertKind.DAEMON_SILENT,
        subject="test",
        title="a test of coldsend's alerts",
        message=f"{by} wanted to see whether alerts arrive here; nothing is wrong",
        hint="nobody needs to do anything",
        raised_at=now,
        facts={"test": True},
    )


def run(targets: Sequence[Target], by: str, now: datetime) -> list[Tried]:
    """Tell all of them at once."""
    return asyncio.run(_all(targets, notice(by, now), now))


async def _all(targets: Sequence[Target], told: Notice, now: datetime) -> list[Tried]:
    return list(await asyncio.gather(*(_one(target, told, now) for target in targets)))


async def _one(target: Target, told: Notice, now: datetime) -> Tried:
    try:
        async with asyncio.timeout(SECONDS):
            await target.send([told], f"msg_test{secrets.token_hex(12)}", now)
    except TimeoutError:
        return Tried(target.name, f"no answer within {SECONDS:g} seconds")
    except NotDelivered as error:
        return Tried(target.name, str(error))
    except Exception as error:
        logbook.unexpected_error(f"alert to {target.name}", error)
        return Tried(target.name, f"a bug in coldsend: {type(error).__name__}")
    return Tried(target.name)
