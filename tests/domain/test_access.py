"""Who may do what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.access import (
    Actor,
    checked_username,
    require_admin,
    require_admin_left,
    require_granted,
    require_owner,
)
from coldsend.domain.states import Role
from coldsend.errors import InvalidInput, NotAllowed, Refused

ADMIN = Actor(1, "boss", Role.ADMIN)
ANNA = Actor(2, "anna", Role.OPERATOR)


def test_an_operator_may_use_what_it_created_and_nothing_of_others() -> None:
    require_owner(ANNA, 2, "campaign 'spring'")
    with pytest.raises(NotAllowed, match="campaign 'spring' belongs to another user"):
        require_owner(ANNA, 3, "campaign 'spring'")


def test_an_admin_may_do_everything() -> None:
    require_owner(ADMIN, 3, "campaign 'spring'")
    require_admin(ADMIN, "add services")
    require_granted(ADMIN, set(), 5, "gmail-1")


def test_an_operator_may_not_do_what_is_for_admins() -> None:
    with pytest.raises(NotAllowed, match="only admins may add services"):
        require_admin(ANNA, "add services")


def test_an_operator_sends_only_through_services_granted_to_it() -> None:
    require_granted(ANNA, {5}, 5, "gmail-1")
    with pytest.raises(NotAllowed, match="not granted to user 'anna'") as caught:
        require_granted(ANNA, {4}, 5, "gmail-1")
    assert caught.value.hint == "an admin can grant it: coldsend service grant gmail-1 anna"


def test_the_only_admin_stays_one() -> None:
    with pytest.raises(Refused, match="only admin"):
        require_admin_left([1], 1, "boss", Role.OPERATOR)
    require_admin_left([1], 1, "boss", Role.ADMIN)
    require_admin_left([1, 2], 1, "boss", Role.OPERATOR)
    require_admin_left([1], 2, "anna", Role.OPERATOR)


@pytest.mark.parametrize("name", ["anna", " anna ", "anna@example.com", "a.b-c_d+1", "Ольга", "李", "9to5"])
def test_names_that_users_may_have(name: str) -> None:
    assert checked_username(name) == name.strip()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("a b", "' ' is not allowed"),
        ("a/b", "'/' is not allowed"),
        ("a\nb", r"'\\n' is not allowed"),
        ("a\x1b[31m", "is not allowed"),
        ("-anna", "begin with a letter or digit"),
        ("--yes", "begin with a letter or digit"),
        ("12", "digits alone are ids"),
        ("x" * 65, "more than 64"),
    ],
)
def test_names_that_users_may_not_have(name: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        checked_username(name)


@pytest.mark.costly
@given(st.text(max_size=70))
def test_a_name_that_is_accepted_is_accepted_as_it_is_stored(name: str) -> None:
    try:
        stored = checked_username(name)
    except InvalidInput:
        return
    assert checked_username(stored) == stored
