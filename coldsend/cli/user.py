"""``coldsend user``: who works with coldsend, and in which role."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.cli.context import current
from coldsend.cli.noun import changes, noun, reads
from coldsend.database.engine import Connection
from coldsend.domain.access import require_admin, require_admin_left
from coldsend.domain.states import Role
from coldsend.stores import users

app = noun("Users and their roles.")


@changes(app, "coldsend user add anna", "coldsend user add boss --role admin")
def add(
    username: Annotated[str, typer.Argument(help="Name of the new user.")],
    role: Annotated[
        Role, typer.Option(help="operator: works with what it made; admin: everything.")
    ] = Role.OPERATOR,
) -> None:
    """Add a user (admins only)."""
    run = current()
    require_admin(run.actor, "add users")
    now = clock.now()

    def work(connection: Connection) -> dict[str, Any]:
        user = users.find(connection, users.add(connection, username, role, now))
        return {"id": user["id"], "username": user["username"], "role": user["role"]}

    added = run.database.run(work)
    run.out.done(f"user {added['username']!r} added as {role}", added)
    if role == Role.OPERATOR and not run.out.json:
        run.out.note(
            f"grant it a service to send through: coldsend service grant SERVICE {added['username']}"
        )


@reads(app, "coldsend user list", name="list")
def list_users() -> None:
    """List all users."""
    run = current()
    acting = run.actor
    with run.database.read() as connection:
        rows = users.listed(connection)
    columns = {"id": "ID#", "username": "USER", "role": "ROLE", "created_at": "SINCE (UTC)"}
    run.out.table([dict(row) for row in rows], columns, empty="no users yet: coldsend init")
    if not run.out.json:
        run.out.note(f"you act as {acting.username!r}")


@changes(app, "coldsend user role anna admin", name="role")
def change_role(
    username: Annotated[str, typer.Argument(help="Name or id of the user.")],
    role: Annotated[Role, typer.Argument(help="operator or admin.")],
) -> None:
    """Change a user's role (admins only); the last admin stays one."""
    run = current()
    require_admin(run.actor, "change roles")

    def work(connection: Connection) -> dict[str, Any]:
        user = users.find(connection, username)
        admins = [row["id"] for row in users.admins(connection, locked=True)]
        require_admin_left(admins, user["id"], user["username"], role)
        users.set_role(connection, user["id"], role)
        return {"id": user["id"], "username": user["username"], "role": role}

    changed = run.database.run(work)
    run.out.done(f"user {changed['username']!r} is now {role}", changed)
