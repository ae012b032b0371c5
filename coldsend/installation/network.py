"""The part of `doctor` that asks the network: DNS of the sending domains, SMTP hosts, the public web address.

Whatever does not answer in time is told of as not checked, in one warning; nothing waits for it any longer.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Sequence

from coldsend.config.settings import Settings
from coldsend.domain.dkim import DkimKey
from coldsend.domain.finding import Finding
from coldsend.domain.service import Service
from coldsend.errors import Unreachable
from coldsend.installation import sender_dns, smtp_hosts, web
from coldsend.installation.asking import ask_all
from coldsend.installation.names import Names

FIRST_SECONDS = 6.0  # whether the DNS answers at all
SECONDS = 20.0  # all questions together

# Nothing is sent there: connecting a datagram socket only chooses the address that would be used.
_OUTSIDE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def findings(services: Sequence[Service], active: Sequence[DkimKey], settings: Settings) -> Iterator[Finding]:
    """Everything found; ``active``: the DKIM keys in use."""
    own = own_addresses()
    found = sender_dns.senders(services, active, lambda host: is_local(host, own))
    public = [address for address in own if ipaddress.ip_address(address).is_global]
    names = Names(settings.dkim.dns_servers)
    of_dns = sender_dns.questions(found, names, public)
    sees = not of_dns or ask_all({"": names.sees_the_world}, FIRST_SECONDS)[""]
    asked = {
        **(of_dns if sees is True else {}),
        **smtp_hosts.questions(services, settings.smtp),
    }
    if settings.web.base_url:
        asked["web addresses"] = lambda: list(web.findings(settings.web.base_url, services))
    unchecked = [] if sees is True else list(of_dns)
    for name, answer in ask_all(asked, SECONDS).items():
        if isinstance(answer, Unreachable):
            unchecked.append(name)
        else:
            yield from answer
    if local := [one.service for one in found if one.local and not public]:
        yield Finding(
            "warning",
            "PTR",
            f"was not checked: service {local[0]!r} sends from this host, whose public address is not known "
            "here (it is behind a router)",
            "look that address up, and see that its name leads back to it: host ADDRESS",
        )
    if unchecked:
        yield Finding(
            "warning",
            "network",
            f"not checked, for want of an answer: {', '.join(unchecked)}",
            "when this host is connected: coldsend doctor; other name servers: [dkim] dns_servers",
        )


def own_addresses() -> list[str]:
    """The addresses this host would send from, as it knows them itself."""
    found = []
    for family, outside in _OUTSIDE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((outside, 9))
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue  # it has no way out of this kind
    return found


def is_local(host: str, own: Sequence[str]) -> bool:
    """Whether a host is this very one, by its name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback or host in own
    except ValueError:
        return host.lower() in {"localhost", socket.gethostname().lower()}
