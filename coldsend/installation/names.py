"""Questions to the DNS, each within a time limit. Answers say what is there; an empty one, that nothing is.

Where a question cannot be answered (no network, a broken server) Unreachable is raised: nothing is known.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import dns.exception
import dns.nameserver
import dns.resolver
import dns.reversename

from coldsend.config import checking
from coldsend.errors import Unreachable

LIMIT_SECONDS = 5.0  # for one name, all name servers and repetitions together


class Names:
    """dns_servers: as in the settings; empty: those of the system."""

    def __init__(self, dns_servers: str) -> None:
        self._servers = dns_servers
        self._resolver: dns.resolver.Resolver | None = None  # made by the first question, which may fail

    def sees_the_world(self) -> bool:
        """Whether it knows a name that everybody knows: in a closed network all others seem not to exist."""
        return bool(self._ask("com", "SOA"))

    def texts(self, name: str) -> list[str]:
        """TXT records, each in one piece."""
        found = self._ask(name, "TXT")
        return [b"".join(record.strings).decode("latin-1") for record in found]

    def mail_hosts(self, name: str) -> list[str]:
        """The hosts of MX records, the preferred first; "" for one that takes no mail (RFC 7505)."""
        records = sorted(self._ask(name, "MX"), key=lambda record: record.preference)
        return [record.exchange.to_text(omit_final_dot=True).rstrip(".") for record in records]

    def addresses(self, name: str) -> list[str]:
        """IP addresses of both kinds."""
        return [record.address for kind in ("A", "AAAA") for record in self._ask(name, kind)]

    def pointers(self, address: str) -> list[str]:
        """The names that an IP address is said to have."""
        name = dns.reversename.from_address(str(ipaddress.ip_address(address))).to_text(omit_final_dot=True)
        return [record.target.to_text(omit_final_dot=True) for record in self._ask(name, "PTR")]

    def _ask(self, name: str, kind: str) -> list[Any]:
        try:
            return list(self._resolving().resolve(f"{name}.", kind))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise _unreachable(name, error) from error

    def _resolving(self) -> dns.resolver.Resolver:
        if self._resolver is None:
            servers = checking.name_servers(self._servers)
            self._resolver = dns.resolver.Resolver(configure=not servers)
            if servers:
                self._resolver.nameservers = [
                    dns.nameserver.Do53Nameserver(host, port) for host, port in servers
                ]
            self._resolver.lifetime = LIMIT_SECONDS
        return self._resolver


def _unreachable(name: str, error: dns.exception.DNSException) -> Unreachable:
    reason = (
        f"no answer within {LIMIT_SECONDS:g} s" if isinstance(error, dns.exception.Timeout) else str(error)
    )
    return Unreachable(
        f"the DNS cannot be asked for {name}: {reason}",
        hint="check the network, or name other servers in [dkim] dns_servers",
    )
