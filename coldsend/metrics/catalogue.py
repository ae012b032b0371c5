"""Every metric there is: name, kind, labels, what it means. docs/metrics.md shows the same table.

Names and units follow the conventions of Prometheus: base units (seconds, bytes), counters end in ``_total``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from coldsend.meter import SEND_BUCKETS, TURN_BUCKETS

ROWS_BOUND = 100_000  # rows of one status are counted no further
TASKS_BOUND = 1_000  # tasks whose rows are counted
DUE_TASKS_BOUND = 100  # tasks that the oldest due row is looked for in


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family. help: one sentence. buckets: upper bounds in seconds, of histograms."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


def _gauge(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name, "gauge", labels, help_text)


def _counter(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name, "counter", labels, help_text)


# Read from the database when asked; the same in all processes.
OF_DATABASE = (
    _gauge("coldsend_database_up", "1 where the database answered in time."),
    _gauge("coldsend_schema_current", "1 where the database has the schema of this version."),
    _gauge("coldsend_survey_duration_seconds", "How long the database took for all of these."),
    _gauge("coldsend_scheduler_leads", "1 where a scheduler holds the lead."),
    _gauge(
        "coldsend_workers",
        "Processes that have not signed off: alive, or silent for longer than a lease.",
        "kind",
        "state",
    ),
    _gauge(
        "coldsend_heartbeat_age_seconds", "Age of the latest heartbeat of any process of this kind.", "kind"
    ),
    _gauge("coldsend_campaigns", "Campaigns by status.", "status"),
    _gauge("coldsend_tasks", "Tasks by status.", "status"),
    _gauge("coldsend_open_tasks", "Tasks that send: in sending, of an active campaign."),
    _gauge(
        "coldsend_open_task_recipients", "Recipients on the send lists of open tasks, whatever their state."
    ),
    _gauge(
        "coldsend_rows",
        f"Rows of open tasks that are pending or sending, and unknown rows of the last {TASKS_BOUND:,} tasks "
        f"begun; counted up to {ROWS_BOUND:,}.",
        "status",
    ),
    _gauge(
        "coldsend_oldest_due_seconds",
        f"For how long the oldest due row has waited, of the {DUE_TASKS_BOUND} open tasks that began first; "
        "0 where nothing is due.",
    ),
    _gauge("coldsend_alerts", "Alerts that last.", "kind"),
    _gauge(
        "coldsend_alert_deliveries",
        "Notices of alerts that wait to be delivered, or were given up.",
        "status",
    ),
    _gauge("coldsend_service_frozen", "1 where the service is frozen: it sends nothing.", "service"),
    _gauge(
        "coldsend_service_rest_seconds",
        "Seconds until the service has rested, 0 where it does not.",
        "service",
    ),
    _gauge("coldsend_service_paused_providers", "Mailbox providers the service is paused for.", "service"),
    _gauge("coldsend_service_consecutive_errors", "Failures of the sender in a row.", "service"),
    _gauge("coldsend_service_throttle_seconds", "Least time between two messages, 0 for none.", "service"),
    _gauge("coldsend_service_quota", "Messages the service may send on a day.", "service"),
    _gauge("coldsend_service_quota_used", "Messages taken out of its current quota day.", "service"),
    _gauge("coldsend_service_quota_left", "Messages it may still send on its current quota day.", "service"),
)

# Counted by each process since it started.
OF_PROCESSES = (
    _counter(
        "coldsend_messages_total",
        "What became of claimed rows; retry: tried, and again later; put_back: not tried.",
        "service",
        "outcome",
    ),
    _counter(
        "coldsend_failures_total",
        "Answers that were no acceptance, by how far the transaction had come.",
        "service",
        "phase",
    ),
    _counter("coldsend_compose_failures_total", "Messages that could not be composed.", "service"),
    _counter("coldsend_connections_opened_total", "Connections begun to the service's server.", "service"),
    Metric(
        "coldsend_send_duration_seconds",
        "histogram",
        ("service",),
        "From the claim of a row to its answer, the wait for a free connection included.",
        SEND_BUCKETS,
    ),
    _counter("coldsend_rows_claimed_total", "Rows claimed for sending."),
    Metric(
        "coldsend_turn_duration_seconds",
        "histogram",
        (),
        "One turn at the database: outcomes written and rows claimed in one transaction.",
        TURN_BUCKETS,
    ),
    _counter(
        "coldsend_transactions_repeated_total",
        "Transactions that the database undid and that were run again, by its error number.",
        "code",
    ),
    _counter(
        "coldsend_job_runs_total", "Runs of the scheduler's periodic jobs: done or failed.", "job", "outcome"
    ),
    Metric(
        "coldsend_job_duration_seconds",
        "histogram",
        ("job",),
        "How long a periodic job took.",
        TURN_BUCKETS,
    ),
    _counter(
        "coldsend_feedback_total",
        "What came back: matched to a recipient, unmatched, or repeated (told before).",
        "kind",
        "fate",
    ),
    _counter("coldsend_events_total", "Events of the log (docs/events.md), written or held back.", "event"),
    _counter(
        "coldsend_alert_deliveries_total",
        "Attempts to hand notices of alerts over, by kind of target: done, retry (failed for now), given_up.",
        "channel",
        "outcome",
    ),
    _counter(
        "coldsend_web_hits_total",
        "Visits of the web part: accepted, repeated within ten seconds, dropped (spool full), forged.",
        "kind",
        "fate",
    ),
    _gauge("coldsend_web_spool_bytes", "Opens and clicks in the spool of the web part."),
    _gauge("coldsend_web_spool_age_seconds", "How long the oldest file of that spool has waited."),
    _gauge("coldsend_rows_held", "Rows in the hands of sender processes."),
    _gauge("coldsend_journal_bytes", "Size of the outcome journals of sender processes."),
    _gauge("coldsend_sender_processes", "Sender processes of this scheduler, or 1 for a process that sends."),
)

METRICS = {metric.name: metric for metric in (*OF_DATABASE, *OF_PROCESSES)}


def table() -> Iterator[str]:
    """The table of docs/metrics.md, line by line."""
    for title, metrics in (("From the database", OF_DATABASE), ("From processes", OF_PROCESSES)):
        yield from (f"### {title}", "", "| name | kind | labels | meaning |", "|---|---|---|---|")
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |"
        yield ""
