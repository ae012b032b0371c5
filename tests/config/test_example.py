"""coldsend.toml.example is complete, true and up to date."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from coldsend.config import example, loading
from coldsend.config.settings import all_keys

FILE = Path(__file__).parents[2] / "coldsend.toml.example"


def test_the_example_file_is_what_the_settings_say() -> None:
    assert FILE.read_text() == example.text(), (
        "run: python -m coldsend.config.example > coldsend.toml.example"
    )


def test_the_example_names_every_key_with_its_default_and_variable() -> None:
    uncommented = re.sub(r"(?m)^# (?=[a-z_]+ = )", "", FILE.read_text())
    document = tomllib.loads(uncommented)
    flat = {
        (f"{name}.{inner}" if isinstance(value, dict) else name): (
            value[inner] if isinstance(value, dict) else value
        )
        for name, value in document.items()
        for inner in (value if isinstance(value, dict) else [""])
    }
    for key in all_keys():
        default = list(key.default) if isinstance(key.default, tuple) else key.default
        assert flat.pop(key.path) == (str(default) if isinstance(default, Path) else default)
        assert key.variable in uncommented
    assert flat == {}


def test_the_example_as_it_stands_changes_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "coldsend.toml"
    copy.write_text(FILE.read_text())
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    settings = loading.load(str(copy), {})
    other = loading.load(str(empty), {})
    assert (settings.web, settings.database, settings.smtp) == (other.web, other.database, other.smtp)


def test_given_values_are_in_force_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "coldsend.toml"
    address = 'A "quoted" \\ name\n1 Main Street \x7f'.rstrip("\x7f ")
    file.write_text(example.text({"postal_address": address, "web.port": 99, "delivery.track_opens": False}))
    settings = loading.load(str(file), {})
    assert settings.postal_address == address
    assert (settings.web.port, settings.delivery.track_opens) == (99, False)


def test_every_key_says_what_it_is_for_and_has_a_variable_of_its_own() -> None:
    keys = all_keys()
    assert len({key.variable for key in keys}) == len(keys)
    assert all(key.doc.endswith(".") for key in keys)
