"""Two implementations of DKIM that are not ours: dkimpy, and Mail::DKIM in a Perl process."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import dkim

PERL = Path(__file__).with_name("mail_dkim.pl")


def by_dkimpy(message: bytes, record: str, *, signature: int = 0) -> bool:
    """Whether dkimpy takes the signature with this number, from above, for good."""
    try:
        return bool(dkim.DKIM(message).verify(signature, dnsfunc=lambda *_, **__: record.encode()))
    except dkim.DKIMException:
        return False


class MailDkim:
    """Mail::DKIM in a process of its own, for many messages."""

    def __init__(self) -> None:
        perl = shutil.which("perl")
        assert perl is not None
        self._process = subprocess.Popen([perl, str(PERL)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def results(self, message: bytes, record: str) -> str:
        """What it says of each signature, from above: ``pass``, ``fail (..)``, ``invalid (..)``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        key = record.encode()
        self._process.stdin.write(b"%d %d\n%b%b" % (len(key), len(message), key, message))
        self._process.stdin.flush()
        answer = self._process.stdout.readline().decode().strip()
        assert answer, "Mail::DKIM is missing or died: make servers"
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()
