"""Sending through an SmtpChannel in tests: services, quick timeouts, and what was committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from coldsend.channels.smtp import SmtpChannel
from coldsend.config.settings import SmtpSettings
from coldsend.domain.answers import Answer
from coldsend.domain.message import Message
from coldsend.domain.service import Service

# Nothing on loopback takes longer, however busy the machine is, unless it is meant to.
PATIENT = SmtpSettings(
    connect_timeout=120,
    greeting_timeout=120,
    mail_timeout=120,
    rcpt_timeout=120,
    data_timeout=120,
    block_timeout=120,
    final_timeout=120,
    session_deadline=480,
    idle_seconds=60,
)


def impatient(at: str, seconds: float = 0.3) -> SmtpSettings:
    """Waits so long, and no longer, for the answer that never comes; ``at`` as in ``RecordingServer``."""
    name = "greeting" if at in ("connect", "ehlo", "starttls") else "block" if at == "body" else at
    return replace(PATIENT, **{f"{name}_timeout": seconds})


NO_CREDENTIALS: Mapping[str, str] = {}


def service(port: int, *, host: str = "127.0.0.1", **settings: Any) -> Service:
    values = {"host": host, "port": port, "tls": "none", "connections": 1, **settings}
    return Service(1, "relay", "smtp", "anna@mail.example.com", settings=values)


@dataclass
class Sent:
    """What came of some messages. commits: how often before_commit was called for each."""

    answers: list[Answer]
    commits: list[int]
    dialogue: list[tuple[str, str]] = field(default_factory=list)

    @property
    def answer(self) -> Answer:
        (one,) = self.answers
        return one

    @property
    def said(self) -> str:
        return "\n".join(f"{who}: {line}" for who, line in self.dialogue)


def send(
    to: Service,
    *messages: Message,
    credentials: Mapping[str, Any] = NO_CREDENTIALS,
    settings: SmtpSettings = PATIENT,
    between: Callable[[], Any] | None = None,
) -> Sent:
    """Send messages one after another through one channel. between: called before each but the first."""
    return asyncio.run(_send(to, messages, credentials, settings, between))


async def _send(
    to: Service,
    messages: Iterable[Message],
    credentials: Mapping[str, Any],
    settings: SmtpSettings,
    between: Callable[[], Any] | None,
) -> Sent:
    sent = Sent([], [])
    channel = SmtpChannel(
        to, credentials, settings, transcript=lambda who, line: sent.dialogue.append((who, line))
    )
    try:
        for number, one in enumerate(messages):
            if number and between:
                await asyncio.to_thread(between)
            sent.commits.append(0)

            def commit(position: int = number) -> None:
                sent.commits[position] += 1

            sent.answers.append(await channel.send(one, commit))
    finally:
        await channel.close()
    return sent
