"""Events of what comes back: web, webhooks, mailboxes."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from coldsend.logbook.line import event


def suppressed_by_feedback(reason: str, count: int) -> None:
    """Addresses get nothing any more: they bounced, complained or unsubscribed."""
    event(logging.INFO, "suppressed_by_feedback", reason=reason, count=count)


def sequences_stopped(reason: str, count: int) -> None:
    """Waiting recipients are skipped: they, or somebody of their domain, replied, or a message bounced."""
    event(logging.INFO, "sequences_stopped", reason=reason, count=count)


def feedback_unmatched(count: int) -> None:
    """Something came back that is about no message of ours: ``coldsend feedback list``."""
    event(logging.INFO, "feedback_unmatched", count=count)


def webhooks_taken(requests: int, events: int, matched: int) -> None:
    """Providers told of our mail; ``matched``: how many events are about a message we know."""
    event(logging.DEBUG, "webhooks_taken", requests=requests, events=events, matched=matched)


def webhook_refused(provider: str, service_id: int, reason: str) -> None:
    """A request to a service's webhook URL is not proven to come from the provider: nothing was done."""
    event(logging.WARNING, "webhook_refused", provider=provider, service_id=service_id, reason=reason)


def webhook_put_off(provider: str, service_id: int, reason: str) -> None:
    """A webhook could not be taken now; the provider was asked to repeat it."""
    event(logging.WARNING, "webhook_put_off", provider=provider, service_id=service_id, reason=reason)


def webhook_unreadable(provider: str, service_id: int, reason: str) -> None:
    """A webhook was proven, but is no JSON; it is kept as it came."""
    event(logging.ERROR, "webhook_unreadable", provider=provider, service_id=service_id, reason=reason)


def webhook_confirmed(provider: str, service_id: int) -> None:
    """The provider asked whether a service's webhook URL is ours, and was told so: events come now."""
    event(logging.INFO, "webhook_confirmed", provider=provider, service_id=service_id)


def web_started(host: str, port: int, processes: int) -> None:
    """The web part answers at this address."""
    event(logging.INFO, "web_started", host=host, port=port, processes=processes)


def web_stopped(left: int) -> None:
    """The web part has ended; ``left``: files of its spool that wait for the next start."""
    event(logging.INFO, "web_stopped", left=left)


def web_spool_failed(reason: str) -> None:
    """The spool of the web part cannot be written (a full disk?): opens and clicks are lost, unsubscribes
    refused."""
    event(logging.ERROR, "web_spool_failed", reason=reason)


def web_spool_recovered(files: int) -> None:
    """Hits that a process which died had taken in are brought to the ledger."""
    event(logging.WARNING, "web_spool_recovered", files=files)


def web_database_away(reason: str) -> None:
    """The database cannot be used: what the web part takes in waits in its spool."""
    event(logging.ERROR, "web_database_away", reason=reason)


def web_database_back() -> None:
    """The database can be used again: the web part's spool is worked off."""
    event(logging.INFO, "web_database_back")


def web_hits_refused(count: int) -> None:
    """Hits could not be read or applied; they are kept in the file ``refused`` of the spool."""
    event(logging.ERROR, "web_hits_refused", count=count)


def unsubscribe_undone(row_id: int, *, lifted: bool) -> None:
    """A recipient took an unsubscribe back on its page; ``lifted``: no other one keeps mail from them."""
    event(logging.INFO, "unsubscribe_undone", row_id=row_id, lifted=lifted)


def mailbox_read(
    mailbox: str, mailbox_id: int, messages: int, kinds: Mapping[str, int], *, repeated: int
) -> None:
    """What was new in a mailbox was read; ``kinds``: how many were about mail of ours, of each kind."""
    told = ",".join(f"{kind}:{count}" for kind, count in sorted(kinds.items()))
    event(
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
    event(
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
    event(logging.INFO, "mailbox_recovered", mailbox=mailbox, mailbox_id=mailbox_id)


def mailbox_begun_anew(mailbox: str, mailbox_id: int) -> None:
    """The server has made a folder anew or numbered it anew: it is read again, what is known is passed
    over."""
    event(logging.WARNING, "mailbox_begun_anew", mailbox=mailbox, mailbox_id=mailbox_id)


def inbox_message_unreadable(mailbox: str, uid: int, reason: str) -> None:
    """A message cannot be fetched or understood; it was kept as it is, and reading goes on."""
    event(logging.ERROR, "inbox_message_unreadable", mailbox=mailbox, uid=uid, reason=reason)
