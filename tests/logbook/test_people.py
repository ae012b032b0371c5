"""What an operator does to people's data is logged without addresses, and can be proved all the same."""

from __future__ import annotations

import hashlib
import json

import pytest

from coldsend import clock, logbook
from coldsend.audience import contacts, suppressing
from coldsend.database.engine import Database
from coldsend.domain.states import SuppressionReason
from tests.planning.world import World


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_lifted_suppression_is_found_again_by_the_hash_of_its_key(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(database)
    logbook.configure("info", "json")
    suppressing.add(database, ["Bob@Example.com"], SuppressionReason.MANUAL, clock.now(), world.admin)
    suppressing.remove(database, ["bob@example.com"], world.admin)
    [line] = [line for line in lines(capsys) if line["event"] == "suppression_lifted"]
    assert line["key_sha256"] == hashlib.sha256(b"a:bob@example.com").hexdigest()
    assert line["by"] == "admin"
    assert "bob" not in json.dumps(line)


def test_a_removed_contact_is_named_by_its_id(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(database)
    [contact] = world.contacts(1)
    logbook.configure("info", "json")
    contacts.remove(database, [str(contact)], clock.now(), by="admin")
    [line] = lines(capsys)
    assert (line["event"], line["contact_id"]) == ("contact_removed", contact)
    assert "@" not in json.dumps(line)
