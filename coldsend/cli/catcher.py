"""``coldsend catcher``: a mail server for trying things out, and a look at what it caught."""

from __future__ import annotations

import threading
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from coldsend.cli.context import current
from coldsend.cli.noun import noun, reads
from coldsend.cli.output import Output
from coldsend.daemon.stopping import Stopping
from coldsend.demo.caught import Caught, caught_in, one_of
from coldsend.demo.mailbox import HOST, Mailbox
from coldsend.errors import NotFound

app = noun("A mail server on this machine for trying things out: keeps every message, passes none on.")

Folder = Annotated[Path, typer.Option(help="Where the messages lie, a file each.")]
FOLDER = Path("caught")
HEADERS = ("From", "To", "Subject", "In-Reply-To", "List-Unsubscribe")


class Link(StrEnum):
    """The links of a message that the web part answers."""

    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"


@reads(app, "coldsend catcher run", "coldsend catcher run --port 2600 --folder /tmp/caught", name="run")
def run_catcher(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any.")] = 2525,
    folder: Folder = FOLDER,
) -> None:
    """Take mail on 127.0.0.1 for anybody until stopped (SIGTERM or Ctrl-C); nothing leaves this machine.

    A service for it: coldsend service add local --type smtp --host 127.0.0.1 --port 2525 --tls none ..
    """
    out = current().out
    stop = threading.Event()
    with Stopping(stop.set), Mailbox(folder, port, tell=lambda caught: _tell(out, caught)) as mailbox:
        out.note(f"listening on {HOST}:{mailbox.port}, messages go to {folder.absolute()}")
        stop.wait()


@reads(app, "coldsend catcher list", "coldsend catcher list --folder /tmp/caught", name="list")
def list_caught(folder: Folder = FOLDER) -> None:
    """List the messages it caught, in the order in which they came."""
    columns = {"number": "NO#", "to": "TO", "subject": "SUBJECT"}
    rows = [_row(one) for one in caught_in(folder)]
    current().out.table(rows, columns, empty=f"no message has come to {folder}")


@reads(
    app,
    "coldsend catcher show 3",
    "coldsend catcher show bob@example.com",
    "coldsend catcher show bob@example.com --link click",
    "coldsend catcher show 1 --folder spring-dry/intro",
)
def show(
    message: Annotated[
        str, typer.Argument(metavar="NUMBER|EMAIL", help="Its number; of an address the last.")
    ],
    link: Annotated[Link | None, typer.Option(help="Print only this link, the first of its kind.")] = None,
    folder: Folder = FOLDER,
) -> None:
    """Show a message as its recipient reads it: headers, text, and the links that are followed up.

    Reads the folders that `campaign dry-run` writes, too.
    """
    out = current().out
    one = one_of(folder, message)
    if link is not None:
        _print_link(out, one, link)
    elif out.json:
        out.data(_document(one))
    else:
        _print(out, one)


def _tell(out: Output, caught: Caught) -> None:
    out.note(f"{caught.file.name}: {caught.header('Subject')}")


def _row(one: Caught) -> dict[str, Any]:
    return {
        "number": one.number,
        "to": one.recipient,
        "subject": one.header("Subject"),
        "at": one.at,
        "file": one.file,
    }


def _document(one: Caught) -> dict[str, Any]:
    clicks = [{"url": address, "target": target} for address, target in one.links.clicks.items()]
    links = {"open": one.links.open or None, "click": clicks, "unsubscribe": one.links.unsubscribe or None}
    headers = {name: one.header(name) for name in HEADERS if one.header(name)}
    return {**_row(one), "headers": headers, "text": one.part("plain"), "links": links}


def _print_link(out: Output, one: Caught, link: Link) -> None:
    address = {
        Link.OPEN: one.links.open,
        Link.CLICK: next(iter(one.links.clicks), ""),
        Link.UNSUBSCRIBE: one.links.unsubscribe,
    }[link]
    if not address:
        raise NotFound(
            f"{one.file} has no such link: {link.value}",
            hint="messages of `service test` have none, those of campaigns do",
        )
    out.done(address, {link.value: address})


def _print(out: Output, one: Caught) -> None:
    for name in HEADERS:
        if one.header(name):
            out.done(f"{name}: {one.header(name)}", None)
    out.done(f"\n{one.part('plain').rstrip()}\n", None)
    for link, address, target in _followed(one):
        # Not as a table: an address that is folded cannot be copied.
        out.done(f"{link:12} {address}", None)
        if target:
            out.done(f"{'':12} leads to {target}", None)


def _followed(one: Caught) -> list[tuple[str, str, str]]:
    """(what it is, its address, where it leads on) of each link that the web part answers."""
    found = [
        (Link.OPEN.value, one.links.open, ""),
        *((Link.CLICK.value, address, target) for address, target in one.links.clicks.items()),
        (Link.UNSUBSCRIBE.value, one.links.unsubscribe, ""),
    ]
    return [link for link in found if link[1]]
