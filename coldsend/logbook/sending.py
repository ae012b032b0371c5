"""Events of services, campaigns and tasks: what goes out, and what keeps it from that."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from coldsend.logbook.line import event


def service_frozen(
    service: str, service_id: int, reason: str, *, code: str, probe_at: datetime | None
) -> None:
    """A sender service was frozen: it sends nothing until it is probed (``probe_at``), mended or thawed."""
    event(
        logging.ERROR,
        "service_frozen",
        service=service,
        service_id=service_id,
        code=code,
        reason=reason,
        probe_at=probe_at,
    )


def service_thawed(service: str, service_id: int, reason: str) -> None:
    """A sender service is active again."""
    event(logging.INFO, "service_thawed", service=service, service_id=service_id, reason=reason)


def service_cooling_down(service: str, service_id: int, reason: str, *, until: datetime | None) -> None:
    """A sender service was asked to slow down and rests."""
    event(
        logging.WARNING,
        "service_cooling_down",
        service=service,
        service_id=service_id,
        reason=reason,
        until=until,
    )


def service_paused_for_provider(
    service: str, service_id: int, reason: str, *, provider: str, until: datetime | None
) -> None:
    """A sender service rests for one mailbox provider; without ``until`` a person must lift it."""
    event(
        logging.WARNING,
        "service_paused_for_provider",
        service=service,
        service_id=service_id,
        provider=provider,
        reason=reason,
        until=until,
    )


def task_started(task: str, task_id: int) -> None:
    """A task's time has come: it is expanded and sent."""
    event(logging.INFO, "task_started", task=task, task_id=task_id)


def task_expanded(task: str, task_id: int, recipients: int) -> None:
    """A task's send list is complete."""
    event(logging.INFO, "task_expanded", task=task, task_id=task_id, recipients=recipients)


def followups_enrolled(task: str, task_id: int, recipients: int) -> None:
    """Recipients of the task before were sent its message: this task follows it up."""
    event(logging.INFO, "followups_enrolled", task=task, task_id=task_id, recipients=recipients)


def task_failed(task: str, task_id: int, reason: str) -> None:
    """A task cannot be planned; nothing more of it is sent."""
    event(logging.ERROR, "task_failed", task=task, task_id=task_id, reason=reason)


def task_ended(task: str, task_id: int, status: str, summary: Mapping[str, Any]) -> None:
    """A task has no recipient left that waits: it finished, or is wound up after being cancelled."""
    event(
        logging.INFO,
        "task_ended",
        task=task,
        task_id=task_id,
        status=str(status),
        recipients=summary["recipients"],
        accepted=summary["accepted"],
    )


def campaign_completed(campaign: str, campaign_id: int) -> None:
    """All tasks of a campaign have ended."""
    event(logging.INFO, "campaign_completed", campaign=campaign, campaign_id=campaign_id)


def recipients_skipped(task: str, task_id: int, reason: str, count: int) -> None:
    """Waiting recipients of a task will not be sent to."""
    event(logging.INFO, "recipients_skipped", task=task, task_id=task_id, reason=str(reason), count=count)


def paused_by_engine(kind: str, row_id: int, reason: str) -> None:
    """A campaign or task was stopped until a person resumes it."""
    event(logging.ERROR, "paused_by_engine", kind=kind, id=row_id, reason=reason)


def service_unusable(service: str, service_id: int, reason: str) -> None:
    """A service cannot be opened by this worker (its credentials or settings); its rows wait."""
    event(logging.ERROR, "service_unusable", service=service, service_id=service_id, reason=reason)
