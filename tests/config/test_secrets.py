"""Sealing secrets, and the key file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.config.secrets import (
    KeyRing,
    key_file_locked,
    key_id,
    load_key_ring,
    new_key,
    parse_key,
    read_key_file,
    write_key_file,
)
from coldsend.config.settings import Settings
from coldsend.errors import ColdsendError, InvalidInput, NotFound, Refused, WrongState

OWNER = "sender_services/1"


def ring(*keys: str) -> KeyRing:
    return KeyRing([parse_key(key, "test") for key in keys])


@pytest.mark.costly
@given(st.dictionaries(st.text(max_size=10), st.text(max_size=50), max_size=4))
@settings(max_examples=50, deadline=None)
def test_what_is_sealed_opens_again(secret: dict[str, str]) -> None:
    keys = ring(new_key())
    assert keys.open(json.loads(json.dumps(keys.seal(secret, OWNER))), OWNER) == secret


def test_a_value_moved_to_another_row_does_not_open() -> None:
    keys = ring(new_key())
    sealed = keys.seal({"password": "x"}, OWNER)
    with pytest.raises(Refused, match="belongs to another row") as caught:
        keys.open(sealed, "sender_services/2")
    assert "coldsend service update 2 --password-stdin" in caught.value.hint


@pytest.mark.parametrize("part", ["nonce", "data"])
def test_an_altered_value_does_not_open(part: str) -> None:
    keys = ring(new_key())
    sealed = keys.seal({"password": "x"}, OWNER)
    first = "B" if sealed[part][0] == "A" else "A"
    for altered in (first + sealed[part][1:], "", "?", None, 5):
        with pytest.raises(Refused, match="cannot be decrypted"):
            keys.open({**sealed, part: altered}, OWNER)


def test_a_value_whose_key_is_missing_names_the_key() -> None:
    old, other = new_key(), new_key()
    sealed = ring(old).seal({"password": "x"}, OWNER)
    with pytest.raises(Refused, match=key_id(parse_key(old, ""))):
        ring(other).open(sealed, OWNER)


def test_the_first_key_seals_and_all_open() -> None:
    old, new = new_key(), new_key()
    sealed_by_old = ring(old).seal({"n": "1"}, OWNER)
    both = ring(new, old)
    assert both.open(sealed_by_old, OWNER) == {"n": "1"}
    assert not both.is_current(sealed_by_old)
    assert both.is_current(both.seal({"n": "1"}, OWNER))


def test_the_same_secret_never_looks_the_same() -> None:
    keys = ring(new_key())
    assert keys.seal({"n": "1"}, OWNER)["data"] != keys.seal({"n": "1"}, OWNER)["data"]


def test_a_ring_shows_ids_and_never_keys() -> None:
    key = new_key()
    keys = ring(key)
    assert key not in f"{keys!r}{keys}"
    assert key_id(parse_key(key, "")) in repr(keys)


@given(st.text(max_size=60).filter(lambda text: len(text.strip()) != 43))
def test_what_is_not_a_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_key(text, "somewhere")
    assert caught.value.message == "a key in somewhere is not 32 bytes of base64"


def test_keys_come_from_the_setting_before_the_file(tmp_path: Path) -> None:
    first, second = new_key(), new_key()
    settings = Settings(secret_key=f"{first}, {second}", secret_key_file=tmp_path / "none")
    assert load_key_ring(settings).ids == [key_id(parse_key(key, "")) for key in (first, second)]


def test_the_key_file_is_readable_by_its_owner_only_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "coldsend.key"
    keys = [new_key(), new_key()]
    write_key_file(file, keys)
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_key_file(file) == [parse_key(key, "") for key in keys]
    assert [path.name for path in file.parent.iterdir()] == ["coldsend.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "coldsend.key"
    write_key_file(file, [new_key()])
    file.chmod(mode)
    with pytest.raises(Refused, match="can be read by other users") as caught:
        load_key_ring(Settings(secret_key_file=file))
    assert caught.value.hint == f"run: chmod 600 {file}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", NotFound),
        (b"# only a comment\n", NotFound),
        (b"not a key\n", InvalidInput),
        (b"\xff\xfe\x00", InvalidInput),
    ],
)
def test_a_damaged_key_file_is_an_error_that_names_it(
    tmp_path: Path, content: bytes, expected: type[ColdsendError]
) -> None:
    file = tmp_path / "coldsend.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(expected, match=r"coldsend\.key"):
        read_key_file(file)


def test_a_missing_key_file_leads_to_init(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        load_key_ring(Settings(secret_key_file=tmp_path / "none"))
    assert caught.value.hint == "create one with: coldsend init"


def test_a_directory_in_the_place_of_the_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        read_key_file(tmp_path)


def test_writing_replaces_the_file_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "coldsend.key"
    write_key_file(file, [new_key()])
    before = file.read_bytes()

    def fail(_descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_key_file(file, [new_key()])
    assert file.read_bytes() == before


def test_only_one_process_changes_the_key_file(tmp_path: Path) -> None:
    file = tmp_path / "coldsend.key"
    with key_file_locked(file), pytest.raises(WrongState, match="another coldsend"), key_file_locked(file):
        pass
    with key_file_locked(file):
        pass


def test_a_running_process_follows_a_rotation(tmp_path: Path) -> None:
    file = tmp_path / "coldsend.key"
    old, new = new_key(), new_key()
    write_key_file(file, [old])
    started_before = load_key_ring(Settings(secret_key_file=file))
    write_key_file(file, [new])
    sealed = load_key_ring(Settings(secret_key_file=file)).seal({"n": "1"}, OWNER)
    assert started_before.open(sealed, OWNER) == {"n": "1"}
    assert ring(new).is_current(started_before.seal({"n": "2"}, OWNER))


def test_a_process_does_not_seal_with_a_key_that_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "coldsend.key"
    write_key_file(file, [new_key()])
    keys = load_key_ring(Settings(secret_key_file=file))
    file.unlink()
    with pytest.raises(NotFound):
        keys.seal({"n": "1"}, OWNER)
