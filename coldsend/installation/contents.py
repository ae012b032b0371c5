"""What the rows of a database say about an installation: users, secrets, sender services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from shlex import quote

from sqlalchemy.engine import Connection, RowMapping

from coldsend.config.secrets import KeyRing
from coldsend.domain.finding import Finding
from coldsend.domain.mailbox import Trouble
from coldsend.domain.states import FreezeCode, HealthStatus, Role
from coldsend.domain.webhook_provider import provider_of
from coldsend.errors import ColdsendError
from coldsend.stores import access, mailboxes, sealed, services, signing_keys, users

UNREAD_FOR = timedelta(days=1)


def findings(
    connection: Connection, keys: KeyRing | None, acting_as: str | None, now: Callable[[], datetime]
) -> Iterator[Finding]:
    """All findings; ``keys``: None where they could not be read, which was reported already."""
    yield from _acting_user(connection, acting_as)
    if keys is not None:
        yield from _secrets(connection, keys)
    yield from _services(connection)
    yield from _mailboxes(connection, now())


def _acting_user(connection: Connection, acting_as: str | None) -> Iterator[Finding]:
    try:
        users.acting(connection, acting_as)
    except ColdsendError as error:
        yield Finding("error", "user", error.message, error.hint)


def _secrets(connection: Connection, keys: KeyRing) -> Iterator[Finding]:
    """Every sealed value opens, those that must exist do, and no key is kept that nothing needs."""
    needed = set()
    purposes = set()
    for value in sealed.values(connection):
        needed.add(str(value.value.get("kid")))
        purposes.add(value.owner)
        try:
            keys.open(value.value, value.owner)
        except ColdsendError as error:
            yield Finding("error", value.subject, error.message, error.hint)
    for purpose in signing_keys.PURPOSES:
        if f"signing_keys/{purpose}" not in purposes:
            yield Finding("error", f"signing key {purpose!r}", "does not exist", "run: coldsend init")
    if needed - {keys.current_id}:
        yield Finding(
            "warning",
            "secret key",
            "some values are still encrypted with an old key",
            "finish it with: coldsend key rotate",
        )
    elif unneeded := [key_id for key_id in keys.ids[1:] if key_id not in needed]:
        yield Finding(
            "warning",
            "secret key",
            f"nothing in the database needs key {', '.join(unneeded)} any more",
            "take it out of the key file or COLDSEND_SECRET_KEY, and keep it with old backups",
        )


def _services(connection: Connection) -> Iterator[Finding]:
    rows = services.listed(connection)
    if not rows:
        yield Finding(
            "warning", "services", "there is no sender service yet", "add one: coldsend service add --help"
        )
    operators = [row for row in users.listed(connection) if row["role"] == Role.OPERATOR]
    ungranted = access.ungranted(connection) if operators else set()
    for row in rows:
        yield from _service(row, granted=row["id"] not in ungranted)


def _service(row: RowMapping, *, granted: bool) -> Iterator[Finding]:
    name = row["name"]
    subject = f"service {name!r}"
    if row["health_status"] == HealthStatus.FROZEN:
        hint = f"when the cause is mended: coldsend service thaw {quote(name)}"
        if row["frozen_code"] == FreezeCode.CREDENTIALS:
            hint = f"enter new credentials: coldsend service update {quote(name)} --password-stdin"
        yield Finding("warning", subject, f"is frozen: {row['frozen_reason'] or row['frozen_code']}", hint)
    if row["daily_quota"] == 0:
        yield Finding(
            "warning",
            subject,
            "has a daily quota of 0: it sends nothing",
            f"coldsend service update {quote(name)} --daily-quota N",
        )
    if not granted:
        yield Finding(
            "warning",
            subject,
            "is granted to nobody: only admins send through it",
            f"coldsend service grant {quote(name)} USER",
        )
    provider = provider_of(services.as_service(row))
    if provider and not row["webhook_secret"]:
        yield Finding(
            "warning",
            subject,
            f"has no webhook secret: what {provider} tells of bounces and complaints is refused",
            f"coldsend service update {quote(name)} --webhook-secret-stdin < FILE (docs/webhooks.md)",
        )


def _mailboxes(connection: Connection, now: datetime) -> Iterator[Finding]:
    """A mailbox that nobody reads: those who complain, unsubscribe or answer there go on getting mail."""
    for mailbox in mailboxes.enabled(connection):
        name, subject = mailbox.name, f"mailbox {mailbox.name!r}"
        if mailbox.consecutive_errors:
            row = mailboxes.find(connection, mailbox.id)
            again = f"coldsend mailbox update {quote(name)} --password-stdin"
            if mailbox.error_code != Trouble.CREDENTIALS:
                again = f"coldsend mailbox test {quote(name)}"
            yield Finding(
                "warning", subject, f"cannot be read: {row['last_error']}", f"when it is mended: {again}"
            )
        elif mailbox.polled_at is None or now - mailbox.polled_at > UNREAD_FOR:
            since = (
                "never" if mailbox.polled_at is None else f"not since {mailbox.polled_at:%Y-%m-%d %H:%M} UTC"
            )
            yield Finding(
                "warning",
                subject,
                f"was {since} read: what comes back is not heeded",
                "keep a scheduler running, or call from cron: coldsend inbox poll",
            )
