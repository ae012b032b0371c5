"""Single contacts: add, change, tag, remove, look at, export."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.audience import contacts as audience
from coldsend.audience import exporting, merging
from coldsend.audience.contacts import Changes
from coldsend.audience.importing import Request, import_contacts
from coldsend.database import migrate
from coldsend.database.engine import Database
from coldsend.database.tables import contact_tags
from coldsend.database.tables import contacts as table
from coldsend.domain.address import parse
from coldsend.domain.contact import ContactData, checked_tags, checked_value
from coldsend.errors import InvalidInput, NotFound, Refused
from coldsend.stores import contacts

NOW = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def add(database: Database, email: str, *tags: str, **more: object) -> int:
    data = ContactData(parse(email), tags=tags, **more)  # type: ignore[arg-type]
    return int(audience.add(database, data, NOW)["id"])


def tags_of(database: Database, contact_id: int) -> list[str]:
    """Its tags, the same in both places."""
    with database.read() as connection:
        row = contacts.find(connection, str(contact_id))
        rows = connection.execute(
            sa.select(contact_tags.c.tag).where(contact_tags.c.contact_id == contact_id)
        )
        assert {tag for (tag,) in rows} == set(row["tags"] or ())
    return list(row["tags"] or ())


def test_a_contact_is_found_by_id_and_by_every_form_of_its_address(database: Database) -> None:
    contact_id = add(database, "Bob@BÜCHER.example", "vip", "josé", "jose", "VIP")
    with database.read() as connection:
        for given in (str(contact_id), "bob@bücher.example", " BOB@xn--bcher-kva.EXAMPLE"):
            assert contacts.find(connection, given)["email"] == "Bob@bücher.example"
        with pytest.raises(NotFound, match=r"ann@acme\.com"):
            contacts.find(connection, "ann@acme.com")
        with pytest.raises(NotFound, match="999"):
            contacts.find(connection, "999")
    assert tags_of(database, contact_id) == ["vip", "josé", "jose", "VIP"]


def test_an_address_is_added_once(database: Database) -> None:
    add(database, "bob@acme.com")
    with pytest.raises(Refused, match="exists already"):
        add(database, "BOB@acme.com")


def test_a_removed_contact_is_gone_and_comes_back_as_the_same_row(database: Database) -> None:
    contact_id = add(database, "bob@acme.com", "vip", nickname="Bob")
    assert audience.remove(database, ["BOB@acme.com"], NOW, by="anna") == ["bob@acme.com"]
    with database.read() as connection:
        with pytest.raises(NotFound):
            contacts.find(connection, str(contact_id))
        assert contacts.listed(connection, tag=None, search=None, after=0, limit=9) == []
        assert contacts.listed(connection, tag="vip", search=None, after=0, limit=9) == []
    again = audience.add(database, ContactData(parse("Bob@acme.com"), tags=("new",)), LATER)
    assert (again["id"], again["nickname"], again["revived"]) == (contact_id, "Bob", True)
    assert tags_of(database, contact_id) == ["vip", "new"]


def test_an_update_changes_what_is_given_and_takes_away_what_is_empty(database: Database) -> None:
    add(
        database,
        "bob@acme.com",
        "vip",
        nickname="Bob",
        source="fair",
        fields={"company": "Acme", "size": "9"},
    )
    changes = Changes({"nickname": "", "time_zone": "UTC"}, {"company": "", "country": "DE"})
    contact, changed = audience.update(database, "bob@acme.com", changes, LATER)
    assert changed
    assert contact["nickname"] is None
    assert contact["time_zone"] == "UTC"
    assert contact["source"] == "fair"
    assert contact["fields"] == {"size": "9", "country": "DE"}
    assert contact["tags"] == ["vip"]
    assert (contact["created_at"], contact["updated_at"]) == (NOW, LATER)
    again, changed = audience.update(database, "bob@acme.com", changes, LATER + timedelta(hours=1))
    assert not changed
    assert again["updated_at"] == LATER


def test_tags_are_added_and_taken_away_in_both_places(database: Database) -> None:
    bob, ann = add(database, "bob@acme.com", "vip"), add(database, "ann@acme.com")
    both = ["bob@acme.com", "ann@acme.com"]
    assert audience.tag(database, both, add=["vip", "de"], remove=[], now=LATER) == both
    assert (tags_of(database, bob), tags_of(database, ann)) == (["vip", "de"], ["vip", "de"])
    assert audience.tag(database, both, add=["de"], remove=[], now=LATER) == []
    assert audience.tag(database, [str(bob)], add=[], remove=["vip", "none"], now=LATER) == ["bob@acme.com"]
    assert (tags_of(database, bob), tags_of(database, ann)) == (["de"], ["vip", "de"])


def test_tagging_is_all_or_nothing(database: Database) -> None:
    bob = add(database, "bob@acme.com")
    with pytest.raises(NotFound, match=r"nobody@acme\.com"):
        audience.tag(database, ["bob@acme.com", "nobody@acme.com"], add=["x"], remove=[], now=LATER)
    with pytest.raises(NotFound):
        audience.remove(database, ["bob@acme.com", "nobody@acme.com"], LATER, by="anna")
    assert tags_of(database, bob) == []


def test_lists_are_filtered_and_paged(database: Database) -> None:
    ids = [add(database, f"u{number}@x.com", *(["even"] if number % 2 == 0 else [])) for number in range(6)]
    add(database, "JOSÉ@100%.com".replace("%", "x"), nickname="Señor 50%")
    with database.read() as connection:

        def found(**options: object) -> list[str]:
            defaults: dict[str, object] = {"tag": None, "search": None, "after": 0, "limit": 100}
            return [row["email"] for row in contacts.listed(connection, **{**defaults, **options})]  # type: ignore[arg-type]

        assert found(tag="even") == ["u0@x.com", "u2@x.com", "u4@x.com"]
        assert found(tag="even", after=ids[0], limit=1) == ["u2@x.com"]
        assert found(search="U3@") == ["u3@x.com"]
        assert found(search="josé") == ["JOSÉ@100x.com"]
        assert found(search="señor") == ["JOSÉ@100x.com"]
        assert found(search="50%") == ["JOSÉ@100x.com"]
        assert found(search="u_@") == []


def test_merging_the_same_contacts_in_two_orders_does_not_deadlock_for_good(database: Database) -> None:
    people = [ContactData(parse(f"u{number}@x.com"), tags=("t",)) for number in range(50)]
    for order in (people, people[::-1]):
        merging.committed(database, lambda connection, order=order: merging.merge(connection, order, NOW))
    with database.read() as connection:
        assert len(contacts.by_keys(connection, [data.address.key for data in people])) == 50


def test_an_export_is_read_back_unchanged(database: Database, tmp_path: Path) -> None:
    add(
        database,
        "Bob@BÜCHER.example",
        "vip",
        'a "quoted" tag',
        nickname='=cmd|"x"',
        fields={"company": "A, B; C"},
    )
    add(database, "josé@example.com", source="fair", lawful_basis="consent", time_zone="Europe/Berlin")
    add(database, "ann@x.com", fields={"mail": "other@x.com", "nick": "n", "公司": "极光"})
    before = _exported(database, tmp_path / "one.csv")
    with database.begin() as connection:
        connection.execute(sa.delete(contact_tags))
        connection.execute(sa.delete(table))
    result = import_contacts(database, Request(str(tmp_path / "one.csv")), NOW)
    assert (result.imported, result.rejected) == (3, 0)
    assert _exported(database, tmp_path / "two.csv") == before
    assert import_contacts(database, Request(str(tmp_path / "one.csv")), NOW).unchanged == 3


def test_an_export_can_be_limited_to_a_tag(database: Database) -> None:
    add(database, "bob@acme.com", "vip", fields={"company": "Acme"})
    add(database, "ann@acme.com", fields={"country": "DE"})
    out = io.StringIO()
    with database.read() as connection:
        assert exporting.export_contacts(connection, "vip", out) == 1
    assert list(csv.reader(out.getvalue().splitlines())) == [
        ["email", "nickname", "tags", "time_zone", "source", "lawful_basis", "company"],
        ["bob@acme.com", "", "vip", "", "", "", "Acme"],
    ]


def _exported(database: Database, file: Path) -> str:
    with database.read() as connection, exporting.replaced(file) as out:
        exporting.export_contacts(connection, None, out)
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Database:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('scratch')}/c.db")
    migrate.upgrade(database)
    return database


@pytest.mark.costly
@given(
    nickname=st.text(max_size=20),
    tags=st.lists(st.text(max_size=10), max_size=3),
    value=st.text(max_size=20),
)
@settings(max_examples=120, deadline=None)
def test_whatever_may_be_stored_survives_export_and_import(
    scratch: Database, tmp_path_factory: pytest.TempPathFactory, nickname: str, tags: list[str], value: str
) -> None:
    try:
        stored = ContactData(
            parse("bob@acme.com"),
            nickname=checked_value(nickname, "nickname"),
            tags=checked_tags(tags),
            fields={"company": text} if (text := checked_value(value, "company")) else {},
        )
    except InvalidInput:
        return
    file = tmp_path_factory.getbasetemp() / "export.csv"
    with scratch.begin() as connection:
        connection.execute(sa.delete(contact_tags))
        connection.execute(sa.delete(table))
        merging.merge(connection, [stored], NOW)
    _exported(scratch, file)
    result = import_contacts(scratch, Request(str(file)), LATER)
    assert (result.unchanged, result.rejected) == (1, 0)
