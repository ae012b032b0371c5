"""What acting on feedback needs besides the happenings: secrets that read our tokens, limits from settings.

A process makes one :class:`Applier` for each thread that applies: the token reader is not to be shared.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from coldsend.composing.tokens import Tokens
from coldsend.config.secrets import KeyRing
from coldsend.config.settings import Settings
from coldsend.feedback.breaker import Limits
from coldsend.stores import signing_keys


@dataclass(frozen=True, slots=True)
class Applier:
    """tokens: reads Message-IDs. pepper: key of hashed suppressions. probe_minutes: rest of services frozen
    for errors."""

    tokens: Tokens
    pepper: bytes
    limits: Limits
    probe_minutes: float


def applier_of(connection: Connection, settings: Settings, keys: KeyRing) -> Applier:
    """The applier of an installation; NotFound where `coldsend init` has not made its signing keys yet."""
    return Applier(
        tokens=Tokens(signing_keys.load(connection, keys, "links")),
        pepper=signing_keys.load(connection, keys, "suppression"),
        limits=limits_of(settings),
        probe_minutes=settings.delivery.probe_minutes,
    )


def limits_of(settings: Settings) -> Limits:
    """The limits of the campaign breaker, as they are configured."""
    wanted = settings.feedback
    return Limits(wanted.bounce_rate, wanted.complaint_rate, wanted.minimum_sent, wanted.window_days)
