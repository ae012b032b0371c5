"""Who asks: the address behind trusted proxies, and what a visit showed.

``X-Forwarded-For`` is read from its end, as long as the address before it is that of a trusted proxy; what
anybody else writes into it is not believed. ``X-Forwarded-Proto`` is not needed: every link of ours that a
page shows is relative.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network
from typing import Any, NamedTuple

from coldsend.config.checking import networks
from coldsend.config.settings import WebSettings
from coldsend.domain import visits

AGENT_LENGTH = 300

Networks = tuple[IPv4Network | IPv6Network, ...]


class Visitor(NamedTuple):
    """client: a hash that tells visitors apart and nothing about them. network: as it may be stored."""

    client: str
    network: str
    agent: str
    signs: tuple[str, ...]


class Visitors:
    """Reads visitors out of requests. key: of the hash, 16 to 64 bytes."""

    def __init__(self, settings: WebSettings, key: bytes) -> None:
        self._trusted = tuple(networks(settings.trusted_proxies))
        self._own = tuple(networks(settings.own_networks))
        self._key = key
        self._stored = _whole if settings.keep_ip else visits.cut_address
        # Of an address, a person's or a provider's proxy, many hits come.
        self._is_trusted = lru_cache(1000)(lambda address: _is_in(address, self._trusted))
        self._known = lru_cache(20_000)(self._look_at)

    def of(self, scope: dict[str, Any]) -> Visitor:
        """The visitor behind an ASGI request."""
        headers = dict(scope["headers"])
        client = scope.get("client")
        address = client[0] if client else ""
        if b"x-forwarded-for" in headers and self._is_trusted(address):
            address = self._forwarded(address, scope["headers"])
        known = self._known(address, headers.get(b"user-agent", b"")[:AGENT_LENGTH])
        is_head, is_prefetch = scope["method"] == "HEAD", visits.is_prefetch(headers)
        if not (is_head or is_prefetch):
            return known
        more = ((visits.HEAD,) if is_head else ()) + ((visits.PREFETCH,) if is_prefetch else ())
        return known._replace(signs=more + known.signs)

    def _look_at(self, address: str, agent: bytes) -> Visitor:
        text = agent.decode("latin-1")
        hashed = blake2b(f"{address}\n{text}".encode(), digest_size=8, key=self._key).hexdigest()
        signs = (visits.OWN,) if self._own and _is_in(address, self._own) else ()
        return Visitor(hashed, self._stored(address), text, signs)

    def _forwarded(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        told = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        address = peer
        for hop in reversed(told[-2000:].decode("latin-1").split(",")):
            if not self._is_trusted(address):
                break
            found = _address_of(hop)
            if not found:
                break
            address = found
        return address


@lru_cache(10_000)
def _address_of(hop: str) -> str:
    """``192.0.2.1``, ``192.0.2.1:443`` or ``[2001:db8::1]:443`` as an address; "" for anything else."""
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return _whole(text)


def _whole(text: str) -> str:
    try:
        return str(visits.read_address(text))
    except ValueError:
        return ""


def _is_in(address: str, wanted: Networks) -> bool:
    try:
        found = visits.read_address(address)
    except ValueError:
        return False
    return any(found in network for network in wanted)
