"""Events of what is kept: contacts, suppressions, unknown rows, keys."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime

from coldsend.logbook.line import event


def contacts_imported(file: str, imported: int, updated: int, unchanged: int, rejected: int) -> None:
    """A file of contacts was imported."""
    event(
        logging.INFO,
        "contacts_imported",
        file=file,
        imported=imported,
        updated=updated,
        unchanged=unchanged,
        rejected=rejected,
    )


def contact_removed(contact_id: int, by: str) -> None:
    """A contact was removed by an operator; its row stays."""
    event(logging.INFO, "contact_removed", contact_id=contact_id, by=by)


def suppression_lifted(key: str, reason: str, campaign_id: int, by: str, *, detail: str | None) -> None:
    """A suppression was taken away: mail may reach this address again. The hash is that of ``a:ADDRESS``."""
    event(
        logging.WARNING,
        "suppression_lifted",
        key_sha256=hashlib.sha256(key.encode()).hexdigest(),
        reason=str(reason),
        campaign_id=campaign_id,
        by=by,
        detail=detail,
    )


def suppressions_imported(file: str, added: int, strengthened: int, known: int, rejected: int) -> None:
    """A file of suppressions was imported."""
    event(
        logging.INFO,
        "suppressions_imported",
        file=file,
        added=added,
        strengthened=strengthened,
        known=known,
        rejected=rejected,
    )


def suppression_list_changed(name: str, *, added: int, removed: int, by: str) -> None:
    """Entries were taken off a suppression list: mail may reach what only they suppressed."""
    event(logging.WARNING, "suppression_list_changed", list=name, added=added, removed=removed, by=by)


def contact_erased(contact_id: int | None, key_sha256: str, by: str, *, mentions: int) -> None:
    """A person was erased. The hash is that of the suppression that is left; mentions: places elsewhere."""
    event(
        logging.WARNING,
        "contact_erased",
        contact_id=contact_id,
        key_sha256=key_sha256,
        mentions=mentions,
        by=by,
    )


def retention_applied(
    events: int, unmatched: int, messages: int, payloads: int, audit: int, alerts: int, raw: int, late: int
) -> None:
    """What had been kept long enough was deleted; late: rows about people erased before, cleared."""
    event(
        logging.INFO,
        "retention_applied",
        events=events,
        unmatched=unmatched,
        messages=messages,
        payloads=payloads,
        audit=audit,
        alerts=alerts,
        raw=raw,
        late=late,
    )


def unknown_decided(task: str, task_id: int, decision: str, rows: int, by: str) -> None:
    """A person decided what becomes of rows whose outcome nobody knows; the event log names each of them."""
    event(
        logging.WARNING,
        "unknown_decided",
        task=task,
        task_id=task_id,
        decision=str(decision),
        rows=rows,
        by=by,
    )


def recipients_released(task: str, task_id: int, *, service: str, count: int, by: str) -> None:
    """A person freed recipients that waited for a service: they go out through others."""
    event(
        logging.INFO,
        "recipients_released",
        task=task,
        task_id=task_id,
        service=service,
        count=count,
        by=by,
    )


def unknown_settled(rows: int) -> None:
    """What came back proves that messages were sent whose outcome nobody knew."""
    event(logging.INFO, "unknown_settled", rows=rows)


def secret_key_rotated(current: str, resealed: int, dropped: Sequence[str]) -> None:
    """Everything sealed was sealed anew with the key ``current``; keys are named by their ids only."""
    event(logging.INFO, "secret_key_rotated", key=current, resealed=resealed, dropped=",".join(dropped))


def dkim_key_changed(key: str, change: str, *, by: str) -> None:
    """An admin added, activated, retired or removed a DKIM key; ``key``: domain and selector."""
    event(logging.INFO, "dkim_key_changed", key=key, change=change, by=by)


def audit_failed(command: str, reason: str) -> None:
    """What a command did stands, but the audit log could not be told of it."""
    event(logging.ERROR, "audit_failed", command=command, reason=reason)


def alert_raised(kind: str, alert_id: int, subject: str, message: str) -> None:
    """Something is wrong, or done, that operators are told of; the same goes to the targets of [alerts]."""
    event(
        logging.WARNING, "alert_raised", kind=str(kind), alert_id=alert_id, subject=subject, message=message
    )


def alert_cleared(kind: str, alert_id: int, subject: str, message: str) -> None:
    """What an alert was about does not hold any more."""
    event(logging.INFO, "alert_cleared", kind=str(kind), alert_id=alert_id, subject=subject, message=message)


def alert_not_delivered(target: str, reason: str, *, attempts: int, again_at: datetime | None) -> None:
    """A target of alerts could not be told; without ``again_at`` it is not tried any more by itself."""
    event(
        logging.WARNING,
        "alert_not_delivered",
        target=target,
        reason=reason,
        attempts=attempts,
        again_at=again_at,
    )
