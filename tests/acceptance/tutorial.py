"""docs/tutorial.md as a reader works through it: its commands in one shell, its output as it is shown.

A block marked ``sh`` holds commands; a block marked ``text`` right behind it what they print, where a line
``..`` stands for lines left out and `` ..`` at the end of a line for the rest of it. What differs from reader
to reader is made alike on both sides: ports, the home folder, times of day, tokens and message ids.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.servers.forked import Forked
from tests.servers.ports import free_port

PAGE = Path(__file__).parent.parent.parent / "docs" / "tutorial.md"

# Whose page it is. Its days are those of a Monday in March, so that they can be compared.
HOME = "/home/robin"
LOGIN = "robin"
MORNING = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
PORTS = ("2525", "8025")

# A reader who sees less than the page shows looks again a moment later: these may be repeated.
LOOKING = (
    "cat ",
    "coldsend campaign plan ",
    "coldsend catcher list",
    "coldsend catcher show ",
    "coldsend event list",
    "coldsend report ",
    "coldsend suppression list",
    "coldsend why ",
    "curl -s http://127.0.0.1:8025/healthz",
)
LOOK_SECONDS = 150.0
COMMAND_SECONDS = 240.0
# A click within two seconds of the sending is taken for a mail filter's; readers are not as fast.
A_PERSON_TAKES = 2.5


@dataclass(frozen=True, slots=True)
class Step:
    """A block of commands, what the page shows of their output (None: nothing), the section it stands in."""

    commands: str
    shown: str | None
    section: str

    @property
    def lines(self) -> list[str]:
        return [line for line in self.commands.replace("\\\n", "").splitlines() if line]

    @property
    def only_looks(self) -> bool:
        return all(line.startswith(LOOKING) for line in self.lines)


def steps(page: str) -> list[Step]:
    """The page's steps in order; ValueError for a block of another kind, or output without a command."""
    section, found, follows = "", [], False
    for heading, kind, body in re.findall(r"^## (.+)$|^```(.*)\n((?s:.*?))^```$", page, flags=re.MULTILINE):
        if heading:
            section, follows = heading, False
        elif kind == "sh":
            found.append(Step(body, None, section))
            follows = True
        elif kind == "text" and follows:
            found[-1] = Step(found[-1].commands, body, section)
            follows = False
        else:
            raise ValueError(f"a block that is neither commands nor their output, in {section!r}: {body}")
    return found


def differs(shown: str, printed: str) -> str:
    """The first line of the page that did not come; "" where all of it did, and nothing else."""
    rest = alike(printed).splitlines()
    skipping = False
    for line in alike(shown).splitlines():
        if line == "..":
            skipping = True
            continue
        at = next((n for n, real in enumerate(rest) if _fits(line, real)), None)
        if at is None or (at and not skipping):
            return line
        if skipping and not at:
            return f".. before: {line}"
        rest, skipping = rest[at + 1 :], False
    if skipping and not rest:
        return ".. at the end"
    return "" if skipping or not rest else f"the page ends before: {rest[0]}"


def alike(text: str) -> str:
    """Text without what is another for each reader."""
    text = re.sub(r"\b\d\d:\d\d(:\d\d)?\b", lambda found: re.sub(r"\d", "0", found[0]), text)
    text = re.sub(r"/([ocu])/[\w-]{22}", r"/\1/TOKEN", text)
    text = re.sub(r"<[a-z2-7]{26}@", "<ID@", text)
    lines = (line.rstrip() for line in text.splitlines() if "test_clock_in_force" not in line)
    return "\n".join(lines).strip("\n")


def _fits(line: str, real: str) -> bool:
    return real.startswith(line.removesuffix(" ..")) if line.endswith(" ..") else real == line


class Reader:
    """Someone with a new home folder and a shell. ``folder``: where the home folder is."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.ports = dict(zip(PORTS, (str(free_port()), str(free_port())), strict=True))
        self._block, self._out, self._code = (folder / name for name in ("block", "out", "code"))
        commands = folder / "bin"
        for made in (self.home, commands):
            made.mkdir()
        self._coldsend = Forked(commands)
        self._coldsend.__enter__()
        clock = folder / "clock"
        clock.write_text(str((MORNING - datetime.now(UTC)).total_seconds()))
        environ = {name: value for name, value in os.environ.items() if not name.startswith("COLDSEND_")}
        environ |= {
            "COLDSEND_TEST_CLOCK": str(clock),
            "HOME": str(self.home),
            "LOGNAME": LOGIN,
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",  # notes and results in the order of a terminal
        }
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            cwd=self.home,
            env=environ,
            text=True,
            start_new_session=True,
        )
        # -m: %1 is the first program in the background, as in a terminal. -e: what fails ends it.
        self._type("set -emo pipefail\n")

    def does(self, step: Step) -> str:
        """What the commands print; AssertionError where one fails, or what is shown does not come."""
        if "--link" in step.commands:
            self._wait(self._has_taken_its_time, 60, "the messages are some seconds old")
        ends = time.monotonic() + LOOK_SECONDS
        while True:
            failed, printed = self.run(step.commands, looks=step.only_looks)
            wrong = f"(failed: {failed})" if failed else ""
            if not wrong and step.shown is not None:
                wrong = differs(step.shown, printed)
            if not wrong:
                return printed
            if not step.only_looks or time.monotonic() > ends:
                raise AssertionError(
                    f"in {step.section!r}\n{step.commands}\nthe page shows a line that did not come so:\n"
                    f"{wrong}\nit printed:\n{printed}"
                )
            time.sleep(1)

    def run(self, commands: str, *, looks: bool = False) -> tuple[int, str]:
        """Run commands in the shell: exit code and output, ports and home folder as on the page.

        Where they do not only look, their failure ends the shell: AssertionError.
        """
        self._code.unlink(missing_ok=True)
        self._block.write_text(self._here(commands))
        into = f"> {self._out} 2>&1; echo $? > {self._code}"
        source = f"source {self._block}"
        self._type(f"set +e; ( set -e; {source} ) {into}; set -e\n" if looks else f"{source} {into}\n")
        self._wait(lambda: self._has_answered(commands), COMMAND_SECONDS, commands)
        return int(self._code.read_text()), self._as_on_the_page(self._out.read_text())

    def asks(self, commands: str) -> str:
        """What the commands print on standard output alone; AssertionError where they fail."""
        code, printed = self.run(f"( {commands} ) 2> /dev/null", looks=True)
        assert code == 0, commands
        return printed

    def sees_everything_end(self) -> None:
        """Until nothing of what was started is left; AssertionError where something goes on."""
        self._wait(lambda: not self.running(), 120, "what runs in the background has ended")

    def leaves(self) -> None:
        """End the shell, and what it has left running."""
        try:
            self._shell.kill()
            with contextlib.suppress(OSError):
                self._shell.communicate()
            for pid in self.running():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        finally:
            self._coldsend.__exit__()

    def running(self) -> list[int]:
        """Processes besides the shell that work in the home folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "cwd").readlink().is_relative_to(self.home):
                    found.append(int(process.name))
        return [pid for pid in found if pid != self._shell.pid]

    def _type(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text)
        self._shell.stdin.flush()

    def _has_answered(self, commands: str) -> bool:
        if self._code.exists() and self._code.read_text():
            return True
        assert self._shell.poll() is None, (
            f"failed with {self._shell.poll()}:\n{commands}\n{self._out.read_text()}"
        )
        return False

    def _has_taken_its_time(self) -> bool:
        written = [file.stat().st_mtime for file in self.home.glob("*/caught/*.eml")]
        return time.time() - max(written) > A_PERSON_TAKES

    def _here(self, text: str) -> str:
        for shown, real in self.ports.items():
            text = text.replace(shown, real)
        return text

    def _as_on_the_page(self, text: str) -> str:
        for shown, real in self.ports.items():
            text = text.replace(real, shown)
        return text.replace(str(self.home), HOME)

    @staticmethod
    def _wait(true: Callable[[], bool], seconds: float, what: str) -> None:
        ends = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < ends, f"not within {seconds:g} s: {what}"
            time.sleep(0.02)
