"""Dry runs: messages go to a folder, or are only named on stderr, and never leave the machine.

With ``folder`` each message becomes ``<row id>-<n>.eml``: n counts from 1, so that a row which is sent
twice shows. The file appears whole or not at all.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from coldsend.channels.seam import Transcript
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.message import Message
from coldsend.domain.service import Service


class ConsoleChannel:
    """service.settings: ``folder`` (absolute path), or nothing."""

    def __init__(self, service: Service, *, transcript: Transcript | None = None) -> None:
        self.capacity = self.appetite = service.connections
        folder = service.settings.get("folder")
        self._folder = Path(folder) if folder else None
        self._transcript = transcript

    async def send(
        self,
        message: Message,
        before_commit: Callable[[], None],
        answered: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Write the message down; the answer is a failure where the disk refuses."""
        if self._folder is None:
            before_commit()
            sys.stderr.write(f"to {message.rcpt_to}: {message.subject} {message.message_id}\n")
            where = "named on stderr"
        else:
            try:
                where = f"written to {self._write(self._folder, message, before_commit)}"
            except OSError as error:
                return self._answered(Answer(Phase.MAIL, 452, "4.3.1", f"{self._folder}: {error.strerror}"))
        return self._answered(Answer(Phase.FINAL, 250, "2.0.0", where))

    async def close(self) -> None:
        """Nothing is kept open."""

    def _write(self, folder: Path, message: Message, before_commit: Callable[[], None]) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(message.data)
            before_commit()
            return _place(Path(temporary), folder, message.row_id)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _answered(self, answer: Answer) -> Answer:
        if self._transcript:
            self._transcript("S", answer.text)
        return answer


def _place(file: Path, folder: Path, row_id: int) -> Path:
    """Give the file the row's next free name; a hard link never replaces what is there."""
    n = 1
    while True:
        wanted = folder / f"{row_id}-{n}.eml"
        try:
            os.link(file, wanted)
        except FileExistsError:
            n += 1
        else:
            wanted.chmod(0o644)
            return wanted
