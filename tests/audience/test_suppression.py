"""Suppressions: keys, strength of reasons, look-ups, lifting, import and export."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.audience import contacts as audience
from coldsend.audience import suppressing, suppression_import
from coldsend.database.engine import Database
from coldsend.database.tables import campaigns, contacts
from coldsend.domain import suppression
from coldsend.domain.access import Actor
from coldsend.domain.address import parse
from coldsend.domain.contact import ContactData
from coldsend.domain.states import Role, SuppressionReason, SuppressionScope
from coldsend.domain.suppression import Suppression, keys_for, read
from coldsend.errors import InvalidInput, NotAllowed, NotFound, Refused
from coldsend.stores import suppressions, users
from coldsend.stores.suppressions import Added

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
PEPPER = b"p" * 32
MANUAL, UNSUBSCRIBE, COMPLAINT = (
    SuppressionReason.MANUAL,
    SuppressionReason.UNSUBSCRIBE,
    SuppressionReason.COMPLAINT,
)


@pytest.fixture
def admin(database: Database) -> Actor:
    with database.begin() as connection:
        return Actor(users.add(connection, "boss", Role.ADMIN, NOW), "boss", Role.ADMIN)


@pytest.fixture
def anna(database: Database, admin: Actor) -> Actor:
    with database.begin() as connection:
        return Actor(users.add(connection, "anna", Role.OPERATOR, NOW), "anna", Role.OPERATOR)


def add(database: Database, *entries: Suppression) -> Added:
    with database.begin() as connection:
        return suppressions.add(connection, entries, NOW)


def suppressed(database: Database, email: str, campaign_id: int = 0) -> set[str]:
    """Reasons for which an address gets nothing, as the intent asks."""
    address = parse(email)
    with database.read() as connection:
        keys = keys_for(address.key, address.domain, PEPPER)
        return set(map(str, suppressions.matching(connection, keys, campaign_id).values()))


def load(database: Database, file: Path, actor: Actor, **options: Any) -> suppression_import.Result:
    request = suppression_import.Request(str(file), **options)
    return suppression_import.import_file(database, request, NOW, actor)


def campaign(database: Database, name: str, owner: Actor) -> int:
    with database.begin() as connection:
        result = connection.execute(sa.insert(campaigns).values(name=name, created_by=owner.id))
        return int(result.inserted_primary_key[0])  # type: ignore[index]


def test_every_key_of_an_address_is_looked_up() -> None:
    hashed = suppression.hashed_key("bob@mail.eu.acme.co.uk", PEPPER)
    assert keys_for("bob@mail.eu.acme.co.uk", "mail.eu.acme.co.uk", PEPPER) == [
        "a:bob@mail.eu.acme.co.uk",
        "d:mail.eu.acme.co.uk",
        "d:eu.acme.co.uk",
        "d:acme.co.uk",
        "d:co.uk",
        hashed,
    ]
    assert keys_for("root@localhost", "localhost", None) == ["a:root@localhost", "d:localhost"]
    assert suppression.hashed_key("bob@mail.eu.acme.co.uk", b"q" * 32) != hashed


@pytest.mark.parametrize(
    ("text", "key", "scope", "value"),
    [
        ("Bob@BÜCHER.example", "a:bob@xn--bcher-kva.example", SuppressionScope.ADDRESS, "Bob@bücher.example"),
        ("@Acme.COM", "d:acme.com", SuppressionScope.DOMAIN, "acme.com"),
        (" bücher.example ", "d:xn--bcher-kva.example", SuppressionScope.DOMAIN, "xn--bcher-kva.example"),
        ("h:" + "0a" * 32, "h:" + "0a" * 32, SuppressionScope.HASHED, None),
    ],
)
def test_addresses_domains_and_hashes_are_read(
    text: str, key: str, scope: SuppressionScope, value: str | None
) -> None:
    assert read(text, MANUAL) == Suppression(key, scope, value, MANUAL)


@pytest.mark.parametrize("text", ["", "com", "bob@", "a b@c.com", "h:12", "bob@acme.com\r\nx"])
def test_what_is_none_of_them_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read(text, MANUAL)


def test_suppressions_hold_for_all_forms_of_an_address_and_below_a_domain(database: Database) -> None:
    add(database, read("josé@BÜCHER.example", MANUAL), read("@acme.com", MANUAL))
    add(
        database,
        Suppression(
            suppression.hashed_key("gone@x.com", PEPPER),
            SuppressionScope.HASHED,
            None,
            SuppressionReason.ERASED,
        ),
    )
    for email in ("JOSÉ@xn--bcher-kva.example", "x@acme.com", "x@mail.eu.ACME.com", "Gone@X.com"):
        assert suppressed(database, email), email
    for email in ("jose@bücher.example", "x@notacme.com", "x@acme.com.evil.net", "here@x.com"):
        assert not suppressed(database, email), email


def test_adding_twice_changes_nothing_and_only_stronger_reasons_replace(database: Database) -> None:
    assert add(database, read("bob@x.com", MANUAL, source="cli")) == Added(1, 0, 0)
    assert add(database, read("BOB@x.com", MANUAL, source="other")) == Added(0, 0, 1)
    assert add(database, read("bob@x.com", UNSUBSCRIBE, source="page")) == Added(0, 1, 0)
    assert add(database, read("bob@x.com", SuppressionReason.IMPORT)) == Added(0, 0, 1)
    assert suppressed(database, "bob@x.com") == {"unsubscribe"}
    with database.read() as connection:
        (entry,) = suppressions.entries(connection, ["a:bob@x.com"])
    assert entry["source"] == "page"


def test_of_several_reasons_in_one_batch_the_strongest_is_kept(database: Database) -> None:
    batch = [read("bob@x.com", reason) for reason in (MANUAL, COMPLAINT, UNSUBSCRIBE)]
    assert add(database, *batch) == Added(1, 0, 0)
    assert suppressed(database, "bob@x.com") == {"complaint"}
    assert add(database) == Added(0, 0, 0)


def test_a_suppression_for_one_campaign_holds_only_there(database: Database, admin: Actor) -> None:
    spring, autumn = campaign(database, "spring", admin), campaign(database, "autumn", admin)
    suppressing.add(database, ["bob@x.com"], UNSUBSCRIBE, NOW, admin, campaign="spring")
    assert suppressed(database, "bob@x.com", spring)
    assert not suppressed(database, "bob@x.com", autumn)
    suppressing.add(database, ["bob@x.com"], MANUAL, NOW, admin)
    assert suppressed(database, "bob@x.com", autumn)


def test_suppressions_survive_removal_and_return_of_a_contact(database: Database) -> None:
    audience.add(database, ContactData(parse("bob@x.com")), NOW)
    add(database, read("bob@x.com", UNSUBSCRIBE))
    audience.remove(database, ["bob@x.com"], NOW, by="anna")
    audience.add(database, ContactData(parse("BOB@X.com")), NOW)
    assert suppressed(database, "bob@x.com") == {"unsubscribe"}
    with database.read() as connection:
        shown = audience.details(connection, "bob@x.com", PEPPER)
    assert [(entry["reason"], entry["value"]) for entry in shown["suppressed"]] == [
        ("unsubscribe", "bob@x.com")
    ]


def test_the_condition_for_expansion_knows_addresses_exact_domains_and_campaigns(
    database: Database, admin: Actor
) -> None:
    spring, autumn = campaign(database, "spring", admin), campaign(database, "autumn", admin)
    for email in ("a@x.com", "b@x.com", "c@acme.com", "d@sub.acme.com", "É@Bücher.example"):
        audience.add(database, ContactData(parse(email)), NOW)
    add(
        database,
        read("A@X.com", MANUAL),
        read("acme.com", MANUAL),
        read("bücher.example", UNSUBSCRIBE, campaign_id=spring),
    )

    def left_out(campaign_id: int) -> set[str]:
        statement = sa.select(contacts.c.email).where(suppressions.suppressed_condition(campaign_id))
        with database.read() as connection:
            return set(connection.execute(statement).scalars())

    assert left_out(spring) == {"a@x.com", "c@acme.com", "É@bücher.example"}
    assert left_out(autumn) == {"a@x.com", "c@acme.com"}


@pytest.mark.costly
def test_the_condition_looks_each_contact_up_by_index(database: Database) -> None:
    add(database, *(read(f"s{number}@x.com", MANUAL) for number in range(3000)))
    with database.begin() as connection:
        connection.execute(
            sa.insert(contacts),
            [
                {"email": f"u{n}@x.com", "email_key": f"u{n}@x.com", "email_domain": "x.com"}
                for n in range(1000)
            ],
        )
    statement = sa.select(sa.func.count()).where(
        contacts.c.id < 100, suppressions.suppressed_condition(7) == sa.false()
    )
    if database.dialect_name == "sqlite":
        sql = statement.compile(database.engine, compile_kwargs={"literal_binds": True})
        with database.read() as connection:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]
        looked_up = [line for line in plan if "suppressions" in line]
        assert len(looked_up) == 2
        assert all("SEARCH" in line and "suppression_key=?" in line for line in looked_up)
        return
    counters = "information_schema.session_status WHERE variable_name LIKE 'handler_read%%'"
    reads = f"SELECT SUM(variable_value) FROM {counters}"
    with database.read() as connection:
        before = connection.exec_driver_sql(reads).scalar_one()
        assert connection.execute(statement).scalar() == 99
        assert connection.exec_driver_sql(reads).scalar_one() - before < 100 * 8


def test_an_operator_lifts_what_operators_added(database: Database, anna: Actor) -> None:
    add(database, read("bob@x.com", MANUAL), read("@acme.com", SuppressionReason.HARD_BOUNCE))
    lifted = suppressing.remove(database, ["BOB@x.com", "acme.com"], anna)
    assert (lifted.values, lifted.remaining) == (["BOB@x.com", "acme.com"], [])
    assert not suppressed(database, "bob@x.com")


@pytest.mark.parametrize("reason", [UNSUBSCRIBE, COMPLAINT])
def test_only_an_admin_who_insists_lifts_what_the_recipient_asked_for(
    database: Database, anna: Actor, admin: Actor, reason: SuppressionReason
) -> None:
    add(database, read("bob@x.com", reason), read("ann@x.com", MANUAL))
    with pytest.raises(NotAllowed):
        suppressing.remove(database, ["bob@x.com"], anna, force=True, detail="because")
    with pytest.raises(Refused, match="the recipient asked"):
        suppressing.remove(database, ["ann@x.com", "bob@x.com"], admin)
    with pytest.raises(Refused, match="the recipient asked"):
        suppressing.remove(database, ["bob@x.com"], admin, force=True)
    assert suppressed(database, "bob@x.com")
    assert suppressed(database, "ann@x.com"), "nothing may be half-applied"
    suppressing.remove(database, ["bob@x.com"], admin, force=True, detail="signed up again")
    assert not suppressed(database, "bob@x.com")


def test_lifting_what_is_not_there_is_not_found(database: Database, admin: Actor) -> None:
    campaign(database, "spring", admin)
    add(database, read("bob@x.com", MANUAL))
    with pytest.raises(NotFound, match=r"ann@x\.com"):
        suppressing.remove(database, ["bob@x.com", "ann@x.com"], admin)
    with pytest.raises(NotFound, match="campaign 'spring'"):
        suppressing.remove(database, ["bob@x.com"], admin, campaign="spring")
    assert suppressed(database, "bob@x.com")


def test_adding_is_all_or_nothing_and_campaigns_belong_to_their_creator(
    database: Database, anna: Actor, admin: Actor
) -> None:
    campaign(database, "spring", admin)
    with pytest.raises(InvalidInput, match="nonsense"):
        suppressing.add(database, ["bob@x.com", "nonsense"], MANUAL, NOW, anna)
    with pytest.raises(NotAllowed):
        suppressing.add(database, ["bob@x.com"], MANUAL, NOW, anna, campaign="spring")
    with pytest.raises(InvalidInput, match="erased"):
        suppressing.add(database, ["bob@x.com"], SuppressionReason.ERASED, NOW, admin)
    assert not suppressed(database, "bob@x.com")


def test_a_list_of_addresses_and_domains_is_imported(database: Database, anna: Actor, tmp_path: Path) -> None:
    file = tmp_path / "out.txt"
    file.write_bytes(b"bob@x.com\r\n\r\n@acme.com\nnonsense\nB\xc3\x9ccher.example\nBOB@X.com\n\xff@x.com\n")
    result = load(database, file, anna, reason=UNSUBSCRIBE)
    assert (result.added, result.known, result.rejected) == (3, 0, 2)
    rejected = Path(str(result.rejects_file)).read_text().splitlines()
    assert rejected[0] == "line,reason,value"
    assert [line.partition(",")[0] for line in rejected[1:]] == ["4", "7"]
    assert (
        suppressed(database, "bob@x.com") == suppressed(database, "x@sub.bücher.example") == {"unsubscribe"}
    )
    again = load(database, file, anna)
    assert (again.added, again.known) == (0, 3)


def test_an_export_is_read_back_with_its_reasons_and_campaigns(
    database: Database, admin: Actor, tmp_path: Path
) -> None:
    spring = campaign(database, "spring", admin)
    hashed = "h:" + "0a" * 32
    add(
        database,
        read("bob@x.com", COMPLAINT, source="arf", detail='he said "no, never"'),
        read("@acme.com", MANUAL),
        read("ann@x.com", UNSUBSCRIBE, campaign_id=spring),
        read(hashed, SuppressionReason.ERASED),
    )

    def exported() -> str:
        out = io.StringIO()
        with database.read() as connection:
            assert suppressing.export(connection, out) == 4
        return out.getvalue()

    before = exported()
    file = tmp_path / "out.csv"
    file.write_text(before)
    with database.begin() as connection:
        for key, place in (("a:bob@x.com", 0), ("d:acme.com", 0), ("a:ann@x.com", spring), (hashed, 0)):
            assert suppressions.remove(connection, key, place)
            assert not suppressions.remove(connection, key, place)
    result = load(database, file, admin)
    assert (result.added, result.rejected) == (4, 0)
    assert [line.rsplit(",", 2)[0] for line in exported().splitlines()] == [
        line.rsplit(",", 2)[0]
        for line in before.replace("@acme.com,manual,,,", f"@acme.com,manual,,import:{file},")
        .replace(f"{hashed},erased,,,", f"{hashed},erased,,import:{file},")
        .replace("ann@x.com,unsubscribe,spring,,", f"ann@x.com,unsubscribe,spring,import:{file},")
        .splitlines()
    ]


def test_rows_of_an_import_that_name_what_is_unknown_are_rejected(
    database: Database, anna: Actor, admin: Actor, tmp_path: Path
) -> None:
    campaign(database, "spring", admin)
    file = tmp_path / "in.csv"
    file.write_text(
        "E-Mail;Reason;Campaign\na@x.com;whim;\nb@x.com;;winter\nc@x.com;;spring\nd@x.com;complaint;\n"
    )
    result = load(database, file, anna)
    assert (result.added, result.rejected) == (1, 3)
    text = Path(str(result.rejects_file)).read_text()
    assert "'whim' is no reason" in text
    assert "'winter' does not exist" in text
    assert "belongs to another user" in text
    corrected = text.replace("whim", "manual").replace("winter", "").replace("spring", "")
    Path(str(result.rejects_file)).write_text(corrected)
    again = load(database, Path(str(result.rejects_file)), anna)
    assert (again.added, again.rejected) == (3, 0)
