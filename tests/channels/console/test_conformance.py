"""The console channel keeps the contract of all channels."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path

from coldsend.channels.console import ConsoleChannel
from coldsend.domain.service import Service
from tests.channels.conformance import ChannelConformance, OtherSide


class TestConsoleChannel(ChannelConformance):
    @contextmanager
    def other_side(self) -> Iterator[OtherSide]:
        with tempfile.TemporaryDirectory() as folder:
            settings = {"folder": folder, "connections": 3}
            service = Service(1, "dry", "console", "anna@mail.example.com", settings=settings)
            yield OtherSide(
                channel=lambda: ConsoleChannel(service),
                received=lambda: [
                    str(message_from_bytes(file.read_bytes())["Message-ID"])
                    for file in Path(folder).glob("*.eml")
                ],
            )
