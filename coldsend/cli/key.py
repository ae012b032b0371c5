"""``coldsend key``: the keys that encrypt credentials."""

from __future__ import annotations

from coldsend.cli.context import Run, current
from coldsend.cli.noun import changes, noun, reads
from coldsend.config.secrets import new_key
from coldsend.domain.access import require_admin
from coldsend.installation import rotation
from coldsend.stores import sealed

app = noun("The keys that encrypt credentials.")


@reads(app, "coldsend key new", "COLDSEND_SECRET_KEY=$(coldsend key new) coldsend init", name="new")
def new() -> None:
    """Print a fresh key; it is not put into use.

    Needs neither configuration nor database, so that the first key can be made with it.
    """
    run = current()
    key = new_key()
    if run.out.json:
        run.out.data({"key": key})
    else:
        run.out.plain(key)


@changes(app, "coldsend key rotate")
def rotate() -> None:
    """Bring a new key into use and encrypt everything with it (admins only).

    The key file holds both keys until all is encrypted anew; an interrupted run is finished by the next one.
    Where several hosts share a database, first put the new key before the old one in every key file: then
    nothing is unreadable anywhere, and this command goes on from there.
    """
    run = current()
    require_admin(run.actor, "rotate keys")
    done = rotation.rotate(run.settings, run.database)
    document = {
        "current": done.current,
        "resealed": done.resealed,
        "dropped": list(done.dropped),
        "removable": list(done.removable),
    }
    run.out.done(f"key {done.current} is in use; values encrypted anew: {done.resealed}", document)
    if run.out.json:
        return
    if done.dropped:
        run.out.note(f"taken out of the key file: {', '.join(done.dropped)}; old backups still need it")
    if done.removable:
        run.out.note(f"no longer needed: {', '.join(done.removable)}; take it out of COLDSEND_SECRET_KEY")


@reads(app, "coldsend key status")
def status() -> None:
    """Show which keys there are, by their ids, and how many values need each."""
    run = current()
    _ = run.actor
    with run.database.read() as connection:
        needed = sealed.key_ids(connection)
    known = run.keys.ids
    rows = [
        {
            "id": key_id,
            "state": _state(key_id, known),
            "values": needed.get(key_id, 0),
            "where": _where(run) if key_id in known else None,
        }
        for key_id in [*known, *sorted(set(needed) - set(known))]
    ]
    columns = {"id": "KEY", "state": "STATE", "values": "VALUES#", "where": "WHERE"}
    run.out.table(rows, columns, empty="no keys: coldsend init")


def _state(key_id: str, known: list[str]) -> str:
    if key_id not in known:
        return "missing"
    return "in use" if key_id == known[0] else "old"


def _where(run: Run) -> str:
    return "secret_key" if run.settings.secret_key else str(run.settings.secret_key_file)
