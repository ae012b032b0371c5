"""``template test``: a template's message as a contact would get it, sent to oneself.

It goes through the channel of a real service, signed and with every header, and counts in its quota. It is no
row of any send list: its links lead where they should, and nothing is recorded of who follows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from shlex import quote
from typing import Any

from coldsend.composing.compose import composer
from coldsend.composing.load import load_variables, recipient_of
from coldsend.composing.source import Site, TemplateSource
from coldsend.config.secrets import KeyRing
from coldsend.config.settings import Settings
from coldsend.database.engine import Connection, Database
from coldsend.delivery.trial import Permit, Trial, run_trial
from coldsend.domain import address
from coldsend.domain.access import Actor
from coldsend.domain.message import Message
from coldsend.domain.service import Service
from coldsend.domain.states import HealthStatus
from coldsend.errors import NotFound, Refused, WrongState
from coldsend.stores import contacts, sample_mails

MOST_AN_HOUR = 30  # for each user: it is for looking, not for sending


@dataclass(frozen=True, slots=True)
class Sample:
    """contact: whose data the message shows."""

    template: TemplateSource
    contact: Mapping[str, Any]
    service: Service
    site: Site
    to: str


def contact_for(connection: Connection, given: str | None, to: str | None = None) -> Mapping[str, Any]:
    """The contact named, else the one with the address ``to``, else the first there is.

    NotFound where there is none at all, or none of the name given.
    """
    if given is not None:
        return contacts.find(connection, given)
    if to is not None:
        with suppress(NotFound):
            return contacts.find(connection, to)
    some = contacts.listed(connection, tag=None, search=None, after=0, limit=1)
    if not some:
        raise NotFound(
            "there are no contacts yet, whose data the message could show",
            hint="add yourself: coldsend contact add EMAIL --nickname NAME",
        )
    return some[0]


def send(
    database: Database,
    keys: KeyRing,
    settings: Settings,
    actor: Actor,
    mail: Sample,
    clock_now: Callable[[], datetime],
) -> Trial:
    """Send it. CannotCompose where it cannot be made, Refused for too many in an hour, WrongState where the
    service is frozen; else as :func:`coldsend.delivery.trial.run_trial`."""
    if mail.service.health_status == HealthStatus.FROZEN:
        raise WrongState(
            f"service {mail.service.name!r} is frozen: {mail.service.frozen_reason or 'it sends nothing'}",
            hint=f"test the service itself: coldsend service test {quote(mail.service.name)} --to ADDRESS",
        )
    with database.read() as connection:
        variables = load_variables(connection)
    now = clock_now()
    if not database.run(lambda connection: sample_mails.take(connection, actor.id, now, MOST_AN_HOUR)):
        raise Refused(
            f"{actor.username!r} has sent {MOST_AN_HOUR} test messages within an hour",
            hint="look at more of them without sending: coldsend template preview, coldsend campaign dry-run",
        )

    def make(permit: Permit, recipient: address.Address, started: datetime) -> Message:
        made = composer(mail.template, variables, permit.service, mail.site, permit.signer)
        person = replace(recipient_of(mail.contact), email=recipient.email)
        return made.compose(person, started)

    return run_trial(database, keys, settings, str(mail.service.id), mail.to, clock_now, make)
