"""SpamAssassin in a process of its own, offline: which of its rules a message breaks, and what each costs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

SCRIPT = Path(__file__).with_suffix(".pl")


class SpamAssassin:
    """``with SpamAssassin() as assassin: assassin.rules(message)``; starting takes it some seconds."""

    def __enter__(self) -> SpamAssassin:
        perl = shutil.which("perl")
        assert perl is not None
        self._home = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [perl, str(SCRIPT), self._home.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "HOME": self._home.name, "LC_ALL": "C.UTF-8"},
        )
        assert self._line() == "ready", "SpamAssassin is missing or broken: make servers"
        return self

    def __exit__(self, *_exc: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()
        self._home.cleanup()

    def rules(self, message: bytes) -> dict[str, float]:
        """The rules that fired, and their scores; the message as a mail server stores it."""
        assert self._process.stdin is not None
        stored = message.replace(b"\r\n", b"\n")
        self._process.stdin.write(b"%d\n%b" % (len(stored), stored))
        self._process.stdin.flush()
        found = (pair.partition("=") for pair in self._line().split())
        return {name: float(score) for name, _equals, score in found}

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        assert line.endswith("\n"), "SpamAssassin died"
        return line.strip()


def received(message: bytes, mail_from: str) -> bytes:
    """The message as the recipient's server has it: with its return path and a trace field."""
    trace = (
        f"Return-Path: <{mail_from}>\r\n"
        "Received: from mail.sender.example (mail.sender.example [185.12.64.25])\r\n"
        " (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\r\n"
        " by mx.acme.example with ESMTPS id 4Vz1Xs0Z2cz9sT\r\n"
        " for <bob@acme.example>; Mon, 01 Mar 2027 23:30:07 +0000\r\n"
    )
    return trace.encode() + message
