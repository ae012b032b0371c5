"""The examples that ship: sound templates, a clean contact list, a script that names files that exist."""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path

import pytest

from coldsend.composing import lint
from coldsend.composing.source import TemplateSource
from coldsend.domain import address
from coldsend.domain.message import Recipient
from tests.composing.samples import SITE, message, parsed

FOLDER = Path(__file__).parents[2] / "templates_examples"
SCRIPT = (FOLDER / "campaign.sh").read_text(encoding="utf-8")
SUBJECTS = dict(re.findall(r"^add (\S+) '([^']+)'$", SCRIPT, re.MULTILINE))
RESERVED = re.compile(r"\.(example|test|invalid|localhost)$|(^|\.)example\.(com|net|org)$")


def source(name: str) -> TemplateSource:
    body, text = ((FOLDER / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "txt"))
    return TemplateSource(1, name, SUBJECTS[name], body, text)


def contacts() -> list[Recipient]:
    with (FOLDER / "contacts.csv").open(encoding="utf-8", newline="") as file:
        return [
            Recipient(
                number,
                1,
                number,
                row["email"],
                row["nickname"],
                tuple(row["tags"].split(",")),
                {key: row[key] for key in ("company", "country", "city", "industry")},
                row["time_zone"],
            )
            for number, row in enumerate(csv.DictReader(file), start=1)
        ]


def test_every_example_is_in_the_script_and_the_other_way_round() -> None:
    assert set(SUBJECTS) == {file.stem for file in FOLDER.glob("*.html")}
    assert len(SUBJECTS) >= 6


@pytest.mark.parametrize("name", SUBJECTS)
def test_lint_has_nothing_to_say_about_an_example(name: str) -> None:
    assert lint.look(source(name), [], {"company", "country", "city", "industry"}) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("name", SUBJECTS)
def test_every_contact_can_be_sent_every_example(name: str) -> None:
    for to in contacts():
        composed = message(source(name), to, site=SITE)
        assert not parsed(composed).defects
        for part in (composed.html, composed.text):
            assert SITE.postal_address in part
            assert "https://mail.example.com/u/" in part
            assert "\n\n\n" not in part


@pytest.mark.parametrize("name", SUBJECTS)
def test_text_and_html_lead_to_the_same_places(name: str) -> None:
    example = source(name)
    in_html = set(re.findall(r'href="(https://[^"]+)"', example.body))
    in_text = set(re.findall(r"https://[^\s)]+", example.text_body or ""))
    assert in_html == in_text


def test_the_contacts_cannot_be_reached_and_are_all_different() -> None:
    everybody = contacts()
    keys = {address.parse(to.email).key for to in everybody}
    assert len(keys) == len(everybody) >= 40
    assert all(RESERVED.search(key.rpartition("@")[2]) for key in keys)


def test_the_script_is_sound_shell() -> None:
    subprocess.run(["sh", "-n", str(FOLDER / "campaign.sh")], check=True)
