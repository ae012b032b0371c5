"""A mailbox that is read, and when it may be tried again after an error. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Trouble(StrEnum):
    """Why a mailbox could not be read; it decides when the next try may be."""

    CONNECT = "connect"  # name, network, TLS, silence, a connection that broke
    CREDENTIALS = "credentials"  # the server refused them
    TOKEN = "token"  # noqa: S105 - the command that prints access tokens failed
    FOLDER = "folder"  # there is no such folder
    SERVER = "server"  # it declined for now, or said what cannot be understood
    MESSAGE = "message"  # the connection broke while one message was fetched


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where to read, how far that has come, and how it is. Credentials are not part of it.

    tls: "implicit", "starttls" or "none". service_id: what is found is about messages of this service; None:
    of any. last_uid: everything up to it has been read. uid_validity: of the folder that this is true of.
    """

    id: int
    name: str
    host: str
    port: int
    tls: str
    username: str
    folder: str
    service_id: int | None = None
    enabled: bool = True
    uid_validity: int | None = None
    last_uid: int | None = None
    polled_at: datetime | None = None
    failed_at: datetime | None = None
    error_code: str = ""
    consecutive_errors: int = 0


# Refused credentials are tried again after these, in case the refusal was an accident; then they wait for
# new ones: accounts are locked for less.
CREDENTIAL_WAITS = (timedelta(hours=1), timedelta(hours=24))
LONGEST_WAIT = timedelta(hours=1)

# So often a message may break the connection before it is left out.
PATIENCE_WITH_MESSAGE = 5


def next_try(mailbox: Mailbox, poll_seconds: float) -> datetime | None:
    """When a mailbox that failed may be tried again by itself; None: not before a person has done something.

    Only for mailboxes that have failed: ``consecutive_errors`` of at least 1.
    """
    assert mailbox.failed_at is not None
    errors = mailbox.consecutive_errors
    if mailbox.error_code == Trouble.CREDENTIALS:
        if errors > len(CREDENTIAL_WAITS):
            return None
        return mailbox.failed_at + CREDENTIAL_WAITS[errors - 1]
    wait = timedelta(seconds=poll_seconds * 2 ** min(errors - 1, 16))
    return mailbox.failed_at + min(wait, max(LONGEST_WAIT, timedelta(seconds=poll_seconds)))


def is_due(mailbox: Mailbox, now: datetime, poll_seconds: float) -> bool:
    """Whether a mailbox that is enabled may be read now without being asked to."""
    if mailbox.consecutive_errors == 0 or mailbox.failed_at is None:
        return mailbox.enabled
    at = next_try(mailbox, poll_seconds)
    # A clock that jumped back must not silence a mailbox for days.
    return mailbox.enabled and at is not None and (at <= now or mailbox.failed_at > now)


def gives_up_message(mailbox: Mailbox) -> bool:
    """Whether the next message has broken so many connections that it is left out."""
    return mailbox.error_code == Trouble.MESSAGE and mailbox.consecutive_errors >= PATIENCE_WITH_MESSAGE
