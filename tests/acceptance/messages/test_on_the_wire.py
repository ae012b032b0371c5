"""A campaign to people in ten scripts through the engine: what the SMTP server took, octet for octet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldsend.composing.tokens import Kind, Tokens
from coldsend.config.loading import load
from coldsend.config.secrets import load_key_ring
from coldsend.stores import signing_keys
from tests.acceptance.messages.rules import violations
from tests.acceptance.messages.scripts import SCRIPTS
from tests.acceptance.messages.test_fuzz import read
from tests.acceptance.scenario import Scenario
from tests.composing import gmime
from tests.composing.verifiers import MailDkim, by_dkimpy
from tests.conftest import Project
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

PEOPLE = [
    (f"p{number}@{domain}", name, company)
    for number, (domain, (name, company, _sentence)) in enumerate(
        zip(["acme.example", "bücher.example"] * 5, SCRIPTS.values(), strict=True)
    )
]


@pytest.fixture
def campaign(sqlite_project: Project, tmp_path: Path) -> Iterator[tuple[Scenario, Path]]:
    """Ready to be started, with everything on that a service can be told about addresses."""
    scenario, folder = Scenario(sqlite_project), tmp_path / "taken"
    folder.mkdir()
    run = sqlite_project.run
    run("dkim", "add", "sender.example")
    run("dkim", "activate", "sender.example", "--unchecked")
    sentences = "".join(f"<p>{sentence}</p>" for _name, _company, sentence in SCRIPTS.values())
    body = sqlite_project.write(
        "t.html", f"<p>{{{{ contact.nickname }}}},</p>{sentences}<p><a href='https://acme.example/'>x</a></p>"
    )
    run("template", "add", "t", "--subject", "{{ contact.company }}: 返品?", "--body-file", str(body))
    run("template-set", "create", "rotation", "--template", "t")
    for address, name, company in PEOPLE:
        run("contact", "add", address, "--nickname", name, "--field", f"company={company}", "--tag", "lead")
    yield scenario, folder
    scenario.close()


def test_every_message_that_reaches_a_server_is_sound(campaign: tuple[Scenario, Path]) -> None:
    scenario, folder = campaign
    with RecordingServer(store=str(folder)) as server:
        scenario.service(
            "anna", server, bounce_address="bounce+{token}@sender.example",
            reply_to="anna+{token}@sender.example", unsubscribe_address="stop+{token}@sender.example",
        )  # fmt: skip
        scenario.campaign()
        scenario.run_until_idle()
        taken = server.messages()

    project = scenario.project
    with project.database.read() as connection:
        keys = load_key_ring(load(str(project.config), environ={}))
        tokens = Tokens(signing_keys.load(connection, keys, "links"))
    record = project.json("dkim", "show", "sender.example")[0]["record"]["value"]
    perl = MailDkim()
    messages = [file.read_bytes() for file in sorted(folder.glob("*.eml"))]
    assert len(messages) == len(taken) == len(PEOPLE)
    for data in messages:
        assert violations(data) == []
        assert gmime.read(data).warnings == []
        assert by_dkimpy(data, record)
        assert perl.results(data, record) == "pass"
    perl.close()
    said = {
        (str(read(data)["to"].addresses[0].display_name), str(read(data)["subject"])) for data in messages
    }
    assert said == {(name, f"{company}: 返品?") for _address, name, company in PEOPLE}

    # Every message has its own return path, Reply-To and unsubscribing address, all of the same row.
    rows = [told for one in taken if (told := tokens.read_address(one.mail_from))]
    assert {kind for kind, _row in rows} == {Kind.ADDRESS}
    assert len(set(rows)) == len(PEOPLE)
    for data in messages:
        found = read(data)
        row = tokens.read(str(found["message-id"]).strip("<>").partition("@")[0])
        assert row is not None
        assert tokens.read_address(found["reply-to"].addresses[0].addr_spec) == (Kind.ADDRESS, row[1])
        by_mail = re.search(r"<mailto:([^?]+)\?", str(found["list-unsubscribe"]))
        assert by_mail is not None
        assert tokens.read_address(by_mail[1]) == (Kind.UNSUBSCRIBE, row[1])
