"""What is wrong with a file: every mistake, with its line, all at once, and nothing is done."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.blueprint import reading
from coldsend.blueprint.applying import World, as_keys
from coldsend.blueprint.kinds import KINDS, TASKS
from coldsend.blueprint.reading import Document, read
from coldsend.cli import apply as command
from coldsend.database.tables import sender_services
from coldsend.errors import InvalidInput
from tests.blueprint.files import WHOLE, apply, mistakes
from tests.conftest import Project

SERVICE = '[services.new]\ntype = "smtp"\nhost = "h.example"\nfrom = "a@example.com"\ndaily_quota = 1\n'
TASK = '[campaigns.spring.tasks.new]\ntemplate_set = "seconds"\nrule = "everyone"\n'

# A line that is put in the place of another, and what is said about it.
SLIPS = [
    ("[services.main]", "[service.main]", "there is no such section", "did you mean services?"),
    ("daily_quota = 500", "dayly_quota = 500", "there is no such key", "did you mean daily_quota?"),
    ("daily_quota = 500", 'daily_quota = "500"', "must be a whole number, not '500'", ""),
    ("daily_quota = 500", "daily_quota = -1", "must be from 0 to 2000000000, not -1", ""),
    ("throttle_sec = 0.5", "throttle_sec = 100000", "must be from 0 to 86400 seconds, not 100000", ""),
    ("throttle_sec = 0.5", "port = true", "must be a whole number, not True", ""),
    ("throttle_sec = 0.5", "port = 99999", "must be from 1 to 65535, not 99999", ""),
    ("throttle_sec = 0.5", 'tls = "ssl"', "must be none, starttls, implicit, not 'ssl'", ""),
    ("throttle_sec = 0.5", 'password = "x"', "there is no such key", "did you mean password_env?"),
    ("throttle_sec = 0.5", "ramp = { start = 5 }", "must be a table such as { start = 20, step = 10 }", None),
    ("throttle_sec = 0.5", "ramp = { start = 0, step = 5 }", "start from 1, not {", None),
    ("throttle_sec = 0.5", 'subject = "x"', "there is no such key", "did you mean subject of a template?"),
    ("throttle_sec = 0.5", 'folder = "x"', "folder means nothing to services of type smtp", ""),
    ('type = "console"', 'type = "smtps"', "there are no services of type 'smtps'", None),
    ('field = "nickname"', 'feld = "nickname"', "there is no such key", "did you mean field?"),
    ('field = "nickname"', 'system = "moon"', "there is no system variable 'moon'", None),
    ("[variables.first_name]", '[variables."first name"]', "'first name' cannot be a variable key", None),
    ('subject = "Once more"', "subject = 1", "must be text in quotes, not 1", ""),
    (
        'text = "Second"',
        'body_file = "none.html"',
        "is given twice, in the file and as a file of its own",
        "",
    ),
    ('text = "Second"', 'text_file = "none.txt"', "none.txt cannot be read: No such file or directory", None),
    (
        'templates = ["intro", "second"]',
        'templates = "intro"',
        'must be a list of texts such as ["a", "b"]',
        "",
    ),
    (
        'templates = ["intro", "second"]',
        'templates = ["intro", "secnd"]',
        "there is no template 'secnd', neither in the file nor in the database",
        "did you mean 'second'?",
    ),
    (
        'templates = ["intro", "second"]',
        'templates = ["intro", "intro"]',
        "template 'intro' is named twice",
        "",
    ),
    (
        "weights = { intro = 3 }",
        "weights = { intro = 0 }",
        "a weight is a whole number from 1 to 1000000, not 0",
        None,
    ),
    (
        "weights = { intro = 3 }",
        "weights = { intro = 3000000000 }",
        "a weight is a whole number from 1 to 1000000, not 3000000000",
        None,
    ),
    ("weights = { intro = 3 }", "weights = { other = 3 }", "'other' is not among its templates", ""),
    ('time_zone = "Europe/Berlin"', 'time_zone = "Berlin"', "'Berlin' is not a time zone", None),
    ('holidays = ["recipient"]', 'holidays = ["XX"]', "'XX' is not a country whose holidays are known", None),
    (
        "new_per_day = 50",
        "new_per_day = 0",
        "must be a whole number from 1 to 2000000000, not '0'",
        'no limit is ""',
    ),
    ("new_per_day = 50", 'start_at = "now"', "Cannot overwrite a value", None),
    ("new_per_day = 50", 'spread = "yes"', "must be true or false, not 'yes'", ""),
    ('["mon-fri 09:00-17:00"]', '["weekdays"]', "weekdays", None),
    ("2027-04-01T09:00:00+02:00", '"soon"', "'soon' is not a start time", None),
    ('rule = "tag:lead and not opened:second"', 'rule = "tag:"', "recipient rule, at column 5", None),
    (
        'rule = "tag:lead and not opened:second"',
        'rule = "sent:nothing"',
        "there is no task 'spring/nothing', neither in the file nor in the database",
        None,
    ),
    ('services = ["main"]', 'services = ["mian"]', "there is no service 'mian', neither in the file", None),
    ('services = ["main"]', 'plan_time = "now"', "must be a time that stays the same whenever", None),
    ('goal = "replies"', 'goal = "sales"', "'sales' is nothing that an experiment counts", None),
    ("min_sample = 50", "sample = 50", "sample says nothing about an experiment", None),
    ('after = "intro"', 'after = "second"', "a task cannot follow itself, nor a task that follows it", ""),
    ('after = "intro"', 'after = "into"', "there is no task 'spring/into'", "did you mean 'spring/intro'?"),
    ("days = 3", "days = 0", "must be from 1 to 365, not 0", ""),
    ('if = ["no reply"]', 'if = ["no replies"]', "'no replies' is not a condition", None),
]


@pytest.mark.parametrize(("right", "wrong", "message", "hint"), SLIPS, ids=[slip[1] for slip in SLIPS])
def test_a_slip_is_told_with_its_line(
    request: pytest.FixtureRequest, right: str, wrong: str, message: str, hint: str | None
) -> None:
    line = WHOLE[: WHOLE.index(right)].count("\n") + 1
    text = WHOLE.replace(right, wrong, 1)
    # Most slips show without a database.
    found = read(text, "f", Path("/nowhere")).mistakes
    found = found or mistakes(request.getfixturevalue("sqlite_world"), text)
    (mistake,) = [one for one in found if message in one.message]
    assert mistake.line == line
    if hint is not None:
        assert mistake.hint == hint


def test_everything_that_is_wrong_is_told_at_once(sqlite_world: World) -> None:
    text = WHOLE
    chosen = [slip for slip in SLIPS if slip[1].startswith(("dayly", "feld", "new_per_day = 0", "days"))]
    for right, wrong, _message, _hint in [*chosen, ("<p>Second</p>", "<p>{{ nobody }}</p>", "", "")]:
        text = text.replace(right, wrong, 1)
    where = [mistake.where for mistake in mistakes(sqlite_world, text)]
    assert where == [
        "[services.main] dayly_quota",
        "[variables.first_name] feld",
        "[templates.second]",
        "[campaigns.spring] new_per_day",
        "[campaigns.spring.tasks.second] days",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[services.new]\ntype = "smtp"\n', "to create it, from, daily_quota, host must be given"),
        ("[variables.new]\n", "to create it, field or tag or prefix or system must be given"),
        ("[templates.new]\n", "to create it, subject, body or body_file must be given"),
        ("[campaigns.spring.tasks.new]\n", "to create it, template_set, rule must be given"),
        (TASK + "days = 2\n", "to create it, after must be given"),
        (TASK + 'after = "intro"\n', "to create it, days must be given"),
        (SERVICE + 'password_env = "X"\n', "username is missing: a password or token alone does not log in"),
        (SERVICE + 'tls = "none"\nlogin = true\n', "tls none would send the password to h.example in clear"),
        ('[variables.two]\nfield = "a"\ntag = "b"\n', "a variable has one source, and field is one already"),
        ("[campaigns.7]\n", "'7' cannot be the name of a campaign"),
        ('[campaigns." x"]\n', "a name neither begins nor ends with a space"),
        ("[campaigns.x]\ntasks = 3\n", "must be sections: [campaigns.x.tasks.NAME]"),
        ("templates = 3\n", "must be sections: [templates.NAME]"),
        ("[templates]\nx = 3\n", "must be a section of its own, with its name: [templates.NAME]"),
        ("[tasks.x]\n", "there is no such section"),
        ('[template_sets.new]\ntemplates = ["1"]\n', "must be a name: the id 1 is another thing's"),
    ],
)
def test_what_is_missing_or_out_of_place_is_told(whole: World, text: str, message: str) -> None:
    (mistake,) = mistakes(replace(whole, environ={"X": "secret"}), text)
    assert message in mistake.message
    assert mistake.line > 0


@pytest.mark.parametrize(
    ("text", "line"), [("[a\n", 1), ("a = 1\nb = = 2\n", 2), ("[a]\n[b]\n[a]\n", 3), ('a = "x', 1)]
)
def test_what_is_not_toml_is_told_with_its_line(sqlite_world: World, text: str, line: int) -> None:
    (mistake,) = mistakes(sqlite_world, text)
    assert mistake.line == line
    assert mistake.message.startswith("is not TOML: ")


def long_chain(tasks: int) -> str:
    after = (f'[campaigns.c.tasks.t{n}]\nafter = "t{n + 1}"\ndays = 1\n' for n in range(tasks))
    return "[campaigns.c]\n" + "".join(after)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"services.x.daily_quota{'.a' * 3000} = 1\n", "is nested too deeply"),
        (f"[services.x]\ndaily_quota = {'[' * 3000}{']' * 3000}\n", "is nested too deeply"),
        ("[services.x]\nfrom = 12:30:00\n", "must be text in quotes, not 12:30:00"),
    ],
    ids=["keys", "lists", "time"],
)
def test_what_nobody_would_write_is_told_as_well(text: str, message: str) -> None:
    (mistake,) = read(text, "f", Path("/nowhere")).mistakes
    assert mistake.message == message


@pytest.mark.costly
def test_a_chain_of_any_length_is_put_in_order() -> None:
    found = read(long_chain(3000), "f", Path("/nowhere"))
    assert found.mistakes == []
    chain = TASKS.in_order([entry for entry in found.entries if entry.kind is TASKS])
    assert [entry.names[1] for entry in chain] == [f"t{n}" for n in reversed(range(3000))]


def test_only_those_in_a_circle_are_told_of_it() -> None:
    text = long_chain(5).replace('"t5"', '"t2"')  # 0, 1 lead into 2, 3, 4
    found = read(text, "f", Path("/nowhere")).mistakes
    assert [mistake.where for mistake in found] == [f"[campaigns.c.tasks.t{n}] after" for n in (2, 3, 4)]


@pytest.mark.costly
@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([kind.section for kind in KINDS] + ["x"]),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from([key.name for kind in KINDS for key in kind.keys] + ["tasks", "a"]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_whatever_toml_holds_is_read_or_refused(document: dict[str, object]) -> None:
    found = Document("f")
    reading.Reading(found, {}, Path("/nowhere")).sections(document)
    assert all(entry.sound for entry in found.entries) or found.mistakes


def test_options_in_what_a_use_case_says_become_keys() -> None:
    said = "--tls none: give --username; there is no password: --password-stdin or --password-env VARIABLE"
    assert as_keys(said) == "tls none: give username; there is no password: password_env or login = true"


class TestCommand:
    @pytest.mark.costly
    def test_mistakes_are_listed_for_people_and_for_scripts_and_nothing_is_done(
        self, project: Project
    ) -> None:
        project.write("bad.toml", WHOLE.replace("daily_quota = 500", "dayly_quota = 500"))
        result = project.run("apply", "bad.toml", "--yes", check=False)
        assert result.code == 4
        assert (
            "bad.toml:6 [services.main] dayly_quota: there is no such key\n    did you mean daily_quota?"
            in result.err
        )
        error = project.run("apply", "bad.toml", "--yes", "--json", check=False).error
        assert error["code"] == "invalid_input"
        assert error["mistakes"] == [
            {
                "file": "bad.toml",
                "line": 6,
                "where": "[services.main] dayly_quota",
                "message": "there is no such key",
                "hint": "did you mean daily_quota?",
            }
        ]
        with project.database.read() as connection:
            assert connection.execute(sa.select(sender_services)).first() is None

    @pytest.mark.costly
    def test_it_shows_what_it_would_do_and_asks(self, sqlite_project: Project) -> None:
        sqlite_project.write("setup.toml", WHOLE)
        shown = sqlite_project.run("apply", "setup.toml", "--dry-run").out
        assert "+ service 'main'" in shown
        assert "nothing was done: 10 created if it were applied" in shown
        asked = sqlite_project.run("apply", "setup.toml", check=False)
        assert (asked.code, "+ service 'main'" in asked.out) == (2, True)
        assert "Apply these 10 changes? Not answered." in asked.err
        assert sqlite_project.run("apply", "setup.toml", "--yes").out.endswith("10 created\n")
        sqlite_project.write("setup.toml", WHOLE.replace("Dear", "Hello").replace("quota = 500", "quota = 7"))
        shown = sqlite_project.run("apply", "setup.toml", "--yes").out
        assert "~ service 'main'\n    daily_quota: 500 -> 7\n" in shown
        assert "    body:\n" in shown
        assert "\n      -<p>Dear {{ first_name }}" in shown
        assert "\n      +<p>Hello {{ first_name }}" in shown
        assert "nothing has to be changed" in sqlite_project.run("apply", "setup.toml").out

    @pytest.mark.costly
    def test_the_document_for_scripts(self, sqlite_project: Project) -> None:
        sqlite_project.write("setup.toml", WHOLE)
        made = sqlite_project.json("apply", "setup.toml", "--yes")
        assert made["applied"] is True
        assert made["changes"][0] == {
            "action": "create",
            "kind": "service",
            "name": "main",
            "keys": made["changes"][0]["keys"],
            "notes": [],
        }
        assert made["changes"][0]["keys"]["daily_quota"] == {"before": None, "after": "500"}
        again = sqlite_project.json("apply", "setup.toml")
        assert (again["changes"], len(again["unchanged"])) == ([], 10)

    @pytest.mark.parametrize(("content", "code"), [(None, 3), (b"\xff\xfe", 4)])
    def test_a_file_that_cannot_be_read_is_told(
        self, sqlite_project: Project, content: bytes | None, code: int
    ) -> None:
        if content is not None:
            (sqlite_project.folder / "f.toml").write_bytes(content)
        assert sqlite_project.run("apply", "f.toml", check=False).code == code


def test_standard_input_that_is_not_utf_8_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"# \xff"), encoding="utf-8"))
    with pytest.raises(InvalidInput, match="standard input is not UTF-8"):
        command.document(command.STDIN)


def test_the_nearest_name_is_looked_for_in_the_database_too(whole: World) -> None:
    (mistake,) = mistakes(whole, '[template_sets.intros]\ntemplates = ["intr"]\n')
    assert mistake.hint == "did you mean 'intro'?"


def test_files_are_found_beside_the_file_that_names_them(sqlite_world: World, folder: Path) -> None:
    (folder / "texts").mkdir()
    (folder / "texts" / "a.html").write_bytes("\ufeff<p>Hello</p>\r\n".encode())
    text = '[templates.a]\nsubject = "A"\nbody_file = "texts/a.html"\n'
    apply(sqlite_world, text, folder)
    assert mistakes(sqlite_world, text, folder) == []
    document = read(text, "f", folder)
    assert document.entries[0].values["body"] == "<p>Hello</p>\n"
