"""One function per business event; nobody else formats log lines.

Each event has a stable name and fields, listed in docs/events.md. ``log.format = "text"`` writes ``time level
event key=value ..``, ``"json"`` one object a line (``log_lines.py``). Logs go to stderr; they hold ids, never
credentials, bodies, or addresses.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from coldsend import clock, meter
from coldsend.log_lines import LineHandler

_logger = logging.getLogger("coldsend")


def configure(level: str = "info", style: str = "text") -> None:
    """Send coldsend's events, and warnings of libraries, to stderr; called once by each process."""
    handler = LineHandler(sys.stderr, style)
    libraries = logging.getLogger()
    for old in [one for one in libraries.handlers if isinstance(one, LineHandler)]:
        libraries.removeHandler(old)
        old.close()
    libraries.addHandler(handler)
    # A connection that broke is told of by whoever used it; the pool would add a traceback for each.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    _logger.handlers[:] = [handler]
    _logger.setLevel(level.upper())
    _logger.propagate = False
    if clock.test_clock_file():
        test_clock_in_force(str(clock.test_clock_file()), clock.now())


def _event(level: int, name: str, *, error: BaseException | None = None, **fields: Any) -> None:
    meter.event(name)
    if _logger.isEnabledFor(level):
        _logger.log(level, name, exc_info=error, extra={"fields": fields})


def test_clock_in_force(file: str, now: datetime) -> None:
    """The time is set by a file, for tests: nothing here happens when it seems to."""
    _event(logging.WARNING, "test_clock_in_force", file=file, now=now)


def unexpected_error(where: str, error: BaseException) -> None:
    """A bug: logged with its traceback."""
    _event(logging.ERROR, "unexpected_error", error=error, where=where)


def service_frozen(
    service: str, service_id: int, reason: str, *, code: str, probe_at: datetime | None
) -> None:
    """A sender service was frozen: it sends nothing until it is probed (``probe_at``), mended or thawed."""
    _event(
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
    _event(logging.INFO, "service_thawed", service=service, service_id=service_id, reason=reason)


def service_cooling_down(service: str, service_id: int, reason: str, *, until: datetime | None) -> None:
    """A sender service was asked to slow down and rests."""
    _event(
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
    _event(
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
    _event(logging.INFO, "task_started", task=task, task_id=task_id)


def task_expanded(task: str, task_id: int, recipients: int) -> None:
    """A task's send list is complete."""
    _event(logging.INFO, "task_expanded", task=task, task_id=task_id, recipients=recipients)


def task_failed(task: str, task_id: int, reason: str) -> None:
    """A task cannot be planned; nothing more of it is sent."""
    _event(logging.ERROR, "task_failed", task=task, task_id=task_id, reason=reason)


def task_ended(task: str, task_id: int, status: str, summary: Mapping[str, Any]) -> None:
    """A task has no recipient left that waits: it finished, or is wound up after being cancelled."""
    _event(
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
    _event(logging.INFO, "campaign_completed", campaign=campaign, campaign_id=campaign_id)


def recipients_skipped(task: str, task_id: int, reason: str, count: int) -> None:
    """Waiting recipients of a task will not be sent to."""
    _event(logging.INFO, "recipients_skipped", task=task, task_id=task_id, reason=str(reason), count=count)


def host_doubtful(subject: str, message: str, hint: str) -> None:
    """Something about this host, its clock or its state directory is not as it should be."""
    _event(logging.WARNING, "host_doubtful", subject=subject, message=message, hint=hint)


def worker_started(worker_id: int, *, kind: str, host: str, pid: int) -> None:
    """A process has registered and begins to work."""
    _event(logging.INFO, "worker_started", worker=worker_id, kind=kind, host=host, pid=pid)


def worker_stopped(worker_id: int, *, kind: str, sent: int) -> None:
    """A process has given back what it had not sent, and signed off."""
    _event(logging.INFO, "worker_stopped", worker=worker_id, kind=kind, sent=sent)


def stopped_hard(pid: int, seconds: float) -> None:
    """A process that was told to stop hung for so long that it ended at once."""
    _event(logging.ERROR, "stopped_hard", pid=pid, after_seconds=seconds)


def worker_declared_dead(worker_id: int) -> None:
    """This very process learned that others took it for dead: it stops and starts anew."""
    _event(logging.ERROR, "worker_declared_dead", worker=worker_id)


def worker_rescued(worker_id: int, rows: dict[str, int], *, by_journal: bool) -> None:
    """A dead process's rows were settled; ``rows``: how many ended in which state."""
    _event(
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
    _event(logging.ERROR, "worker_process_ended", pid=pid, code=code, restart_in=restart_in)


def worker_process_not_started(reason: str, *, again_in: float) -> None:
    """A process that this one keeps running could not be started; it is tried again."""
    _event(logging.ERROR, "worker_process_not_started", reason=reason, again_in=again_in)


def clock_jumped(seconds: float) -> None:
    """The machine's clock was set: forward, or (negative) back."""
    _event(logging.WARNING, "clock_jumped", seconds=round(seconds, 1))


def paused_by_engine(kind: str, row_id: int, reason: str) -> None:
    """A campaign or task was stopped until a person resumes it."""
    _event(logging.ERROR, "paused_by_engine", kind=kind, id=row_id, reason=reason)


def journal_failed(reason: str) -> None:
    """The outcome journal cannot be written (a full disk?): nothing more is sent until it can."""
    _event(logging.ERROR, "journal_failed", reason=reason)


def own_limit(reason: str) -> None:
    """This process may open no more files or connections: it sends less than it could (see ``ulimit -n``)."""
    _event(logging.ERROR, "own_limit", reason=reason)


def journal_repaired(worker_id: int) -> None:
    """A process found its journal or lock file deleted, replaced or cut off, and wrote it anew."""
    _event(logging.WARNING, "journal_repaired", worker=worker_id)


def database_away(reason: str, *, outcomes_held: int) -> None:
    """The database cannot be used; outcomes wait in memory and in the journal."""
    _event(logging.ERROR, "database_away", reason=reason, outcomes_held=outcomes_held)


def database_back(*, outcomes_held: int) -> None:
    """The database can be used again."""
    _event(logging.INFO, "database_back", outcomes_held=outcomes_held)


def service_unusable(service: str, service_id: int, reason: str) -> None:
    """A service cannot be opened by this worker (its credentials or settings); its rows wait."""
    _event(logging.ERROR, "service_unusable", service=service, service_id=service_id, reason=reason)


def metrics_served(host: str, port: int) -> None:
    """Metrics can be read at this address."""
    _event(logging.INFO, "metrics_served", host=host, port=port)


def metrics_unavailable(host: str, port: int, reason: str) -> None:
    """Metrics cannot be served at this address; sending goes on, and it is tried again."""
    _event(
        logging.WARNING,
        "metrics_unavailable",
        host=host,
        port=port,
        reason=reason,
        hint="another [metrics] port, or COLDSEND_METRICS_PORT for this process",
    )


def leading(worker_id: int, *, leads: bool) -> None:
    """This scheduler began or ceased to lead."""
    _event(logging.INFO, "leading", worker=worker_id, leads=leads)


def job_failed(job: str, reason: str) -> None:
    """A periodic job could not run; it is tried again at its next time."""
    _event(logging.ERROR, "job_failed", job=job, reason=reason)


def contacts_imported(file: str, imported: int, updated: int, unchanged: int, rejected: int) -> None:
    """A file of contacts was imported."""
    _event(
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
    _event(logging.INFO, "contact_removed", contact_id=contact_id, by=by)


def suppression_lifted(key: str, reason: str, campaign_id: int, by: str, *, detail: str | None) -> None:
    """A suppression was taken away: mail may reach this address again. The hash is that of ``a:ADDRESS``."""
    _event(
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
    _event(
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
    _event(logging.WARNING, "suppression_list_changed", list=name, added=added, removed=removed, by=by)


def contact_erased(contact_id: int | None, key_sha256: str, by: str, *, mentions: int) -> None:
    """A person was erased. The hash is that of the suppression that is left; mentions: places elsewhere."""
    _event(
        logging.WARNING,
        "contact_erased",
        contact_id=contact_id,
        key_sha256=key_sha256,
        mentions=mentions,
        by=by,
    )


def retention_applied(
    events: int, unmatched: int, messages: int, payloads: int, raw: int, late: int
) -> None:
    """What had been kept long enough was deleted; late: rows about people erased before, cleared."""
    _event(
        logging.INFO,
        "retention_applied",
        events=events,
        unmatched=unmatched,
        messages=messages,
        payloads=payloads,
        raw=raw,
        late=late,
    )


def unknown_decided(task: str, task_id: int, decision: str, rows: int, by: str) -> None:
    """A person decided what becomes of rows whose outcome nobody knows; the event log names each of them."""
    _event(
        logging.WARNING,
        "unknown_decided",
        task=task,
        task_id=task_id,
        decision=str(decision),
        rows=rows,
        by=by,
    )


def unknown_settled(rows: int) -> None:
    """What came back proves that messages were sent whose outcome nobody knew."""
    _event(logging.INFO, "unknown_settled", rows=rows)


def suppressed_by_feedback(reason: str, count: int) -> None:
    """Addresses get nothing any more: they bounced, complained or unsubscribed."""
    _event(logging.INFO, "suppressed_by_feedback", reason=reason, count=count)


def feedback_unmatched(count: int) -> None:
    """Something came back that is about no message of ours: ``coldsend feedback list``."""
    _event(logging.INFO, "feedback_unmatched", count=count)


def webhooks_taken(requests: int, events: int, matched: int) -> None:
    """Providers told of our mail; ``matched``: how many events are about a message we know."""
    _event(logging.DEBUG, "webhooks_taken", requests=requests, events=events, matched=matched)


def webhook_refused(provider: str, service_id: int, reason: str) -> None:
    """A request to a service's webhook URL is not proven to come from the provider: nothing was done."""
    _event(logging.WARNING, "webhook_refused", provider=provider, service_id=service_id, reason=reason)


def webhook_put_off(provider: str, service_id: int, reason: str) -> None:
    """A webhook could not be taken now; the provider was asked to repeat it."""
    _event(logging.WARNING, "webhook_put_off", provider=provider, service_id=service_id, reason=reason)


def webhook_unreadable(provider: str, service_id: int, reason: str) -> None:
    """A webhook was proven, but is no JSON; it is kept as it came."""
    _event(logging.ERROR, "webhook_unreadable", provider=provider, service_id=service_id, reason=reason)


def webhook_confirmed(provider: str, service_id: int) -> None:
    """The provider asked whether a service's webhook URL is ours, and was told so: events come now."""
    _event(logging.INFO, "webhook_confirmed", provider=provider, service_id=service_id)


def secret_key_rotated(current: str, resealed: int, dropped: Sequence[str]) -> None:
    """Everything sealed was sealed anew with the key ``current``; keys are named by their ids only."""
    _event(logging.INFO, "secret_key_rotated", key=current, resealed=resealed, dropped=",".join(dropped))


def dkim_key_changed(key: str, change: str, *, by: str) -> None:
    """An admin added, activated, retired or removed a DKIM key; ``key``: domain and selector."""
    _event(logging.INFO, "dkim_key_changed", key=key, change=change, by=by)


def web_started(host: str, port: int, processes: int) -> None:
    """The web part answers at this address."""
    _event(logging.INFO, "web_started", host=host, port=port, processes=processes)


def web_stopped(left: int) -> None:
    """The web part has ended; ``left``: files of its spool that wait for the next start."""
    _event(logging.INFO, "web_stopped", left=left)


def web_spool_failed(reason: str) -> None:
    """The spool of the web part cannot be written (a full disk?): opens and clicks are lost, unsubscribes
    refused."""
    _event(logging.ERROR, "web_spool_failed", reason=reason)


def web_spool_recovered(files: int) -> None:
    """Hits that a process which died had taken in are brought to the ledger."""
    _event(logging.WARNING, "web_spool_recovered", files=files)


def web_database_away(reason: str) -> None:
    """The database cannot be used: what the web part takes in waits in its spool."""
    _event(logging.ERROR, "web_database_away", reason=reason)


def web_database_back() -> None:
    """The database can be used again: the web part's spool is worked off."""
    _event(logging.INFO, "web_database_back")


def web_hits_refused(count: int) -> None:
    """Hits could not be read or applied; they are kept in the file ``refused`` of the spool."""
    _event(logging.ERROR, "web_hits_refused", count=count)


def unsubscribe_undone(row_id: int, *, lifted: bool) -> None:
    """A recipient took an unsubscribe back on its page; ``lifted``: no other one keeps mail from them."""
    _event(logging.INFO, "unsubscribe_undone", row_id=row_id, lifted=lifted)


def mailbox_read(
    mailbox: str, mailbox_id: int, messages: int, kinds: Mapping[str, int], *, repeated: int
) -> None:
    """What was new in a mailbox was read; ``kinds``: how many were about mail of ours, of each kind."""
    told = ",".join(f"{kind}:{count}" for kind, count in sorted(kinds.items()))
    _event(
        logging.INFO,
        "mailbox_read",
        mailbox=mailbox,
        mailbox_id=mailbox_id,
        messages=messages,
        kinds=told,
        repeated=repeated,
    )


def mailbox_failed(mailbox: str, mailbox_id: int, trouble: str, reason: str, *, errors: int) -> None:
    """A mailbox could not be read; it is tried again later, after ``errors`` errors in a row ever later."""
    _event(
        logging.WARNING,
        "mailbox_failed",
        mailbox=mailbox,
        mailbox_id=mailbox_id,
        trouble=str(trouble),
        reason=reason,
        errors=errors,
    )


def mailbox_recovered(mailbox: str, mailbox_id: int) -> None:
    """A mailbox that had failed was read again."""
    _event(logging.INFO, "mailbox_recovered", mailbox=mailbox, mailbox_id=mailbox_id)


def mailbox_begun_anew(mailbox: str, mailbox_id: int) -> None:
    """The server has made a folder anew or numbered it anew: it is read again, what is known is passed
    over."""
    _event(logging.WARNING, "mailbox_begun_anew", mailbox=mailbox, mailbox_id=mailbox_id)


def inbox_message_unreadable(mailbox: str, uid: int, reason: str) -> None:
    """A message cannot be fetched or understood; it was kept as it is, and reading goes on."""
    _event(logging.ERROR, "inbox_message_unreadable", mailbox=mailbox, uid=uid, reason=reason)
