"""Names are looked up one at a time for each host, and a lookup that hangs holds up nobody else."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from coldsend.channels.smtp.resolving import addresses


class Resolver:
    """Answers 127.0.0.1 for every name; those in ``silent`` only once ``answer`` is set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent: set[str] = set()
        self.answer = threading.Event()

    def getaddrinfo(self, host: str, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        if host in self.silent:
            self.answer.wait(10)
        if host == "absent.test":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
        return found * 2


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    yield made
    made.answer.set()


def test_an_address_is_not_looked_up(resolver: Resolver) -> None:
    assert asyncio.run(addresses("192.0.2.1")) == ["192.0.2.1"]
    assert asyncio.run(addresses("2001:db8::1")) == ["2001:db8::1"]
    assert resolver.asked == []


def test_each_address_of_a_name_comes_once(resolver: Resolver) -> None:
    assert asyncio.run(addresses("mail.test")) == ["127.0.0.1"]


def test_a_name_that_does_not_exist_is_an_error_for_all_who_wait(resolver: Resolver) -> None:
    async def both() -> list[Any]:
        return await asyncio.gather(
            addresses("absent.test"), addresses("absent.test"), return_exceptions=True
        )

    found = asyncio.run(both())
    assert [type(one) for one in found] == [socket.gaierror, socket.gaierror]


def test_connections_to_one_host_share_a_lookup(resolver: Resolver) -> None:
    async def many() -> None:
        await asyncio.gather(*(addresses("mail.test") for _ in range(50)))

    asyncio.run(many())
    assert resolver.asked == ["mail.test"]


def test_a_silent_resolver_holds_up_no_other_host_and_not_the_end(resolver: Resolver) -> None:
    resolver.silent = {f"silent{number}.test" for number in range(40)}

    async def work() -> list[str]:
        for host in resolver.silent:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await addresses(host)
        return await addresses("mail.test")

    assert asyncio.run(work()) == ["127.0.0.1"]
    assert not resolver.answer.is_set(), "the loop ended while lookups were still waiting"


def test_after_a_lookup_that_hung_the_next_one_begins_anew(resolver: Resolver) -> None:
    resolver.silent = {"mail.test"}

    async def work() -> list[str]:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await addresses("mail.test")
        resolver.silent = set()
        return await addresses("mail.test")

    assert asyncio.run(work()) == ["127.0.0.1"]
