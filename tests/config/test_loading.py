"""Reading the configuration: sources, places of errors, and that nothing makes it crash."""

from __future__ import annotations

import os
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.config import loading
from coldsend.config.converting import from_toml, from_variable
from coldsend.config.settings import SECTIONS, Settings, all_keys
from coldsend.database.engine import parse_url
from coldsend.errors import ColdsendError, InvalidInput, NotFound


def written(folder: Path, text: str | bytes) -> str:
    file = folder / "coldsend.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(file)


def read(folder: Path, text: str | bytes, **environ: str) -> Settings:
    return loading.load(written(folder, text), environ)


def problems(folder: Path, text: str | bytes, **environ: str) -> list[str]:
    return [str(problem) for problem in loading.read(written(folder, text), environ)[1]]


def test_without_file_and_variables_everything_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = loading.load(None, {})
    assert settings.source is None
    assert settings.web.port == 8025
    assert settings.delivery.retry_minutes == (5, 15, 30, 60, 120, 240)


def test_values_of_the_file_are_read_with_their_types(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        'postal_address = "1 Main\u3000Street\\nSpringfield"\n[web]\nport = 80\n'
        '[delivery]\ntrack_opens = false\nretry_minutes = [1, 2.5]\n[log]\nlevel = "debug"\n',
    )
    assert settings.postal_address == "1 Main\u3000Street\nSpringfield"
    assert settings.web.port == 80
    assert settings.delivery.track_opens is False
    assert settings.delivery.retry_minutes == (1.0, 2.5)
    assert settings.log.level == "debug"


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    settings = read(tmp_path, "[web]\nport = 80\n", COLDSEND_WEB_PORT=" 81\n", COLDSEND_LOG_FORMAT="json")
    assert (settings.web.port, settings.log.format) == (81, "json")


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert read(tmp_path, "[web]\nport = 80\n", COLDSEND_WEB_PORT="").web.port == 80


@pytest.mark.parametrize(("text", "value"), [("YES", True), ("on", True), ("0", False), ("false", False)])
def test_switches_in_variables_are_words(tmp_path: Path, text: str, value: bool) -> None:
    assert read(tmp_path, "", COLDSEND_DELIVERY_TRACK_CLICKS=text).delivery.track_clicks is value


def test_lists_in_variables_are_separated_by_commas_or_spaces(tmp_path: Path) -> None:
    settings = read(tmp_path, "", COLDSEND_DELIVERY_RETRY_MINUTES="1, 2.5 10")
    assert settings.delivery.retry_minutes == (1.0, 2.5, 10.0)


def test_paths_of_the_file_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "coldsend.toml").write_text(
        'secret_key_file = "k"\n[database]\nurl = "sqlite:///d.db"\n[smtp]\nca_file = "ca.pem"\n'
    )
    monkeypatch.chdir(tmp_path)
    settings = loading.load("project/coldsend.toml", {})
    assert settings.secret_key_file == tmp_path / "project" / "k"
    assert settings.state_dir == tmp_path / "project" / ".coldsend"  # defaults, too
    assert settings.database.url == f"sqlite:///{tmp_path}/project/d.db"
    assert settings.smtp.ca_file == str(tmp_path / "project" / "ca.pem")
    assert settings.source == tmp_path / "project" / "coldsend.toml"


def test_paths_of_variables_are_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path)
    environ = {"COLDSEND_SECRET_KEY_FILE": "k", "COLDSEND_DATABASE_URL": "sqlite:///d.db"}
    settings = loading.load(written(tmp_path / "etc", ""), environ)
    assert settings.secret_key_file == tmp_path / "k"
    assert settings.database.url == f"sqlite:///{tmp_path}/d.db"


def test_a_folder_of_any_name_may_hold_the_database(tmp_path: Path) -> None:
    folder = tmp_path / "100%25? #1"
    folder.mkdir()
    url = loading.load(written(folder, '[database]\nurl = "sqlite:///d.db?timeout=3"\n'), {}).database.url
    assert (parse_url(url).database, dict(parse_url(url).query)) == (str(folder / "d.db"), {"timeout": "3"})


def test_absolute_paths_stay_as_they_are(tmp_path: Path) -> None:
    settings = read(tmp_path, 'state_dir = "/var/lib/x"\n[database]\nurl = "sqlite:////srv/x.db"\n')
    assert (settings.state_dir, settings.database.url) == (Path("/var/lib/x"), "sqlite:////srv/x.db")


def test_the_file_is_found_by_option_then_variable_then_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("option.toml", "variable.toml", "coldsend.toml"):
        (tmp_path / name).write_text(f'user = "{name}"')
    monkeypatch.chdir(tmp_path)
    environ = {"COLDSEND_CONFIG": "variable.toml"}
    assert loading.load("option.toml", environ).user == "option.toml"
    assert loading.load(None, environ).user == "variable.toml"
    assert loading.load(None, {}).user == "coldsend.toml"


def test_a_named_file_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        loading.load(str(tmp_path / "nowhere.toml"), {})


def test_all_problems_are_reported_at_once_with_their_line_or_variable(tmp_path: Path) -> None:
    text = (
        "# a comment\n"  # 1
        "secret_kee = 1\n"  # 2
        'postal_address = """\n'  # 3
        "port = 1\n"  # 4, inside the address
        '"""\n'  # 5
        "[web]\n"  # 6
        'port = "80"\n'  # 7
        "hots = 1\n"  # 8
        "[smpt]\n"  # 9
        "[delivery]\n"  # 10
        '"workers" = -1\n'  # 11
    )
    found = problems(tmp_path, text, COLDSEND_LOG_LEVEL="loud")
    assert [line.split(" ")[0] for line in found] == [
        "coldsend.toml:2",
        "coldsend.toml:7",
        "coldsend.toml:8",
        "coldsend.toml:9",
        "coldsend.toml:11",
        "COLDSEND_LOG_LEVEL:",
    ]
    assert "did you mean secret_key?" in found[0]
    assert "[web] port: must be a whole number, not '80'" in found[1]
    assert "did you mean host?" in found[2]
    assert "did you mean [smtp]?" in found[3]
    assert "at least 0" in found[4]
    assert "one of debug, info, warning, error" in found[5]
    with pytest.raises(InvalidInput, match="6 errors"):
        loading.load(str(tmp_path / "coldsend.toml"), {"COLDSEND_LOG_LEVEL": "loud"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web = 1", "coldsend.toml:1 [web]: is a section"),
        ("\n[[web]]\nport = 1", "coldsend.toml:2 [web]: is a section"),
        ("[web.port]\nx = 1", "coldsend.toml:1 [web] port: must be a whole number"),
        ("web.port = 'x'", "coldsend.toml:1 [web] port: must be a whole number, not 'x'"),
        ("[web]\nhost = {a = 1}", "coldsend.toml:2 [web] host: must be text in quotes"),
        ("'web.port' = 1", "coldsend.toml:1 web.port: there is no such key"),
        ("[user]\nx = 1", "coldsend.toml:1 user: must be text in quotes"),
        ("port = 1", "coldsend.toml:1 port: there is no such key; did you mean [web] port?"),
        (
            "[delivery]\nworkers = true",
            "coldsend.toml:2 [delivery] workers: must be a whole number, not True",
        ),
        ("[delivery]\nworkers = 1.5", "coldsend.toml:2 [delivery] workers: must be a whole number, not 1.5"),
        (
            "[delivery]\ngive_up_days = nan",
            "coldsend.toml:2 [delivery] give_up_days: must be a number, not nan",
        ),
        ("[delivery]\nprobe_minutes = inf", "coldsend.toml:2 [delivery] probe_minutes: must be a number"),
        (
            "[delivery]\nretry_minutes = []",
            "coldsend.toml:2 [delivery] retry_minutes: must be a list of numbers",
        ),
        ("[delivery]\nretry_minutes = [5, '6']", "must be a number, not '6'"),
        ("[delivery]\ntrack_opens = 'yes'", "must be true or false, not 'yes'"),
        ("[web]\nbase_url = 'mail.example.com'", "must be like https://mail.example.com"),
        ("[web]\nbase_url = 'https://m.example.com/?x=1'", "no ?query, #fragment or user"),
        ("[smtp]\nhelo_name = 'a\\r\\nQUIT'", None),  # a literal string: backslashes, no line break
        (
            '[smtp]\nhelo_name = "a\\r\\nQUIT"',
            "[smtp] helo_name: has a control character in it, or a line break",
        ),
        ('secret_key_file = "a\\u0000b"', "secret_key_file: has a control character"),
        ("state_dir = '~nobody-of-this-name/x'", "home directory"),
        ("[database]\nurl = 'postgresql://x/y'", "must be like sqlite:///coldsend.db"),
        ("[database]\nurl = 'sqlite://'", "needs a file"),
        ("[database]\nurl = 'sqlite:///:memory:'", "needs a file"),
        ("[database]\nurl = 'mysql://u:p@host'", "must be like"),
        ("[database]\nurl = 'mysql://u:p@host:port/x'", "cannot be read"),
        ("x = ", "coldsend.toml:1: is not TOML: Invalid value"),
        ("a = 1\na = 2", "coldsend.toml:2: is not TOML"),
        (b"\xff\xfe", "coldsend.toml: is not UTF-8"),
        ("x = " + "[" * 5000, "coldsend.toml: is nested too deeply"),
        ("x = " + "9" * 5000, "coldsend.toml: is not TOML: a value cannot be read"),
    ],
)
def test_each_kind_of_mistake_has_its_place_and_sentence(
    tmp_path: Path, text: str | bytes, expected: str | None
) -> None:
    found = problems(tmp_path, text)
    if expected is None:
        assert found == []
    else:
        assert len(found) == 1
        assert expected in found[0]


@pytest.mark.parametrize("number", ["9" * 100, "0x" + "F" * 5000])
def test_an_endless_number_is_not_shown_to_its_end(tmp_path: Path, number: str) -> None:
    (found,) = problems(tmp_path, f"[web]\nport = {number}")
    assert "[web] port: must be" in found
    assert len(found) < 150


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfuser = 'anna'").user == "anna"


def test_a_file_that_cannot_be_read_is_a_problem_not_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", "coldsend.toml")

    file = written(tmp_path, "")
    monkeypatch.setattr(Path, "read_text", refuse)
    assert [str(problem) for problem in loading.read(file, {})[1]] == [
        "coldsend.toml: cannot be read: Permission denied"
    ]


def test_a_mistyped_variable_is_a_problem_and_a_strange_one_is_not(tmp_path: Path) -> None:
    found = problems(tmp_path, "", COLDSEND_WEB_PROT="1", COLDSEND_XYZ_PLUGIN="1", COLDSEND_TEST_CLOCK="x")
    assert found == ["COLDSEND_WEB_PROT: there is no such setting; did you mean COLDSEND_WEB_PORT?"]


def test_a_password_cut_in_two_by_its_own_signs_is_refused_without_being_shown(tmp_path: Path) -> None:
    for password in ("geh/eim", "geh#eim", "geh?eim@x", "12/eim@x"):
        found = problems(tmp_path, f"[database]\nurl = 'mysql://u:{password}@host/name'")
        assert len(found) == 1
        assert "eim" not in found[0]


# Properties

# The mark keeps a secret from being a word of the messages themselves ("configuration").
SECRET = st.text(string.ascii_letters + string.digits, min_size=12, max_size=40).map(lambda text: f"q7{text}")
NAMES = (
    st.sampled_from([key.name for key in all_keys()]) | st.sampled_from(list(SECTIONS)) | st.text(max_size=8)
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def as_toml(value: Any) -> str:
    """Any value as TOML; what TOML has no form for becomes text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(as_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_toml(str(k))} = {as_toml(v)}" for k, v in value.items()) + "}"
    escaped = "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08x}" for c in str(value))
    return f'"{escaped}"'


@pytest.mark.slow
@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=4) | VALUES, max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_document_gives_settings_or_problems(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    text = "".join(f"{as_toml(name)} = {as_toml(value)}\n" for name, value in document.items())
    settings, found = loading.read(written(tmp_path_factory.getbasetemp(), text), {})
    assert isinstance(settings, Settings)
    assert all(problem.where and problem.message for problem in found)


@pytest.mark.costly
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_settings_or_problems(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    settings, _ = loading.read(written(tmp_path_factory.getbasetemp(), content), {})
    assert isinstance(settings, Settings)


@pytest.mark.slow
@given(
    st.dictionaries(
        st.sampled_from([key.variable for key in all_keys()]) | st.text(max_size=9).map("COLDSEND_".__add__),
        st.text(st.characters(exclude_characters="\0"), max_size=30),
    )
)
@settings(max_examples=200, deadline=None)
def test_any_environment_gives_settings_or_problems(
    tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]
) -> None:
    environ.pop("COLDSEND_CONFIG", None)
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("cwd", numbered=True))
    try:
        settings, _ = loading.read(None, environ)
    finally:
        os.chdir(before)
    assert isinstance(settings, Settings)


@pytest.mark.slow
@given(VALUES, st.sampled_from(all_keys()))
@settings(max_examples=300, deadline=None)
def test_a_value_that_is_accepted_has_the_type_of_its_key(value: Any, key: Any) -> None:
    for convert, given_value in ((from_toml, value), (from_variable, str(value))):
        try:
            converted = convert(key, given_value)
        except ValueError:
            continue
        kind = tuple if key.type not in (bool, int, float, str, Path) else key.type
        assert type(converted) is kind or isinstance(converted, kind)


@pytest.mark.slow
@given(SECRET, st.sampled_from(["url", "odd url", "key", "list", "typo", "after"]))
@settings(max_examples=200, deadline=None)
def test_no_secret_ever_occurs_in_what_is_shown(
    tmp_path_factory: pytest.TempPathFactory, secret: str, form: str
) -> None:
    text = {
        "url": f"[database]\nurl = 'mysql://u:{secret}@h/n'\n[web]\nport = 'x'\n",
        "odd url": f"[database]\nurl = 'mysql://u:1/{secret}@h/n'\n",
        "key": f"secret_key = '{secret}'\n[web]\nport = 'x'\n",
        "list": f"secret_key = ['{secret}']\n",
        "typo": f"secret_kee = '{secret}'\n",
        "after": f"secret_key = '{secret}' x\n",
    }[form]
    environ: Mapping[str, str] = {"COLDSEND_SECRET_KEY": secret, "COLDSEND_DATABASE_URL": f"x://{secret}"}
    for given_environ in ({}, environ):
        settings, found = loading.read(written(tmp_path_factory.getbasetemp(), text), given_environ)
        shown = f"{settings!r} {settings} {found}"
        try:
            loading.load(str(tmp_path_factory.getbasetemp() / "coldsend.toml"), given_environ)
        except ColdsendError as error:
            shown += f"{error!r} {error} {error.as_json()}"
        assert secret not in shown


@pytest.mark.parametrize("key", ["events_days", "messages_days"])
@pytest.mark.parametrize(("days", "good"), [(0, True), (1, False), (29, False), (30, True), (-1, False)])
def test_events_and_messages_are_kept_long_enough_to_know_them_again(
    tmp_path: Path, key: str, days: int, good: bool
) -> None:
    text = f"[retention]\n{key} = {days}\n"
    if good:
        assert getattr(read(tmp_path, text).retention, key) == days
        return
    with pytest.raises(InvalidInput, match=f"retention.{key}|{key}"):
        read(tmp_path, text)
