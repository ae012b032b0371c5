"""``coldsend demo``: a whole campaign on this machine, shown command by command."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from coldsend.cli.context import current
from coldsend.cli.noun import reads, single
from coldsend.cli.output import Output
from coldsend.demo.caught import Caught
from coldsend.demo.examples import examples_folder
from coldsend.demo.mailbox import HOST, Mailbox, free_port
from coldsend.demo.visitor import visit, wait_for
from coldsend.errors import ColdsendError, InvalidInput

app = single()

ACCOUNTS = {"anna": "correct horse", "ben": "battery staple", "carol": "this will be revoked"}
REVOKED_AFTER = 4
TEMPLATES = {
    "cold-intro": "Returns at {{ contact.company }}",
    "case-study": "How a team of six halved its backlog",
    "event-invitation": "An open warehouse evening",
}
RULE = "tag:lead and tag:en and not tag:customer"


@reads(app, "coldsend demo", "coldsend demo --folder /tmp/coldsend-demo")
def demo(
    folder: Annotated[
        Path, typer.Option(help="Where configuration, database and messages go; emptied first.")
    ] = Path(".demo"),
) -> None:
    """Run a whole campaign on this machine: services, templates, one failure, three answers.

    Starts an SMTP server on loopback; nothing leaves the machine. One service is locked out half-way, and
    its work moves to the others. Then one recipient opens, one clicks and one unsubscribes. Every step is
    shown as the command you would type.
    """
    run = current()
    folder = folder.absolute()
    _empty(folder)
    mailbox = Mailbox(folder / "messages", passwords=ACCOUNTS, refuse_after={"carol": REVOKED_AFTER})
    with mailbox:
        _campaign(_Shell(folder, run.out, free_port()), mailbox)
    files = mailbox.files()
    run.out.plain("")
    run.out.plain(f"{len(files)} messages lie in {folder / 'messages'}, the first:")
    for file in files[:3]:
        run.out.plain(f"  {file.name}  {Caught(file).header('Subject')}")
    run.out.plain(f"Go on from here: cd {shlex.quote(str(folder))} && coldsend why demo/hello EMAIL")


def _campaign(shell: _Shell, mailbox: Mailbox) -> None:
    examples = examples_folder()
    shell.title("A database, a key, and you as the first user")
    shell.run("init", "--database-url", "sqlite:///demo.db", "--user", "demo")
    shell.title("Three sender services; carol's password will be revoked half-way")
    for name, password in ACCOUNTS.items():
        shell.run(
            *("service", "add", name, "--type", "smtp", "--host", HOST, "--port", str(mailbox.port)),
            *(
                "--tls",
                "none",
                "--from",
                f"{name.title()} Field <{name}@stillwater.example>",
                "--daily-quota",
                "50",
            ),
            *("--throttle-sec", "0.2", "--username", name, "--password-stdin"),
            typed=password,
        )
    shell.title("The people, and three templates that take turns")
    shell.run("contact", "import", str(examples / "contacts.csv"))
    for name, subject in TEMPLATES.items():
        files = [str(examples / f"{name}{ending}") for ending in (".html", ".txt")]
        shell.run(
            *("template", "add", name, "--subject", subject, "--body-file", files[0], "--text-file", files[1])
        )
    shell.run("template-set", "create", "hello", *(f"--template={name}" for name in TEMPLATES))
    shell.title("A campaign with one task")
    shell.run("campaign", "create", "demo")
    shell.run("task", "create", "demo", "hello", "--template-set", "hello", "--rule", RULE)
    shell.title("What answers the links in messages")
    with shell.in_background("web", "run"):
        wait_for(shell.base_url)
        shell.title("Off it goes: the scheduler with two sender processes, until nothing is left to do")
        shell.run("campaign", "start", "demo")
        shell.run("scheduler", "run", "--workers", "2", "--until-idle")
        shell.title("Three of the recipients, who are not ours to command")
        for line in visit(mailbox.files()):
            shell.tell(line)
    shell.title("What happened")
    shell.run("report", "campaign", "demo")
    shell.run("suppression", "list")
    shell.run("service", "list")


def _empty(folder: Path) -> None:
    """Make the folder, or empty one that an earlier demonstration made; InvalidInput for anything else."""
    mark = folder / "coldsend.toml"
    if folder.exists() and any(folder.iterdir()) and not (mark.exists() and (folder / "demo.db").exists()):
        raise InvalidInput(
            f"{folder} is not empty and was not made by a demonstration", hint="choose another: --folder DIR"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


class _Shell:
    """Runs commands as an operator would, in the demonstration's folder, and shows them."""

    def __init__(self, folder: Path, out: Output, web_port: int) -> None:
        self._folder = folder
        self._out = out
        self.base_url = f"http://{HOST}:{web_port}"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("COLDSEND_")}
        self._environ = {
            **environ,
            "COLDSEND_POSTAL_ADDRESS": "Stillwater, 1 Example Street, 12345 Sampletown",
            "COLDSEND_WEB_BASE_URL": self.base_url,
            "COLDSEND_WEB_PORT": str(web_port),
            "COLDSEND_LOG_LEVEL": "error",
        }

    def title(self, text: str) -> None:
        self._out.plain("")
        self._out.plain(f"# {text}")

    def tell(self, text: str) -> None:
        self._out.plain(text)

    @contextmanager
    def in_background(self, *arguments: str) -> Iterator[None]:
        """Show and start a command; end it as Ctrl-C would, and wait until it has finished."""
        self._out.plain(f"$ coldsend {shlex.join(arguments)} &")
        process = subprocess.Popen(self._line(*arguments), cwd=self._folder, env=self._environ)
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    def run(self, *arguments: str, typed: str | None = None) -> None:
        """Show and run one command; ``typed`` goes to its standard input."""
        before = f"printf %s {shlex.quote(typed)} | " if typed is not None else ""
        self._out.plain(f"$ {before}coldsend {shlex.join(arguments)}")
        sys.stdout.flush()
        done = subprocess.run(
            self._line(*arguments),
            cwd=self._folder,
            env=self._environ,
            input=typed,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ColdsendError(
                f"the demonstration stopped: coldsend {arguments[0]} ended with {done.returncode}",
                hint=f"its folder is kept for a look: {self._folder}",
            )

    def _line(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "coldsend", *arguments]
