"""What `service grant` and `service revoke` do."""

from __future__ import annotations

from coldsend import clock
from coldsend.cli.context import Run
from coldsend.database.engine import Connection
from coldsend.stores import access, services, users


def change(run: Run, name: str, user: str, *, granted: bool) -> None:
    now = clock.now()

    def work(connection: Connection) -> tuple[str, str, bool]:
        service, person = services.find(connection, name), users.find(connection, user)
        if granted:
            changed = access.grant(connection, person["id"], service["id"], now)
        else:
            changed = access.revoke(connection, person["id"], service["id"])
        return service["name"], person["username"], changed

    service, person, changed = run.database.run(work)
    may = "may" if granted else "may no longer"
    already = "" if changed else ": so it was already"
    run.out.done(
        f"{person!r} {may} send through service {service!r}{already}",
        {"service": service, "user": person, "granted": granted, "changed": changed},
    )
