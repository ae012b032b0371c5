"""Everything known about one person, and nothing about others."""

from __future__ import annotations

import json

import pytest

from coldsend.audience import access, erasing
from coldsend.database.engine import Database
from coldsend.errors import NotAllowed, NotFound
from tests.audience.people import EMAIL, KEY, NOW, PEPPER, People

pytestmark = pytest.mark.costly


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


def test_the_document_has_everything_there_is(people: People) -> None:
    people._message(8, people.bob, EMAIL, "räw")
    document = access.all_data(people.database, EMAIL.upper(), PEPPER, NOW, people.world.admin)
    contact = document["contact"]
    assert contact["email"] == "Bob.Smith@bücher.example"
    assert contact["nickname"] == "Bobby"
    assert contact["tags"] == ["vip", "bobby"]
    assert contact["fields"] == {"note": "secret field"}
    assert (contact["source"], contact["lawful_basis"]) == ("a fair", "legitimate_interest")
    (send,) = document["sends"]
    assert (send["task"], send["service"], send["status"]) == ("spring/intro", "main", "bounced")
    assert (send["sent_at"], send["bounced_at"]) == (NOW, NOW)
    assert [(event["type"], event["task"]) for event in document["events"]] == [
        ("bounce", "spring/intro"),
        ("click", "spring/intro"),
    ]
    assert "words of bob" in document["events"][0]["details"]["diagnostic"]
    assert [message["text"] for message in document["messages"]] == [
        "words of bob",
        "words of bob, from elsewhere",
        "räw",
    ]
    assert "Subject: Re: hello" in document["messages"][0]["raw"]
    told = {(entry["reason"], entry["list"], entry["campaign"]) for entry in document["suppressed"]}
    assert told == {("unsubscribe", None, None), ("manual", "customers", None), ("manual", None, "spring")}
    assert [entry["details"]["recipient"] for entry in document["unmatched"]] == [KEY]
    assert json.loads(json.dumps(document, default=str))


def test_where_others_rows_name_the_address_is_told_and_not_what_they_say(people: People) -> None:
    document = access.all_data(people.database, EMAIL, PEPPER, NOW, people.world.admin)
    named = {(entry["table"], *entry["columns"]) for entry in document["named_in"]}
    assert {
        ("contacts", "tags", "fields"),
        ("tasks", "status_reason", "recipient_rule", "summary_stats"),
        ("event_log", "details"),
        ("inbox_messages", "text", "raw", "details"),
        ("webhook_payloads", "body"),
        ("suppressions", "detail"),
    } <= named
    text = json.dumps(document, default=str)
    assert "jim" not in text
    assert "ann@x.com" not in text


def test_of_an_erased_person_only_the_hash_is_known(people: People) -> None:
    erasing.erase(people.database, EMAIL, PEPPER, NOW, people.world.admin)
    document = access.all_data(people.database, EMAIL, PEPPER, NOW, people.world.admin)
    assert [entry["reason"] for entry in document["suppressed"]] == ["erased"]
    rest = ("contact", "sends", "events", "messages", "unmatched", "named_in")
    assert not any(document[name] for name in rest)


def test_a_message_that_is_no_text_comes_in_base64(people: People) -> None:
    assert access._readable(b"\xff\x00") == {"base64": "/wA="}
    assert access._readable(None) is None


def test_an_address_of_which_nothing_is_known_is_not_found(people: People) -> None:
    with pytest.raises(NotFound, match="nothing is known"):
        access.all_data(people.database, "nobody@x.com", PEPPER, NOW, people.world.admin)


def test_only_admins_may_see_it(people: People) -> None:
    with pytest.raises(NotAllowed):
        access.all_data(people.database, EMAIL, PEPPER, NOW, people.world.user("anna"))
