"""The SMTP channel keeps the contract of the seam, with and without PIPELINING."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from coldsend.channels.smtp import SmtpChannel
from tests.channels.conformance import ChannelConformance, OtherSide
from tests.channels.smtp.sending import PATIENT, service
from tests.servers.smtp import RecordingServer

SECRET = "correct-horse-battery"


class TestSmtpChannel(ChannelConformance):
    pipelining = True

    @contextmanager
    def other_side(self) -> Iterator[OtherSide]:
        with RecordingServer(pipelining=self.pipelining, users={"anna": SECRET}) as server:
            credentials = {"username": "anna", "password": SECRET}
            yield OtherSide(
                channel=lambda: SmtpChannel(service(server.port, connections=3), credentials, PATIENT),
                received=lambda: [one.message_id for one in server.messages()],
                refuse=lambda: fault(server, at="rcpt", reply="550 5.1.1 no such user"),
                lose=lambda: fault(server, at="final", do="rst", recorded=True),
                disappear=server.stop,
                secret=SECRET,
            )


class TestSmtpChannelWithoutPipelining(TestSmtpChannel):
    pipelining = False


def fault(server: RecordingServer, **one: object) -> None:
    server.control(faults=[one])
