"""``coldsend inbox``: what comes back by mail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coldsend import clock
from coldsend.cli.context import current
from coldsend.cli.noun import noun, verb
from coldsend.cli.nouns import NOUNS
from coldsend.errors import NotFound, Refused

if TYPE_CHECKING:
    from coldsend.inbox.classified import Classified

app = noun(NOUNS["inbox"])

LARGEST = 50 * 1024 * 1024  # bytes; what no mail server takes is no message
SHOWN = 60


@verb(
    app,
    "coldsend inbox classify bounce.eml",
    "coldsend inbox classify mails/*.eml --json",
)
def classify(
    files: Annotated[
        list[Path], typer.Argument(help="Messages as they were received (.eml), or plain texts of replies.")
    ],
) -> None:
    """Classify messages: bounce, complaint, automatic reply, reply or other, and whom they are about.

    Nothing is recorded, and neither configuration nor database is needed.
    """
    run = current()
    if run.acting_as:  # else it needs neither configuration nor database
        _ = run.actor
    _require_files(files)
    if run.json:
        run.out.stream(_documents(files))
        return
    columns = {"file": "file", "kind": "kind", "recipient": "recipient", "hard": "hard", "reason": "reason"}
    columns |= {"status": "status", "text": "text"}
    rows = [row for document in _documents(files) for row in _rows(document)]
    run.out.table(rows, columns, empty="there is nothing to classify")


def _require_files(files: Sequence[Path]) -> None:
    """All files can be read, before the first is: half a list helps nobody."""
    for file in files:
        if not file.exists():
            raise NotFound(f"there is no file {file}")
        if file.is_dir():
            raise Refused(f"{file} is a folder", hint=f"name its files: coldsend inbox classify {file}/*.eml")
        if file.stat().st_size > LARGEST:
            raise Refused(f"{file} is too large for a message", hint="name files with one message each")


def _documents(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    from coldsend.inbox.classify import classify as classified  # noqa: PLC0415

    now = clock.now()
    for file in files:
        yield _document(str(file), classified(file.read_bytes(), now))


def _document(file: str, found: Classified) -> dict[str, Any]:
    return {
        "file": file,
        "kind": found.kind,
        "recipients": [
            {
                "address": each.address,
                "status": each.status,
                "action": each.action,
                "hard": each.hard,
                "reason": each.reason,
                "diagnostic": each.diagnostic,
            }
            for each in found.recipients
        ],
        "text": found.text,
        "sender": found.sender,
        "subject": found.subject,
        "message_ids": list(found.message_ids),
        "away_until": found.away_until,
    }


def _rows(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One line for each recipient; for other messages one, with the beginning of their text."""
    text = " ".join(document["text"].split())
    row = {
        "file": document["file"],
        "kind": document["kind"],
        "text": text if len(text) <= SHOWN else f"{text[:SHOWN]}..",
    }
    if not document["recipients"]:
        yield row
    for each in document["recipients"]:
        yield {
            **row,
            "recipient": each["address"],
            "hard": each["hard"],
            "reason": each["reason"] if each["action"] in ("", "failed") else each["action"],
            "status": each["status"],
            "text": each["diagnostic"]
            if len(each["diagnostic"]) <= SHOWN
            else f"{each['diagnostic'][:SHOWN]}..",
        }
