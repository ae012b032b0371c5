"""The EngageLab channel keeps the contract of all channels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from coldsend.channels.jiguang.channel import JiguangChannel
from coldsend.domain.service import Service
from tests.channels.conformance import ChannelConformance, OtherSide
from tests.servers.engagelab import API_KEY, API_USER, EngageLab


class TestJiguangChannel(ChannelConformance):
    @contextmanager
    def other_side(self) -> Iterator[OtherSide]:
        with EngageLab() as api:
            settings = {"api_url": api.url, "connections": 3}
            service = Service(1, "api", "jiguang", "anna@mail.example.com", settings=settings)
            yield OtherSide(
                channel=lambda: JiguangChannel(service, {"api_user": API_USER, "api_key": API_KEY}),
                received=lambda: [one["body"]["headers"]["Message-ID"] for one in api.messages],
                refuse=lambda: api.behave(
                    status=400, body={"code": 30400, "message": f"bad {API_KEY}: to: invalid address format"}
                ),
                lose=lambda: api.behave(fault="drop", take=True),
                disappear=api.stop,
                secret=API_KEY,
            )
