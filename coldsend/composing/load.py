"""Read what composing works from out of the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection, RowMapping

from coldsend.composing.dkim import Identity, Signer
from coldsend.composing.source import TemplateSource, Variable
from coldsend.config.secrets import KeyRing
from coldsend.database.tables import contacts
from coldsend.domain.dkim import DkimKey, keys_for
from coldsend.domain.message import Recipient
from coldsend.domain.service import Service
from coldsend.domain.states import VariableSource
from coldsend.stores import dkim_keys, templates, variables


def load_template(connection: Connection, template_id: int) -> TemplateSource:
    """The template with this id; NotFound where there is none."""
    return template_of(templates.find(connection, template_id))


def template_of(row: RowMapping) -> TemplateSource:
    """The template of a row of ``templates``."""
    return TemplateSource(row["id"], row["name"], row["subject"], row["body"], row["text_body"])


def load_variables(connection: Connection) -> list[Variable]:
    """All variables defined."""
    return [
        Variable(row["variable_key"], VariableSource(row["source_type"]), row["source_details"] or {})
        for row in variables.listed(connection)
    ]


def load_signer(connection: Connection, service: Service, keys: KeyRing, expire_days: float) -> Signer | None:
    """What signs the messages of a service; None where coldsend does not. Errors as :func:`open_signer`."""
    return open_signer(keys_for(service, dkim_keys.active(connection)), keys, expire_days)


def open_signer(found: Sequence[DkimKey], keys: KeyRing, expire_days: float) -> Signer | None:
    """A signer with these keys, None for none; Refused where one cannot be decrypted, InvalidInput: read.

    ``expire_days``: signatures are good for so long; 0: for ever.
    """
    identities = [Identity(key.domain, key.selector, dkim_keys.private_pem(key, keys)) for key in found]
    lifetime = timedelta(days=expire_days) if expire_days else None
    return Signer(identities, lifetime) if identities else None


def recipient_of(contact: Mapping[str, Any]) -> Recipient:
    """A contact's row as a recipient outside any send list: for previews."""
    return Recipient(
        row_id=0,
        task_id=0,
        contact_id=contact["id"],
        email=contact["email"],
        nickname=contact["nickname"],
        tags=tuple(contact["tags"] or ()),
        fields=contact["fields"] or {},
        time_zone=contact["time_zone"],
    )


FIELD_SAMPLE = 2000


def sampled_fields(connection: Connection) -> set[str] | None:
    """Names of the custom fields of the contacts added last; None where there are no contacts yet."""
    statement = (
        select(contacts.c.fields)
        .where(contacts.c.deleted_at.is_(None))
        .order_by(contacts.c.id.desc())
        .limit(FIELD_SAMPLE)
    )
    rows = connection.execute(statement).scalars().all()
    return set().union(*(fields or {} for fields in rows)) if rows else None
