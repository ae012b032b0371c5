"""An IMAP server that says what a test tells it to, for what no real server would say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

Speak = Callable[["Talk"], None]


class Talk:
    """One connection, from the server's side. heard: the lines the client sent."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.heard: list[str] = []
        self._reader = peer.makefile("rb")

    def say(self, *lines: str) -> None:
        self.peer.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def hear(self) -> str:
        """The next line, without its tag; remembered as ``tag``."""
        line = self._reader.readline().decode("utf-8", "replace").rstrip("\r\n")
        self.heard.append(line)
        self.tag, _space, rest = line.partition(" ")
        return rest

    def ok(self, *untagged: str, after: str = "done") -> None:
        self.say(*(f"* {line}" for line in untagged), f"{self.tag} OK {after}")

    def log_in(self, *capabilities: str) -> None:
        """Greeting, capabilities and a login that succeeds."""
        self.say("* OK hello")
        self.hear()
        self.ok(" ".join(["CAPABILITY", "IMAP4rev1", *capabilities]))
        self.hear()
        self.ok()

    def open_folder(self, next_uid: int = 2) -> None:
        self.hear()
        self.ok("1 EXISTS", "OK [UIDVALIDITY 7] ok", f"OK [UIDNEXT {next_uid}] ok", after="[READ-ONLY] done")


class ScriptedServer:
    """Speaks a script to each client that comes, one after the other."""

    def __init__(self, script: Speak) -> None:
        self._script = script
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.talks: list[Talk] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A thread in accept() does not wake up when its socket is closed.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                peer, _address = self._socket.accept()
            except OSError:
                return
            with peer:
                talk = Talk(peer)
                self.talks.append(talk)
                try:
                    self._script(talk)
                except OSError:
                    continue
                finally:
                    talk._reader.close()
