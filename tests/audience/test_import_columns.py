"""Which column of a CSV file is what."""

from __future__ import annotations

import pytest

from coldsend.audience.csv_columns import columns
from coldsend.errors import InvalidInput


@pytest.mark.parametrize(
    "header",
    ["email", "E-Mail", "Email Address", "MAIL", "e_mail", "\ufeffemail", "邮箱", "Correo electrónico"],
)
def test_the_address_column_is_found_however_it_is_called(header: str) -> None:
    assert columns(["Company", header], {}).email == 1


def test_other_columns_become_custom_fields_in_their_normal_form() -> None:
    found = columns(
        ["email", "First name", "Nick", "Tags", "Time zone", "Lawful basis", "Source", "公司"], {}
    )
    assert found.fields == ((1, "first_name"), (7, "公司"))
    assert found.others == ((2, "nickname"), (4, "time_zone"), (6, "source"), (5, "lawful_basis"))
    assert found.tags == 3


def test_the_exact_name_wins_over_those_that_are_like_it() -> None:
    found = columns(["mail", "email", "tag", "tags"], {})
    assert (found.email, found.tags) == (1, 3)
    assert found.fields == ((0, "mail"), (2, "tag"))


def test_columns_can_be_named_and_left_out() -> None:
    found = columns(
        ["Kontakt", "Firma", "Notizen", ""], {"kontakt": "email", "Firma": "company", "Notizen": ""}
    )
    assert found.email == 0
    assert found.fields == ((1, "company"),)
    assert found.ignored == ("Notizen", "")


@pytest.mark.parametrize(
    ("header", "mapping", "message", "hint"),
    [
        (["name", "company"], {}, "no column", "'company'"),
        (["bob@acme.com", "Bob"], {}, "not a header", "email,nickname"),
        (["mail", "e-mail"], {}, "'mail' and 'e-mail'", "--map 'mail=email'"),
        (["email", "First name", "first_name"], {}, "both be the field 'first_name'", "--map"),
        (["email", "x"], {"y": "z"}, "'y' is no column", "'x'"),
        (["email", "x"], {"x": "First Name"}, "cannot be the name", "first_name"),
        (["email", "x"], {"x": "email", "email": "email"}, "both be the field 'email'", "--map"),
        (["email", "x", "x"], {"x": "y"}, "several columns", "its columns are"),
        (["email", *map(str, range(1000))], {}, "1001 columns", ""),
    ],
)
def test_a_header_that_cannot_be_understood_is_a_clear_error(
    header: list[str], mapping: dict[str, str], message: str, hint: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        columns(header, mapping)
    assert message in error.value.message
    assert hint in error.value.hint
