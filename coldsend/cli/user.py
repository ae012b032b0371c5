"""``coldsend user``: who works with coldsend, and in which role."""

from __future__ import annotations

from typing import Annotated

import typer

from coldsend import clock
from coldsend.cli.context import current
from coldsend.cli.noun import noun, verb
from coldsend.database.engine import Connection
from coldsend.domain.access import require_admin
from coldsend.domain.states import Role
from coldsend.errors import Refused
from coldsend.stores import users

app = noun("Users and their roles.")


@verb(app, "coldsend user add anna", "coldsend user add boss --role admin")
def add(
    username: Annotated[str, typer.Argument(help="Name of the new user.")],
    role: Annotated[
        Role, typer.Option(help="operator: works with what it made; admin: everything.")
    ] = Role.OPERATOR,
) -> None:
    """Add a user (admins only)."""
    run = current()
    require_admin(run.actor, "add users")
    user_id = run.database.run(lambda connection: users.add(connection, username, role, clock.now()))
    run.out.done(f"user {username!r} added as {role}", {"id": user_id, "username": username, "role": role})


@verb(app, "coldsend user list", name="list")
def list_users() -> None:
    """List all users."""
    run = current()
    with run.database.read() as connection:
        rows = users.listed(connection)
    columns = {"id": "ID#", "username": "USER", "role": "ROLE", "created_at": "SINCE (UTC)"}
    run.out.table([dict(row) for row in rows], columns, empty="no users yet: coldsend init")


@verb(app, "coldsend user role anna admin", name="role")
def change_role(
    username: Annotated[str, typer.Argument(help="Name or id of the user.")],
    role: Annotated[Role, typer.Argument(help="operator or admin.")],
) -> None:
    """Change a user's role (admins only); the last admin stays one."""
    run = current()
    require_admin(run.actor, "change roles")

    def work(connection: Connection) -> int:
        user = users.find(connection, username)
        admins = [row["id"] for row in users.listed(connection) if row["role"] == Role.ADMIN]
        if role != Role.ADMIN and admins == [user["id"]]:
            raise Refused(f"{user['username']!r} is the only admin", hint="make another user admin first")
        users.set_role(connection, user["id"], role)
        return int(user["id"])

    user_id = run.database.run(work)
    run.out.done(f"user {username!r} is now {role}", {"id": user_id, "username": username, "role": role})
