"""Erasing a person: nothing of the address is left, nobody else loses anything, mail is kept away."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from coldsend.audience import contacts as audience
from coldsend.audience import erasing, suppressing
from coldsend.audience.importing import Request, import_contacts
from coldsend.database.engine import Connection, Database
from coldsend.database.tables import (
    campaigns,
    contact_tags,
    contacts,
    event_log,
    inbox_messages,
    metadata,
    task_contacts,
    tasks,
    webhook_payloads,
)
from coldsend.database.tables import (
    suppressions as suppressions_table,
)
from coldsend.domain.address import parse
from coldsend.domain.contact import ContactData
from coldsend.domain.redaction import SUBSTITUTE
from coldsend.domain.states import SuppressionReason
from coldsend.domain.suppression import hashed_key, keys_for
from coldsend.errors import NotAllowed, NotFound, PartlyDone
from coldsend.stores import personal, suppressions
from tests.audience.people import EMAIL, KEY, NOW, PEPPER, TRACES, People
from tests.conftest import Project

pytestmark = pytest.mark.costly

HASH = hashed_key(KEY, PEPPER)


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


def erase(people: People, email: str = EMAIL) -> erasing.Erased:
    return erasing.erase(people.database, email, PEPPER, NOW, people.world.admin)


def suppressed(database: Database, email: str) -> set[str]:
    address = parse(email)
    with database.read() as connection:
        keys = keys_for(address.key, address.domain, PEPPER)
        return set(map(str, suppressions.matching(connection, keys, 0).values()))


def test_nothing_of_an_erased_person_is_left_anywhere(people: People) -> None:
    before = people.dump()
    for trace in TRACES:
        assert trace in before
    done = erase(people)
    after = people.dump().replace("jimbob.smith", "")
    assert [trace for trace in TRACES if trace in after] == []
    assert (done.rows, done.events, done.messages, done.suppressions) == (1, 2, 1, 3)
    assert done.contact_id == people.bob
    assert not done.before


def test_every_column_is_either_searched_or_said_to_hold_no_recipients_words() -> None:
    textual = (sa.String, sa.JSON, sa.LargeBinary)
    searched = {f"{table.name}.{name}" for table, names in personal.SEARCHED.items() for name in names}
    everything = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        if table.name not in personal.OPERATORS_TABLES
        for column in table.columns
        if isinstance(column.type, textual) and not isinstance(column.type, sa.Enum)
    }
    assert searched & personal.NOT_ABOUT_RECIPIENTS == set()
    assert everything == searched | personal.NOT_ABOUT_RECIPIENTS
    assert set(metadata.tables) >= personal.OPERATORS_TABLES


def test_a_hash_keeps_mail_away_also_when_the_address_comes_back(people: People) -> None:
    erase(people)
    assert suppressed(people.database, "BOB.SMITH@bücher.example") == {"erased"}
    came = audience.add(people.database, ContactData(parse(EMAIL)), NOW)
    assert came["id"] != people.bob, "somebody new, of whom nothing is known"
    assert came["revived"] is False
    assert came["tags"] == []
    assert suppressed(people.database, EMAIL) == {"erased"}


def test_a_hash_keeps_mail_away_from_an_import(people: People, tmp_path: Path) -> None:
    erase(people)
    file = tmp_path / "again.csv"
    file.write_text(f"email\n{EMAIL}\n")
    assert import_contacts(people.database, Request(str(file)), NOW).imported == 1
    assert suppressed(people.database, EMAIL) == {"erased"}


def test_what_happened_still_counts(people: People) -> None:
    world = people.world
    erase(people)
    row = world.row(task_contacts, people.rows["bob"])
    assert (row["status"], row["sent_at"], row["bounced_at"]) == ("bounced", NOW, NOW)
    assert row["contact_id"] == people.bob
    assert world.row(event_log, people.bounced)["details"] == {
        "code": 550,
        "rule": "recipient_unknown",
        "hard": True,
    }
    assert world.row(event_log, people.clicked)["type"] == "click"
    assert world.row(inbox_messages, people.reply)["received_at"] == NOW
    contact = world.row(contacts, people.bob)
    assert (contact["email"], contact["erased_at"], contact["deleted_at"]) == (
        f"erased:{people.bob}",
        NOW,
        NOW,
    )


def test_others_lose_nothing_but_the_mention(people: People) -> None:
    world, database = people.world, people.database
    erase(people)
    ann = world.row(contacts, people.ann)
    assert ann["email"] == "ann@x.com"
    assert ann["fields"] == {"friend": f"knows {SUBSTITUTE}"}
    assert ann["tags"] == [f"by:{SUBSTITUTE}", "vip"]
    with database.read() as connection:
        held = sa.select(contact_tags.c.tag).where(contact_tags.c.contact_id == people.ann)
        assert set(connection.execute(held).scalars()) == {f"by:{SUBSTITUTE}", "vip"}
    anns = world.row(inbox_messages, people.anns)
    assert anns["text"] == f"Ask {SUBSTITUTE}, or jim{EMAIL}."
    assert anns["raw"].decode().endswith(f"Ask {SUBSTITUTE}, or jim{EMAIL}.\r\n")
    assert people.email_of(people.jimbob) == "jimBob.Smith@bücher.example"
    assert world.row(task_contacts, people.rows["jimbob"])["error_message"] == (
        "550 <jimBob.Smith@bücher.example> unknown"
    )
    rule = world.row(tasks, people.task)["recipient_rule"]
    assert rule == {"any": [{"email": [SUBSTITUTE, "jim" + EMAIL, "ann@x.com"]}, {"tag": "vip"}]}
    assert world.row(campaigns, people.campaign)["status_reason"] == f"451 too much mail for <{SUBSTITUTE}>"
    assert b"sendgrid" not in world.row(webhook_payloads, people.payload)["body"]
    assert suppressed(database, "x@acme.com") == {"manual"}
    assert suppressed(database, "jim" + EMAIL) == set()


def test_erasing_again_changes_nothing(people: People) -> None:
    first = erase(people)
    left = people.dump()
    again = erase(people)
    assert again.before
    assert again == erasing.Erased(None, 0, 0, 0, 0, 0, first.suppression, before=True)
    assert people.dump() == left


def test_an_interrupted_erasure_is_finished_by_running_it_again(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(personal, "clear", cut)
    with pytest.raises(KeyboardInterrupt):
        erase(people)
    monkeypatch.undo()
    assert suppressed(people.database, EMAIL) == {"erased"} | {"unsubscribe"}, "nothing starts any more"
    erase(people)
    after = people.dump().replace("jimbob.smith", "")
    assert [trace for trace in TRACES if trace in after] == []


def test_somebody_who_was_removed_is_erased_as_well(people: People) -> None:
    audience.remove(people.database, [EMAIL], NOW - timedelta(days=3), by="anna")
    assert erase(people).contact_id == people.bob
    row = people.world.row(contacts, people.bob)
    assert row["deleted_at"] == NOW - timedelta(days=3)


def test_an_address_that_is_no_contact_is_erased_where_it_is_named(people: People) -> None:
    suppressing.add(people.database, ["eve@x.com"], SuppressionReason.UNSUBSCRIBE, NOW, people.world.admin)
    done = erase(people, "Eve@x.com")
    assert (done.contact_id, done.suppressions) == (None, 1)
    assert "eve@x.com" not in people.dump()
    assert suppressed(people.database, "eve@x.com") == {"erased"}
    people.world.change(campaigns, people.campaign, status_reason="550 <tim@x.com>")
    assert erase(people, "tim@x.com").mentions == 1
    assert suppressed(people.database, "tim@x.com") == {"erased"}


def test_an_address_of_which_nothing_is_known_is_not_found(people: People) -> None:
    left = people.dump()
    with pytest.raises(NotFound, match="nothing is known"):
        erase(people, "nobody@x.com")
    assert people.dump() == left


def test_only_admins_erase(people: People) -> None:
    left = people.dump()
    with pytest.raises(NotAllowed):
        erasing.erase(people.database, EMAIL, PEPPER, NOW, people.world.user("anna"))
    assert people.dump().replace("anna", "").count("bob.smith") == left.count("bob.smith")


def test_a_message_under_way_is_waited_for_and_nothing_new_starts(people: People) -> None:
    people.world.change(task_contacts, people.rows["bob"], status="sending")
    with pytest.raises(PartlyDone, match="under way"):
        erase(people)
    assert "erased" in suppressed(people.database, EMAIL)
    assert people.email_of(people.bob) != f"erased:{people.bob}"
    people.world.change(task_contacts, people.rows["bob"], status="sent")
    assert erase(people).contact_id == people.bob


def test_what_comes_in_later_is_cleared_later(people: People) -> None:
    erase(people)
    people.world.change(task_contacts, people.rows["bob"], error_message=f"550 <{KEY}>")
    late = people._message(9, people.bob, EMAIL, "words of bob")
    assert erasing.clear_late(people.database, NOW - timedelta(days=1)) == 2
    assert people.world.row(inbox_messages, late)["text"] is None
    assert people.world.row(inbox_messages, people.anns)["text"] is not None
    assert people.world.row(task_contacts, people.rows["bob"])["error_message"] is None
    assert erasing.clear_late(people.database, NOW - timedelta(days=1)) == 0
    assert erasing.clear_late(people.database, NOW + timedelta(days=1)) == 0


def test_looking_for_what_came_in_later_reads_only_the_persons_messages(
    sqlite_project: Project,
) -> None:
    """The scheduler does so for everybody who was erased, again and again."""
    people = People(sqlite_project.database)
    told: list[tuple[str, Any]] = []
    listen = (people.database.engine, "before_cursor_execute")

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        told.append((statement, parameters))

    event.listen(*listen, note)
    with people.database.begin() as connection:
        personal.clear(connection, people.bob)
    event.remove(*listen, note)
    [(statement, parameters)] = [one for one in told if one[0].startswith("UPDATE inbox_messages")]
    with people.database.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert ["ix_inbox_messages_contact_id" in str(step) for step in plan] == [True]


def test_large_tables_are_searched_in_stretches(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "WINDOW", 2)
    told: list[tuple[int, int]] = []
    looked: list[int] = []
    real = personal.mentions

    def counted(connection: Connection, table: sa.Table, *rest: object) -> object:
        looked.append(1)
        return real(connection, table, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(personal, "mentions", counted)
    erasing.erase(
        people.database,
        EMAIL,
        PEPPER,
        NOW,
        people.world.admin,
        progress=lambda done, total: told.append((done, total)),
    )
    assert len(looked) > len(personal.SEARCHED)
    assert told[-1][0] == told[-1][1] > 0
    after = people.dump().replace("jimbob.smith", "")
    assert [trace for trace in TRACES if trace in after] == []


def test_the_hash_is_the_only_suppression_left(people: People) -> None:
    erase(people)
    with people.database.read() as connection:
        rows = connection.execute(
            sa.select(suppressions_table).where(suppressions_table.c.scope != "domain")
        ).all()
    assert [(row.suppression_key, row.value, row.reason, row.campaign_id, row.list_name) for row in rows] == [
        (HASH, None, "erased", 0, "")
    ]
