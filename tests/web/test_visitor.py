"""Whose address is believed, what of it is stored, whom it belongs to."""

from __future__ import annotations

from typing import Any

import pytest

from coldsend.config.settings import WebSettings
from coldsend.domain.visits import cut_address
from coldsend.web.visitor import Visitors


def network(peer: str, *forwarded: str, **web: Any) -> str:
    visitors = Visitors(WebSettings(keep_ip=True, **web), b"k" * 32)
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return visitors.of({"method": "GET", "headers": headers, "client": (peer, 1)}).network


def test_a_trusted_proxy_tells_whom_it_asks_for() -> None:
    assert network("127.0.0.1", "203.0.113.5") == "203.0.113.5"
    assert network("::1", "2001:db8::7") == "2001:db8::7"
    assert network("::ffff:127.0.0.1", "203.0.113.5:4711") == "203.0.113.5"
    assert network("127.0.0.1", "[2001:db8::7]:443") == "2001:db8::7"


def test_nobody_else_is_believed() -> None:
    assert network("198.51.100.1", "203.0.113.5") == "198.51.100.1"
    assert network("127.0.0.1", "203.0.113.5", trusted_proxies="") == "127.0.0.1"


def test_only_the_end_of_the_chain_is_believed() -> None:
    assert network("127.0.0.1", "6.6.6.6, 203.0.113.5") == "203.0.113.5", "the client wrote the first itself"
    assert network("127.0.0.1", "6.6.6.6", "203.0.113.5") == "203.0.113.5", "also in a header of its own"
    chain = network("127.0.0.1", "6.6.6.6, 203.0.113.5, 10.0.0.2", trusted_proxies="127.0.0.1, 10.0.0.0/8")
    assert chain == "203.0.113.5"


@pytest.mark.parametrize(
    "nonsense", ["", "unknown", "_hidden", "1.2.3", "'; DROP", ",,,", "\x00", "9" * 3000]
)
def test_nonsense_of_a_proxy_leaves_its_own_address(nonsense: str) -> None:
    assert network("127.0.0.1", nonsense) == "127.0.0.1"


def test_addresses_are_cut_to_their_network() -> None:
    assert cut_address("203.0.113.77") == "203.0.113.0/24"
    assert cut_address("::ffff:203.0.113.77") == "203.0.113.0/24"
    assert cut_address("2001:db8:1:2:3::4%eth0") == "2001:db8:1::/48"
    assert cut_address("nobody") == ""


def test_own_networks_are_known_behind_a_proxy_too() -> None:
    visitors = Visitors(WebSettings(own_networks="203.0.113.0/24, 2001:db8::/32"), b"k" * 32)

    def signs(peer: str, *forwarded: tuple[bytes, bytes]) -> tuple[str, ...]:
        return visitors.of({"method": "GET", "headers": list(forwarded), "client": (peer, 1)}).signs

    assert signs("203.0.113.9") == ("own",)
    assert signs("127.0.0.1", (b"x-forwarded-for", b"2001:db8::1")) == ("own",)
    assert signs("198.51.100.1", (b"x-forwarded-for", b"203.0.113.9")) == ()


def test_visitors_are_told_apart_by_a_hash_that_tells_nothing_without_the_key() -> None:
    def client(key: bytes, peer: str = "203.0.113.9", agent: bytes = b"A") -> str:
        scope = {"method": "GET", "headers": [(b"user-agent", agent)], "client": (peer, 1)}
        return Visitors(WebSettings(), key).of(scope).client

    assert client(b"k" * 32) == client(b"k" * 32)
    others = {client(b"k" * 32), client(b"k" * 32, "203.0.113.10"), client(b"k" * 32, agent=b"B")}
    assert len(others | {client(b"l" * 32)}) == 4
