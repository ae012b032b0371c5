"""The oracle: what SMTP servers took, in their own record, against what the ledger says.

Recipients are told apart by their addresses, which a scenario gives to one contact each. A violation is a
sentence; :func:`violations` finds them all, :func:`assert_intact` fails with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from coldsend.database.tables import contacts, event_log, sender_quota, sender_services, task_contacts
from coldsend.domain.states import EventType, RowStatus
from tests.acceptance.scenario import TASK, Scenario
from tests.servers.smtp import Received, RecordingServer

_SHOWN = 5  # addresses a sentence names
_ASKED = 3  # waiting rows that `why` is asked about
_TAKEN = {RowStatus.SENT, RowStatus.UNKNOWN}


def violations(
    scenario: Scenario,
    servers: Sequence[RecordingServer],
    *,
    recipients: int,
    unknown: int = 0,
    waiting: bool = False,
    quota: int | None = None,
) -> list[str]:
    """Everything that is wrong once the senders have ended or have nothing left to do.

    recipients: rows the send list must have. unknown: the most that may be in doubt. waiting: rows may be
    pending, each with a gate that `why` can name; without it every row must have ended. quota: the most that
    any service may have sent.
    """
    messages = [message for server in servers for message in server.messages()]
    ledger = _ledger(scenario)
    found = _twice(messages)
    if len(ledger) != recipients:
        found.append(f"the send list has {len(ledger)} rows instead of {recipients}")
    found += _against_record(messages, ledger)
    found += _states(scenario, ledger, waiting=waiting)
    in_doubt = sum(row.status == RowStatus.UNKNOWN for row in ledger.values())
    if in_doubt > unknown:
        found.append(f"{in_doubt} unknown rows, at most {unknown} are allowed")
    found += _events(scenario)
    found += _quotas(scenario, messages, quota)
    return found


def assert_intact(
    scenario: Scenario,
    *servers: RecordingServer,
    recipients: int,
    unknown: int = 0,
    waiting: bool = False,
    quota: int | None = None,
) -> None:
    """Fail with every violation and the end of the log; see :func:`violations`."""
    found = violations(
        scenario, servers, recipients=recipients, unknown=unknown, waiting=waiting, quota=quota
    )
    log = scenario.logs.read_text()[-3000:] if scenario.logs.exists() else ""
    assert not found, "\n".join([*found, "", log])


def _ledger(scenario: Scenario) -> dict[str, sa.Row[Any]]:
    """Address -> row of the send list."""
    rows = task_contacts.c
    statement = sa.select(
        contacts.c.email_key, rows.id, rows.status, rows.reason, rows.error_message
    ).select_from(task_contacts.join(contacts, contacts.c.id == rows.contact_id))
    with scenario.project.database.read() as connection:
        return {row.email_key: row for row in connection.execute(statement)}


def _twice(messages: Sequence[Received]) -> list[str]:
    found = []
    for what, values in (
        ("recipients got it twice", [message.rcpt_to[0] for message in messages]),
        ("Message-IDs were used twice", [message.message_id for message in messages]),
    ):
        repeated = [value for value, count in Counter(values).items() if count > 1]
        if repeated:
            found.append(_sentence(what, repeated))
    return found


def _against_record(messages: Sequence[Received], ledger: dict[str, sa.Row[Any]]) -> list[str]:
    taken = {message.rcpt_to[0] for message in messages}
    lost = [
        address for address, row in ledger.items() if row.status == RowStatus.SENT and address not in taken
    ]
    hidden = [address for address in taken if address not in ledger or ledger[address].status not in _TAKEN]
    found = [_sentence("rows are sent, and no server has them", lost)] if lost else []
    if hidden:
        named = [
            f"{address} ({ledger[address].status if address in ledger else 'no row'})" for address in hidden
        ]
        found.append(_sentence("messages were taken, and the ledger does not say so", named))
    return found


def _states(scenario: Scenario, ledger: dict[str, sa.Row[Any]], *, waiting: bool) -> list[str]:
    by_status: dict[str, list[str]] = {}
    for address, row in ledger.items():
        by_status.setdefault(row.status, []).append(address)
    found = []
    if RowStatus.SENDING in by_status:
        found.append(_sentence("rows are still sending", by_status[RowStatus.SENDING]))
    pending = by_status.get(RowStatus.PENDING, [])
    if pending and not waiting:
        found.append(_sentence("rows are still pending", pending))
    elif pending:
        asked = {address: scenario.project.json("why", TASK, address) for address in pending[:_ASKED]}
        silent = [address for address, why in asked.items() if not why["blocked_by"]]
        if silent:
            found.append(_sentence("rows wait, and `why` cannot say for what", silent))
    for status in (RowStatus.UNKNOWN, RowStatus.FAILED_TO_SEND, RowStatus.SKIPPED):
        bare = [a for a in by_status.get(status, []) if not (ledger[a].reason or ledger[a].error_message)]
        if bare:
            found.append(_sentence(f"rows are {status} without a reason", bare))
    return found


def _events(scenario: Scenario) -> list[str]:
    """One success in the event log for each sent row, none for others."""
    counts = (
        sa.select(event_log.c.task_id, event_log.c.contact_id, sa.func.count().label("n"))
        .where(event_log.c.type == EventType.SEND_API_SUCCESS.value)
        .group_by(event_log.c.task_id, event_log.c.contact_id)
        .subquery()
    )
    rows = task_contacts.c
    joined = task_contacts.outerjoin(
        counts, sa.and_(counts.c.task_id == rows.task_id, counts.c.contact_id == rows.contact_id)
    )
    expected = sa.case((rows.status == RowStatus.SENT.value, 1), else_=0)
    differ = sa.func.coalesce(counts.c.n, 0) != expected
    wrong = sa.select(rows.id).select_from(joined).where(differ).order_by(rows.id)
    with scenario.project.database.read() as connection:
        ids = [str(row) for row in connection.execute(wrong).scalars()]
    return [_sentence("rows and their send_api_success events differ", ids)] if ids else []


def _quotas(scenario: Scenario, messages: Sequence[Received], quota: int | None) -> list[str]:
    """Each message was paid for, and no service was given more than its quota."""
    used = (
        sa.select(sender_services.c.name, sa.func.sum(sender_quota.c.used))
        .select_from(
            sender_services.join(sender_quota, sender_quota.c.sender_service_id == sender_services.c.id)
        )
        .group_by(sender_services.c.name)
    )
    with scenario.project.database.read() as connection:
        paid = {name: int(total) for name, total in connection.execute(used)}
    # Scenario.service names the sender after the service.
    sent = Counter(message.mail_from.partition("@")[0] for message in messages)
    found = [
        f"{name} sent {count} messages and reserved {paid.get(name, 0)}"
        for name, count in sent.items()
        if count > paid.get(name, 0)
    ]
    if quota is not None:
        most = {name: count for name, count in sent.items() if count > quota}
        found += [f"{name} sent {count}, its quota is {quota}" for name, count in most.items()]
    return found


def _sentence(what: str, names: Sequence[str]) -> str:
    more = ", .." if len(names) > _SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{more}"
