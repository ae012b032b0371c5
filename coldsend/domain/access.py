"""Who may do what: contacts are shared, services are granted, the rest belongs to its creator.

Admins may do everything. ``--as`` is attribution on a trusted shell, not authentication.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote

from coldsend.domain.states import Role
from coldsend.errors import InvalidInput, NotAllowed, Refused

USERNAME_LIMIT = 64
USERNAME_SIGNS = frozenset("._-+@")


@dataclass(frozen=True, slots=True)
class Actor:
    """The user a command acts as."""

    id: int
    username: str
    role: Role

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN


def require_admin(actor: Actor, deed: str) -> None:
    """NotAllowed unless the actor is an admin. ``deed``: "add sender services"."""
    if not actor.is_admin:
        raise NotAllowed(
            f"user {actor.username!r} is an operator: only admins may {deed}",
            hint="ask an admin, or act as one: --as ADMIN",
        )


def require_owner(actor: Actor, created_by: int, thing: str) -> None:
    """NotAllowed unless the actor created the thing or is an admin. ``thing``: "campaign 'spring'"."""
    if not actor.is_admin and actor.id != created_by:
        raise NotAllowed(
            f"{thing} belongs to another user: {actor.username!r} may not change or use it",
            hint="act as its creator or as an admin: --as USER",
        )


def require_granted(actor: Actor, granted: Iterable[int], service_id: int, service: str) -> None:
    """NotAllowed unless the actor is an admin or the service is among those granted to it."""
    if not actor.is_admin and service_id not in granted:
        raise NotAllowed(
            f"service {service!r} is not granted to user {actor.username!r}",
            hint=f"an admin can grant it: coldsend service grant {quote(service)} {actor.username}",
        )


def require_admin_left(admins: Iterable[int], user_id: int, username: str, role: Role) -> None:
    """Refused where giving this user ``role`` would leave no admin. ``admins``: the ids of all of them."""
    if role != Role.ADMIN and set(admins) == {user_id}:
        raise Refused(
            f"{username!r} is the only admin: somebody must be one",
            hint="make another user admin first: coldsend user role USER admin",
        )


def checked_username(name: str) -> str:
    """A new user's name as it is stored (NFC).

    Letters, digits and ``. _ - + @``, a letter or digit first, at most 64, not only digits (those are ids):
    it must be typed after ``--as`` and be told apart in logs. InvalidInput says which rule is broken.
    """
    name = unicodedata.normalize("NFC", name.strip())
    wrong = next(
        (c for c in name if not (c.isalnum() or c in USERNAME_SIGNS or unicodedata.combining(c))), None
    )
    if not name:
        reason = "it is empty"
    elif len(name) > USERNAME_LIMIT:
        reason = f"it has {len(name)} characters, more than {USERNAME_LIMIT}"
    elif wrong is not None:
        reason = f"{wrong!r} is not allowed in it"
    elif name.isdecimal():
        reason = "digits alone are ids"
    elif not name[0].isalnum():
        reason = "it must begin with a letter or digit"
    else:
        return name
    raise InvalidInput(
        f"{name[:USERNAME_LIMIT]!r} cannot be a user's name: {reason}",
        hint="letters, digits and . _ - + @, such as anna or anna@example.com",
    )
