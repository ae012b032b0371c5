"""A ``coldsend`` that has been imported once: every command line is a fork of it, for a tenth of the time.

``Forked(folder)`` writes a command ``coldsend`` into ``folder`` that hands its words, directory, environment
and files over to a process which forks, and there calls what the installed command calls. ``coldsend NOUN
run`` becomes a process of its own, because it is stopped by signals.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
BIG = 1 << 17

# Python's start with -I -S is nothing beside the imports of coldsend.
COMMAND = """#!{python} -IS
import json, os, socket, sys
if sys.argv[2:3] == ["run"]:
    os.environ["PYTHONPATH"] = "{root}"
    os.execv("{python}", ["{python}", "-m", "coldsend", *sys.argv[1:]])
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as to:
    to.connect("{address}")
    request = dict(words=sys.argv[1:], folder=os.getcwd(), environ=dict(os.environ))
    socket.send_fds(to, [json.dumps(request).encode()], [0, 1, 2])
    answer = to.recv(1)
sys.exit(answer[0] if answer else "it ended without a word")
"""


class Forked:
    """A context manager; within it ``folder/coldsend`` works."""

    def __init__(self, folder: Path) -> None:
        self._address = folder / "socket"
        self._command = folder / "coldsend"

    def __enter__(self) -> Forked:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._address)],
            cwd=ROOT,
        )
        ends = time.monotonic() + 120
        while not self._address.exists():
            assert self._process.poll() is None, "it did not start"
            assert time.monotonic() < ends
            time.sleep(0.02)
        text = COMMAND.format(python=sys.executable, root=ROOT, address=self._address)
        self._command.write_text(text)
        self._command.chmod(0o755)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def serve(address: str) -> None:
    """Import everything, then answer for ever."""
    from coldsend.cli.nouns import NOUNS, VERBS

    for name in (*NOUNS, *VERBS):
        importlib.import_module(f"coldsend.cli.{name.replace('-', '_')}")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for forks
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{address}.new")
        listener.listen()
        Path(f"{address}.new").rename(address)
        while True:
            caller, _ = listener.accept()
            with caller:
                request, files, *_ = socket.recv_fds(caller, BIG, 3)
                if not os.fork():
                    listener.close()
                    _answer(caller, json.loads(request), files)
                for file in files:
                    os.close(file)


def _answer(caller: socket.socket, request: dict[str, object], files: list[int]) -> None:
    from coldsend.cli.main import run

    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        # Anew: those of this process know whether they could seek in what was there.
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
        sys.stdout, sys.stderr = _written_through(1), _written_through(2)
        os.chdir(str(request["folder"]))
        os.environ.clear()
        os.environ.update(request["environ"])  # type: ignore[arg-type]
        sys.argv = ["coldsend", *request["words"]]  # type: ignore[misc]
        run()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            caller.sendall(bytes([code]))
        os._exit(code)


def _written_through(file: int) -> io.TextIOWrapper:
    """So that results and notes come in the order of a terminal."""
    return io.TextIOWrapper(io.FileIO(file, "w", closefd=False), encoding="utf-8", write_through=True)


if __name__ == "__main__":
    serve(sys.argv[1])
