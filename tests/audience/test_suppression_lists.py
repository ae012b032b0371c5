"""Named suppression lists: kept apart, replaced as a whole, never lifting what a recipient asked for."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from coldsend.audience import suppressing, suppression_import
from coldsend.audience.suppression_import import Request, Result, import_file
from coldsend.database.engine import Database
from coldsend.domain.access import Actor
from coldsend.domain.states import Role, SuppressionReason
from coldsend.domain.suppression import NO_LIST, keys_for
from coldsend.errors import InvalidInput, NotFound
from coldsend.stores import suppressions, users
from tests.planning.world import World

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
MANUAL, UNSUBSCRIBE = SuppressionReason.MANUAL, SuppressionReason.UNSUBSCRIBE
CUSTOMERS = "customers"


@pytest.fixture
def anna(database: Database) -> Actor:
    with database.begin() as connection:
        return Actor(users.add(connection, "anna", Role.OPERATOR, NOW), "anna", Role.OPERATOR)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "list.txt"


def load(database: Database, file: Path, actor: Actor, text: str, **options: Any) -> Result:
    file.write_text(text)
    return import_file(database, Request(str(file), **options), NOW, actor)


def replaced(database: Database, file: Path, actor: Actor, text: str, name: str = CUSTOMERS) -> Result:
    return load(database, file, actor, text, list_name=name, replace=True)


def on(database: Database, name: str | None) -> set[str]:
    with database.read() as connection:
        return {str(suppressing.shown(row)["value"]) for row in suppressions.walk(connection, name)}


def suppressed(database: Database, email: str) -> bool:
    with database.read() as connection:
        return bool(suppressions.matching(connection, keys_for(email, email.partition("@")[2], None), 0))


def test_a_list_becomes_what_the_file_has(database: Database, anna: Actor, file: Path) -> None:
    first = replaced(database, file, anna, "bob@x.com\n@acme.com\nann@x.com\n")
    assert (first.added, first.removed, first.rejected) == (3, 0, 0)
    second = replaced(database, file, anna, "@acme.com\nBOB@x.com\neve@x.com\n")
    assert (second.added, second.known, second.removed) == (1, 2, 1)
    assert on(database, CUSTOMERS) == {"bob@x.com", "acme.com", "eve@x.com"}
    assert not suppressed(database, "ann@x.com")
    assert suppressed(database, "someone@mail.acme.com")


def test_without_replace_a_list_only_grows(database: Database, anna: Actor, file: Path) -> None:
    load(database, file, anna, "bob@x.com\n", list_name=CUSTOMERS)
    grown = load(database, file, anna, "ann@x.com\n", list_name=CUSTOMERS)
    assert (grown.added, grown.removed) == (1, None)
    assert on(database, CUSTOMERS) == {"bob@x.com", "ann@x.com"}


def test_replacing_a_list_lifts_neither_what_stands_by_itself_nor_what_other_lists_have(
    database: Database, anna: Actor, file: Path
) -> None:
    suppressing.add(database, ["bob@x.com"], UNSUBSCRIBE, NOW, anna)
    suppressing.add(database, ["ann@x.com"], MANUAL, NOW, anna)
    for name in (CUSTOMERS, "competitors"):
        replaced(database, file, anna, "bob@x.com\nann@x.com\neve@x.com\ntim@x.com\n", name)
    assert replaced(database, file, anna, "tim@x.com\n").removed == 3
    assert all(suppressed(database, f"{who}@x.com") for who in ("bob", "ann", "eve", "tim"))
    assert replaced(database, file, anna, "tim@x.com\n", "competitors").removed == 3
    assert not suppressed(database, "eve@x.com")
    assert suppressed(database, "bob@x.com"), "an unsubscribe is nothing that a list takes back"
    assert suppressed(database, "ann@x.com")
    assert on(database, NO_LIST) == {"bob@x.com", "ann@x.com"}


def test_what_a_recipient_asked_for_in_a_file_of_a_list_stands_by_itself(
    database: Database, anna: Actor, file: Path
) -> None:
    replaced(database, file, anna, "email,reason\nbob@x.com,complaint\nann@x.com,\n")
    assert (on(database, NO_LIST), on(database, CUSTOMERS)) == ({"bob@x.com"}, {"ann@x.com"})
    replaced(database, file, anna, "eve@x.com\n")
    assert suppressed(database, "bob@x.com")
    with pytest.raises(InvalidInput, match="recipient asked for"):
        load(database, file, anna, "tim@x.com\n", list_name=CUSTOMERS, reason=UNSUBSCRIBE)
    assert not suppressed(database, "tim@x.com")


def test_a_file_with_rejects_takes_nothing_off(database: Database, anna: Actor, file: Path) -> None:
    replaced(database, file, anna, "bob@x.com\nann@x.com\n")
    result = replaced(database, file, anna, "bob@x.com\nann@@x.com\neve@x.com\n")
    assert (result.added, result.removed, result.rejected) == (1, None, 1)
    assert on(database, CUSTOMERS) == {"bob@x.com", "ann@x.com", "eve@x.com"}


@pytest.mark.parametrize("text", ["", "\n\n", "email\n", "email,reason\nbob@x.com,unsubscribe\n"])
def test_a_file_without_entries_empties_no_list(
    database: Database, anna: Actor, file: Path, text: str
) -> None:
    replaced(database, file, anna, "ann@x.com\n")
    with pytest.raises(InvalidInput, match=r"no entry for the list 'customers'|is empty"):
        replaced(database, file, anna, text)
    assert on(database, CUSTOMERS) == {"ann@x.com"}


def test_a_long_list_is_replaced_chunk_by_chunk(
    database: Database, anna: Actor, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression_import, "CHUNK_ROWS", 10)
    replaced(database, file, anna, "".join(f"u{n}@x.com\n" for n in range(95)))
    result = replaced(database, file, anna, "".join(f"u{n}@x.com\n" for n in range(40, 120)))
    assert (result.added, result.known, result.removed) == (25, 55, 40)
    assert on(database, CUSTOMERS) == {f"u{n}@x.com" for n in range(40, 120)}


def test_at_no_moment_of_a_replacement_is_anything_lifted_that_stands_in_both(
    database: Database, anna: Actor, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power goes while entries are taken off: too much is suppressed then, never too little."""
    monkeypatch.setattr(suppression_import, "CHUNK_ROWS", 2)
    replaced(database, file, anna, "".join(f"u{n}@x.com\n" for n in range(6)))
    real, calls = suppressions.remove_ids, []

    def cut(connection: Connection, ids: Sequence[int]) -> int:
        calls.append(ids)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(connection, ids)

    monkeypatch.setattr(suppressions, "remove_ids", cut)
    with pytest.raises(KeyboardInterrupt):
        replaced(database, file, anna, "u5@x.com\nnew@x.com\n")
    monkeypatch.undo()
    assert {"u5@x.com", "new@x.com", "u2@x.com"} <= on(database, CUSTOMERS)
    assert replaced(database, file, anna, "u5@x.com\nnew@x.com\n").removed == 3
    assert on(database, CUSTOMERS) == {"u5@x.com", "new@x.com"}


def test_an_export_carries_the_lists_and_is_read_back(database: Database, anna: Actor, file: Path) -> None:
    replaced(database, file, anna, "bob@x.com\n@acme.com\n")
    suppressing.add(database, ["bob@x.com"], MANUAL, NOW, anna)
    out = io.StringIO()
    with database.read() as connection:
        assert suppressing.export(connection, out) == 3
    suppressing.remove_list(database, CUSTOMERS, anna)
    suppressing.remove(database, ["bob@x.com"], anna)
    assert on(database, None) == set()
    assert load(database, file, anna, out.getvalue()).added == 3
    assert on(database, CUSTOMERS) == {"bob@x.com", "acme.com"}
    assert on(database, NO_LIST) == {"bob@x.com"}


def test_rows_of_another_list_are_rejected_where_one_is_replaced(
    database: Database, anna: Actor, file: Path
) -> None:
    result = replaced(database, file, anna, "email,list\nbob@x.com,customers\nann@x.com,others\n")
    assert (result.added, result.rejected, result.removed) == (1, 1, None)
    assert "of the list 'others'" in Path(str(result.rejects_file)).read_text()


def test_taking_an_entry_off_a_list_says_what_still_suppresses_it(database: Database, anna: Actor) -> None:
    suppressing.add(database, ["bob@mail.x.com", "@x.com"], MANUAL, NOW, anna, list_name=CUSTOMERS)
    suppressing.add(database, ["bob@mail.x.com"], UNSUBSCRIBE, NOW, anna)
    lifted = suppressing.remove(database, ["bob@mail.x.com"], anna, list_name=CUSTOMERS)
    assert lifted.values == ["bob@mail.x.com"]
    assert lifted.remaining == [
        ("bob@mail.x.com", "@x.com (manual, list 'customers')"),
        ("bob@mail.x.com", "bob@mail.x.com (unsubscribe)"),
    ]
    assert suppressed(database, "bob@mail.x.com")


def test_what_only_a_list_suppresses_is_not_lifted_past_the_list(database: Database, anna: Actor) -> None:
    suppressing.add(database, ["@x.com"], MANUAL, NOW, anna, list_name=CUSTOMERS)
    with pytest.raises(NotFound, match="only by the list 'customers'") as caught:
        suppressing.remove(database, ["@x.com"], anna)
    assert caught.value.hint == "take it off: coldsend suppression remove @x.com --list customers"
    with pytest.raises(NotFound, match="not on the list 'others'"):
        suppressing.remove(database, ["@x.com"], anna, list_name="others")
    assert suppressed(database, "bob@x.com")


def test_who_is_suppressed_for_one_campaign_only_is_told_so(database: Database, anna: Actor) -> None:
    World(database).campaign("spring", owner=anna)
    suppressing.add(database, ["bob@x.com"], MANUAL, NOW, anna, campaign="spring")
    with pytest.raises(NotFound, match="only for the campaign 'spring'") as caught:
        suppressing.remove(database, ["bob@x.com"], anna)
    assert caught.value.hint == "lift that: coldsend suppression remove bob@x.com --campaign spring"


def test_lists_are_counted_and_taken_away_whole(
    database: Database, anna: Actor, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppressing, "_BATCH", 3)
    replaced(database, file, anna, "".join(f"u{n}@x.com\n" for n in range(8)))
    suppressing.add(database, ["@acme.com"], MANUAL, NOW, anna, list_name="competitors")
    with database.read() as connection:
        counted = {row["name"]: row["entries"] for row in suppressions.lists(connection)}
    assert counted == {"competitors": 1, "customers": 8}
    assert suppressing.remove_list(database, CUSTOMERS, anna) == 8
    assert on(database, None) == {"acme.com"}
    with pytest.raises(NotFound, match="no list 'customers'"):
        suppressing.remove_list(database, CUSTOMERS, anna)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101])
def test_what_cannot_be_the_name_of_a_list_is_refused(database: Database, anna: Actor, name: str) -> None:
    with pytest.raises(InvalidInput):
        suppressing.remove_list(database, name, anna)


def test_a_list_holds_for_all_campaigns(database: Database, anna: Actor, file: Path) -> None:
    with pytest.raises(InvalidInput, match="for all campaigns"):
        suppressing.add(database, ["@x.com"], MANUAL, NOW, anna, campaign="spring", list_name=CUSTOMERS)
    with pytest.raises(InvalidInput, match="only a list can be replaced"):
        load(database, file, anna, "bob@x.com\n", replace=True)
    assert on(database, None) == set()
