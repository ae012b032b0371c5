"""What the SMTP server took, by its own record: envelopes and the messages themselves.

Times are those of the test clock, as the server read it when it had the whole message, before it answered.
Imports nothing of coldsend.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import parseaddr
from pathlib import Path


@dataclass(frozen=True)
class Message:
    """step, template: 0 and -1 where it does not tell. steady: seconds of a clock that is never set."""

    number: int
    at: datetime
    steady: float
    to: str
    sender: str
    step: int
    message_id: str
    subject: str
    in_reply_to: str
    references: tuple[str, ...]
    template: int = 0
    copies: int = 1  # recipients of the envelope


_HEADERS = BytesHeaderParser(policy=compat32)
_MARKER = re.compile(rb"\[step-(\d+)-(\d+)\]")  # script.Step.marker


class Reader:
    """Reads a record as it grows. folder: where the server keeps the messages."""

    def __init__(self, record: Path, folder: Path) -> None:
        self._record, self._folder = record, folder
        self._place = 0

    def new(self) -> list[Message]:
        """What has come since this was asked last."""
        with self._record.open("rb") as file:
            file.seek(self._place)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        return [self._message(json.loads(line)) for line in whole.splitlines()]

    def raw(self, number: int) -> bytes:
        return (self._folder / f"{number:08}.eml").read_bytes()

    def _message(self, entry: dict[str, object]) -> Message:
        number = int(str(entry["number"]))
        raw = self.raw(number)
        headers = _HEADERS.parsebytes(raw)
        told = {(int(step), int(template)) for step, template in _MARKER.findall(raw)}
        step, template = told.pop() if len(told) == 1 else (0, -1)
        recipients = entry["rcpt_to"]
        assert isinstance(recipients, list)
        return Message(
            number,
            datetime.fromtimestamp(float(str(entry["time"])), UTC),
            float(str(entry["monotonic"])),
            str(recipients[0]),
            parseaddr(headers["From"] or "")[1].partition("@")[0],
            step,
            (headers["Message-ID"] or "").strip(),
            " ".join((headers["Subject"] or "").split()),
            (headers["In-Reply-To"] or "").strip(),
            tuple((headers["References"] or "").split()),
            template,
            len(recipients),
        )


def refused(file: Path) -> list[datetime]:
    """When the server refused recipients for good."""
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    return [datetime.fromtimestamp(one["time"], UTC) for one in entries if one["reply"].startswith("5")]
