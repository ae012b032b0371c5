"""Who may do what: contacts are shared, services are granted, the rest belongs to its creator.

Admins may do everything. ``--as`` is attribution on a trusted shell, not authentication.
"""

from __future__ import annotations

from dataclasses import dataclass

from coldsend.domain.states import Role
from coldsend.errors import NotAllowed


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
