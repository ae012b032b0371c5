"""``coldsend export``: the setup as a file for ``coldsend apply``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from coldsend.blueprint import exporting
from coldsend.cli import advice
from coldsend.cli.apply import world_of
from coldsend.cli.context import Run, current
from coldsend.cli.noun import reads, single
from coldsend.errors import InvalidInput

app = single()

INLINE = "inline"


@reads(
    app,
    "coldsend export > setup.toml",
    "coldsend export spring --out spring.toml",
    "coldsend export spring --out setup/spring.toml --bodies setup/texts",
)
def export(
    campaigns: Annotated[
        list[str] | None,
        typer.Argument(metavar="CAMPAIGN..", help="Only these campaigns, and what they need."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there; left out: standard output.")
    ] = None,
    bodies: Annotated[
        str,
        typer.Option(
            metavar="DIR|inline", help="Put templates into files in DIR, or leave them in the file."
        ),
    ] = INLINE,
) -> None:
    """Write services, variables, templates, sets, campaigns and tasks as a file for `apply`.

    Applied where it was made it changes nothing. Passwords are never in it; what is missing for them is said.
    """
    run = current()
    world = world_of(run)
    beside = out.absolute().parent if out is not None else Path.cwd()
    folder = None if bodies == INLINE else os.path.relpath(Path(bodies).expanduser().absolute(), beside)
    made = exporting.export(world, campaigns or (), folder)
    files = {beside / path: text for path, text in made.files.items()}
    if out is not None:
        files[out] = made.text
    _write(run, files)
    document = {"text": None if out else made.text, "out": out, "files": list(files), "notes": made.notes}
    if out is not None or run.json:
        run.out.done(f"written to {out}", document)
    else:
        run.out.plain(made.text.removesuffix("\n"))
    for note in made.notes:
        advice.next_step(run, f"note: {note}")


def _write(run: Run, files: dict[Path, str]) -> None:
    if there := [str(path) for path in files if path.exists()]:
        more = f" and {len(there) - 1} more files" if len(there) > 1 else ""
        run.out.confirm(f"Write over {there[0]}{more}?")
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise InvalidInput(f"{path} cannot be written: {error.strerror}") from error
