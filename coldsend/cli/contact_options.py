"""The options that the verbs of ``coldsend contact`` share, and what they mean."""

from __future__ import annotations

from typing import Annotated

import typer

from coldsend.domain.contact import COLUMNS, checked_column, checked_field_name, checked_value
from coldsend.errors import UsageError

Contact = Annotated[str, typer.Argument(metavar="EMAIL", help="Address or id of the contact.")]
Contacts = Annotated[list[str], typer.Argument(metavar="EMAIL..", help="Addresses or ids of contacts.")]
Nickname = Annotated[str | None, typer.Option(help="What to call them.")]
TimeZone = Annotated[str | None, typer.Option(metavar="ZONE", help="IANA name, such as Europe/Berlin.")]
Source = Annotated[str | None, typer.Option(help="Where the address comes from.")]
LawfulBasis = Annotated[str | None, typer.Option(help="consent, legitimate_interest, contract ..")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag; may be repeated.")]
OneTag = Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Only contacts with this tag.")]
Fields = Annotated[
    list[str] | None,
    typer.Option("--field", metavar="NAME=VALUE", help="A custom field; may be repeated."),
]


def columns(
    nickname: str | None, time_zone: str | None, source: str | None, lawful_basis: str | None
) -> dict[str, str]:
    """The built-in columns that were given, checked; "" where one is to be taken away."""
    given = dict(zip(COLUMNS, (nickname, time_zone, source, lawful_basis), strict=True))
    return {column: checked_column(column, text) for column, text in given.items() if text is not None}


def fields_of(given: list[str] | None) -> dict[str, str]:
    """Custom fields from NAME=VALUE..; UsageError or InvalidInput where one is none."""
    fields = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--field {text!r} has no value", hint="for example: --field company=Acme")
        fields[checked_field_name(name)] = checked_value(value, name)
    return fields


def mapping_of(given: list[str] | None) -> dict[str, str]:
    """What columns mean, from COLUMN=FIELD..; "" leaves one out."""
    mapping = {}
    for text in given or ():
        column, equals, name = text.rpartition("=")
        if not equals:
            raise UsageError(f"--map {text!r} names no field", hint="for example: --map 'Firma=company'")
        mapping[column] = name.strip()
    return mapping


def number(count: int, noun: str) -> str:
    """``1 contact``, ``2 contacts``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
