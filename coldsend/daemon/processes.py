"""The processes that one process keeps running (a scheduler its senders, the web part its servers): start,
restart when they end, drain at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from coldsend import clock, logbook
from coldsend.daemon.reports import Reports

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
HOPELESS_WAIT = 8.0  # reached after four ends in a row
HEALTHY_AFTER = 30.0  # seconds a process must have lived for its end not to count as a crash in a row
DRAIN_SECONDS = 8.5  # a sender needs 8 at most; what comes after it must fit into ten


@dataclass(slots=True)
class _Slot:
    """One sender process and what is known of its predecessors."""

    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    start_at: float = 0.0
    wait: float = FIRST_WAIT


@dataclass
class Processes:
    """``count`` processes that all run the same command.

    options: global options they are started with (--config FILE). on_line: takes what they log, line by
    line, where it must not go straight to the terminal (a progress bar lives there). reports: takes what they
    count. command: verb and its options. pass_fds: file descriptors they inherit.
    """

    count: int
    options: Sequence[str] = ()
    on_line: Callable[[str], None] | None = None
    reports: Reports | None = None
    command: Sequence[str] = ("worker", "run")
    pass_fds: Sequence[int] = ()
    _slots: list[_Slot] = field(default_factory=list)

    def start(self) -> None:
        self._slots = [_Slot() for _ in range(self.count)]
        self.keep()

    @property
    def hopeless(self) -> bool:
        """Every process has ended at once, again and again: starting it once more will not help."""
        return bool(self._slots) and all(
            slot.process is None and slot.wait >= HOPELESS_WAIT for slot in self._slots
        )

    def keep(self) -> None:
        """Start what is missing; called a few times a second."""
        moment = clock.monotonic()
        for slot in self._slots:
            if slot.process is not None and slot.process.poll() is not None:
                self._ended(slot, moment)
            if slot.process is None and moment >= slot.start_at:
                self._start(slot, moment)

    def _start(self, slot: _Slot, moment: float) -> None:
        command = [sys.executable, "-m", "coldsend", *self.options]
        command += [*self.command, "--parent", str(os.getpid())]
        try:
            slot.process = self._process(command)
        except OSError as error:
            # No memory, no process or no file descriptor to be had: the others must not end for it.
            slot.wait = min(LONGEST_WAIT, slot.wait * 2)
            slot.start_at = moment + slot.wait
            logbook.worker_process_not_started(str(error), again_in=slot.wait)
            return
        slot.started = moment
        if self.on_line is not None:
            threading.Thread(target=self._pass_on, args=(slot.process,), daemon=True).start()

    def _process(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with ExitStack() as stack:
            report_to: list[int] = [stack.enter_context(self.reports.for_child())] if self.reports else []
            return subprocess.Popen(
                [*command, *(f"--report-to={descriptor}" for descriptor in report_to)],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE if self.on_line is not None else None,
                pass_fds=[*self.pass_fds, *report_to],
                # A Ctrl-C at the terminal is for the scheduler, which drains its processes in order.
                start_new_session=True,
            )

    def _pass_on(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        assert self.on_line is not None
        with process.stderr:
            for line in process.stderr:
                # Read on whatever becomes of the terminal: a process whose pipe is full would stand still.
                with suppress(OSError):
                    self.on_line(line.decode(errors="replace").rstrip("\n"))

    def _ended(self, slot: _Slot, moment: float) -> None:
        assert slot.process is not None
        slot.wait = FIRST_WAIT if moment - slot.started > HEALTHY_AFTER else min(LONGEST_WAIT, slot.wait * 2)
        slot.start_at = moment + slot.wait
        logbook.worker_process_ended(slot.process.pid, slot.process.returncode, restart_in=slot.wait)
        slot.process = None

    def drain(self) -> None:
        """SIGTERM to all, wait for them to finish, SIGKILL for one that does not (its rows are rescued)."""
        running = [slot.process for slot in self._slots if slot.process is not None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = clock.monotonic() + DRAIN_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - clock.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._slots = []
