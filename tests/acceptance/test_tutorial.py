"""A new user gets from docs/tutorial.md alone to a campaign that was sent, tracked and reported.

Every command of the page is run, in its order, in one shell with an empty home folder, and prints what the
page shows. Not run: section 1, the installation (the tests run in one already); that it says what README says
is compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from tests.acceptance.tutorial import PAGE, Reader, Step, differs, steps

INSTALLATION = "1. Install"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    someone = Reader(tmp_path)
    yield someone
    someone.leaves()


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(reader: Reader) -> None:
    page = [step for step in steps(PAGE.read_text(encoding="utf-8")) if step.section != INSTALLATION]
    for step in page[:-1]:
        reader.does(step)

    report = json.loads(reader.asks("coldsend report campaign spring --json"))
    counted = {
        key: report["funnel"][key] for key in ("recipients", "sent", "opened", "clicked", "unsubscribed")
    }
    assert counted == {"recipients": 9, "sent": 4, "opened": 1, "clicked": 1, "unsubscribed": 1}
    events = [
        (event["type"], event["contact"])
        for event in json.loads(reader.asks("coldsend event list --json"))
        if not event["type"].startswith("send_api")
    ]
    assert sorted(events) == [
        ("click", "tom@brightcrate.example"),
        ("open", "nora@fjallpost.example"),
        ("unsubscribe", "priya@kaveri.example"),
    ]
    assert len(list(reader.home.glob("first-campaign/caught/*.eml"))) == 2 + 4, "two tests, four recipients"
    html = (reader.home / "first-campaign" / "spring.html").read_text(encoding="utf-8")
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in html.split("<tr")]
    text = [[unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in row] for row in rows]
    shown = [tuple(row[:2]) for row in text]
    for line in (
        ("recipients", "9"),
        ("accepted by a server", "4"),
        ("opened by people", "1"),
        ("clicked by people", "1"),
        ("unsubscribed", "1"),
    ):
        assert line in shown

    assert "kill" in page[-1].commands
    reader.does(page[-1])
    reader.sees_everything_end()


def test_the_tutorial_installs_as_the_readme_says() -> None:
    installed = [step for step in steps(PAGE.read_text(encoding="utf-8")) if step.section == INSTALLATION]
    readme = (PAGE.parent.parent / "README.md").read_text(encoding="utf-8")
    assert [step.commands for step in installed] == [
        re.findall(r"^## Install$.*?^```\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)[0]
    ]


def test_what_the_readme_shows_is_of_the_tutorial() -> None:
    readme = (PAGE.parent.parent / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```text\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    tutorial = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in block.splitlines() if line.removeprefix("$ ") not in tutorial] == []


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a\nb\n", "a\nb\n"),
        ("a\n..\nd\n", "a\nb\nc\nd\n"),
        ("..\nd\n", "a\nd\n"),
        ("a\n..\n", "a\nb\n"),
        ("name ..\n", "name and more\n"),
        ("at 09:00:01\n", "at 10:59:59\n"),
        ("<abcdefghijklmnopqrstuvwxyz@x>\n", "<77777777777777777777777777@x>\n"),
    ],
)
def test_what_may_be_left_out_or_be_different(shown: str, printed: str) -> None:
    assert differs(shown, printed) == ""


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a\nb\n", "a\n"),
        ("a\n", "a\nb\n"),
        ("b\n", "a\nb\n"),
        ("a\n..\nb\n", "a\nb\n"),
        ("a\n..\n", "a\n"),
        ("4 sent\n", "5 sent\n"),
        ("2027-03-01\n", "2027-03-02\n"),
    ],
)
def test_what_is_stale_is_found(shown: str, printed: str) -> None:
    assert differs(shown, printed) != ""


def test_commands_are_taken_with_the_output_behind_them() -> None:
    page = "## One\n```sh\na \\\n  b\n```\ntext\n```text\nc\n```\n## Two\n```sh\ncoldsend why x y\n```\n"
    first, second = steps(page)
    assert first == Step("a \\\n  b\n", "c\n", "One")
    assert (second.shown, second.section) == (None, "Two")
    assert (first.only_looks, second.only_looks) == (False, True)


@pytest.mark.parametrize("block", ["```\nx\n```\n", "```text\nx\n```\n", "```python\nx\n```\n"])
def test_a_block_that_nobody_would_check_is_refused(block: str) -> None:
    with pytest.raises(ValueError, match="neither commands nor their output"):
        steps(f"## One\n{block}")
