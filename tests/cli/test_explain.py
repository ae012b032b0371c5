"""coldsend explain."""

from __future__ import annotations

import pytest

from tests.conftest import Project


def test_an_unknown_user_is_permanent_and_suppressed(sqlite_project: Project) -> None:
    told = sqlite_project.json("explain", "550 5.1.1 no such user")
    assert (told["outcome"], told["action"], told["rule"]) == ("permanent", "suppress", "unknown_recipient")
    assert told["recipient"] == "failed"


def test_a_refusal_that_blames_the_sender_keeps_the_recipient(sqlite_project: Project) -> None:
    told = sqlite_project.json("explain", "550 5.7.26 unauthenticated", "--provider", "gmail.com")
    assert (told["outcome"], told["action"], told["recipient"]) == ("permanent", "pause_provider", "waits")


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [
        (("connection lost", "--phase", "final"), "unknown"),
        (("connection lost", "--phase", "rcpt"), "temporary"),
        (("450 4.2.0 greylisted", "--phase", "rcpt"), "temporary"),
        (("250 2.0.0 queued",), "accepted"),
    ],
)
def test_outcomes_depend_on_phase_and_code(
    arguments: tuple[str, ...], outcome: str, sqlite_project: Project
) -> None:
    assert sqlite_project.json("explain", *arguments)["outcome"] == outcome


def test_people_get_a_sentence(sqlite_project: Project) -> None:
    out = sqlite_project.run("explain", "535 5.7.8 bad password").out
    assert "frozen until a person mends it" in out
    assert "auth" in out


def test_an_unknown_phase_names_the_known_ones(sqlite_project: Project) -> None:
    result = sqlite_project.run("explain", "550 no", "--phase", "dinner", check=False)
    assert result.code == 2
    assert "rcpt" in result.err


def test_an_empty_answer_is_refused(sqlite_project: Project) -> None:
    assert sqlite_project.run("explain", " ", check=False).code == 4


def test_a_wrong_user_is_noticed(sqlite_project: Project) -> None:
    assert sqlite_project.run("explain", "550 no", "--as", "nobody", check=False).code == 3
