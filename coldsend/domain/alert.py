"""Alerts: what operators are told of by themselves."""

from __future__ import annotations

from enum import StrEnum


class AlertKind(StrEnum):
    SERVICE_FROZEN = "service_frozen"
    BREAKER = "breaker"  # the engine paused a campaign or task
    CAMPAIGN_DONE = "campaign_done"
    UNKNOWN_ROWS = "unknown_rows"
    DAEMON_SILENT = "daemon_silent"
    MAILBOX_FAILING = "mailbox_failing"


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DONE = "done"
    GIVEN_UP = "given_up"
