"""Events of processes: workers, schedulers, the host and the database they depend on."""

from __future__ import annotations

import logging

from coldsend.logbook.line import event


def unexpected_error(where: str, error: BaseException) -> None:
    """A bug: logged with its traceback."""
    event(logging.ERROR, "unexpected_error", error=error, where=where)


def host_doubtful(subject: str, message: str, hint: str) -> None:
    """Something about this host, its clock or its state directory is not as it should be."""
    event(logging.WARNING, "host_doubtful", subject=subject, message=message, hint=hint)


def worker_started(worker_id: int, *, kind: str, host: str, pid: int) -> None:
    """A process has registered and begins to work."""
    event(logging.INFO, "worker_started", worker=worker_id, kind=kind, host=host, pid=pid)


def worker_stopped(worker_id: int, *, kind: str, sent: int) -> None:
    """A process has given back what it had not sent, and signed off."""
    event(logging.INFO, "worker_stopped", worker=worker_id, kind=kind, sent=sent)


def stopped_hard(pid: int, seconds: float) -> None:
    """A process that was told to stop hung for so long that it ended at once."""
    event(logging.ERROR, "stopped_hard", pid=pid, after_seconds=seconds)


def worker_declared_dead(worker_id: int) -> None:
    """This very process learned that others took it for dead: it stops and starts anew."""
    event(logging.ERROR, "worker_declared_dead", worker=worker_id)


def worker_rescued(worker_id: int, rows: dict[str, int], *, by_journal: bool) -> None:
    """A dead process's rows were settled; ``rows``: how many ended in which state."""
    event(
        logging.WARNING,
        "worker_rescued",
        worker=worker_id,
        by_journal=by_journal,
        sent=rows.get("sent", 0),
        pending=rows.get("pending", 0),
        unknown=rows.get("unknown", 0),
        failed_to_send=rows.get("failed_to_send", 0),
        hint="coldsend unknown list" if rows.get("unknown") else None,
    )


def worker_process_ended(pid: int, code: int | None, *, restart_in: float) -> None:
    """A process that this one keeps running, a sender or web server, ended by itself and is started again."""
    event(logging.ERROR, "worker_process_ended", pid=pid, code=code, restart_in=restart_in)


def worker_process_not_started(reason: str, *, again_in: float) -> None:
    """A process that this one keeps running could not be started; it is tried again."""
    event(logging.ERROR, "worker_process_not_started", reason=reason, again_in=again_in)


def clock_jumped(seconds: float) -> None:
    """The machine's clock was set: forward, or (negative) back."""
    event(logging.WARNING, "clock_jumped", seconds=round(seconds, 1))


def journal_failed(reason: str) -> None:
    """The outcome journal cannot be written (a full disk?): nothing more is sent until it can."""
    event(logging.ERROR, "journal_failed", reason=reason)


def own_limit(reason: str) -> None:
    """This process may open no more files or connections: it sends less than it could (see ``ulimit -n``)."""
    event(logging.ERROR, "own_limit", reason=reason)


def journal_repaired(worker_id: int) -> None:
    """A process found its journal or lock file deleted, replaced or cut off, and wrote it anew."""
    event(logging.WARNING, "journal_repaired", worker=worker_id)


def database_away(reason: str, *, outcomes_held: int) -> None:
    """The database cannot be used; outcomes wait in memory and in the journal."""
    event(logging.ERROR, "database_away", reason=reason, outcomes_held=outcomes_held)


def database_back(*, outcomes_held: int) -> None:
    """The database can be used again."""
    event(logging.INFO, "database_back", outcomes_held=outcomes_held)


def metrics_served(host: str, port: int) -> None:
    """Metrics can be read at this address."""
    event(logging.INFO, "metrics_served", host=host, port=port)


def metrics_unavailable(host: str, port: int, reason: str) -> None:
    """Metrics cannot be served at this address; sending goes on, and it is tried again."""
    event(
        logging.WARNING,
        "metrics_unavailable",
        host=host,
        port=port,
        reason=reason,
        hint="another [metrics] port, or COLDSEND_METRICS_PORT for this process",
    )


def leading(worker_id: int, *, leads: bool) -> None:
    """This scheduler began or ceased to lead."""
    event(logging.INFO, "leading", worker=worker_id, leads=leads)


def job_failed(job: str, reason: str) -> None:
    """A periodic job could not run; it is tried again at its next time."""
    event(logging.ERROR, "job_failed", job=job, reason=reason)
