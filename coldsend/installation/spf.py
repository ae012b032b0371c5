"""A domain's SPF record as a receiver works it off: what it costs to ask, and whether an address passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from coldsend.domain import spf
from coldsend.domain.spf import Record, Term
from coldsend.installation.names import Names

Address = IPv4Address | IPv6Address

NO_MATCH = "neutral"  # where no mechanism matches and there is no redirect


class Broken(Exception):
    """Receivers take the record for broken ("permerror"): the message says why."""


@dataclass
class Walk:
    """One evaluation. address: of the host that sends; None: of none, so that every mechanism is asked for.

    lookups: how many questions it took. domains: whose records were read, in order.
    """

    names: Names
    address: Address | None = None
    lookups: int = 0
    domains: list[str] = field(default_factory=list)

    def result(self, domain: str) -> str:
        """pass, fail, softfail, neutral, or none where there is no record; Broken, or Unreachable."""
        texts = spf.records_in(self.names.texts(domain))
        if not texts:
            return "none"
        if len(texts) > 1:
            raise Broken(f"{domain} has {len(texts)} SPF records: there must be one")
        if domain in self.domains and len(self.domains) > spf.MOST_LOOKUPS:
            raise Broken(f"the record of {domain} leads to itself")
        self.domains.append(domain)
        try:
            record = spf.parse(texts[0])
        except ValueError as error:
            raise Broken(f"the record of {domain} cannot be read: {error}") from None
        return self._of(record, domain)

    def _of(self, record: Record, domain: str) -> str:
        for term in record.terms:
            if term.name == "all":
                return term.result
            if term.name in spf.ASK:
                self._count()
            if self._matches(term, domain):
                return term.result
        if not record.redirect:
            return NO_MATCH
        self._count()
        if "%" in record.redirect:
            return NO_MATCH
        found = self.result(record.redirect)
        if found == "none":
            raise Broken(f"redirect={record.redirect} leads to a domain without a record")
        return found

    def _count(self) -> None:
        self.lookups += 1
        if self.lookups > 3 * spf.MOST_LOOKUPS:
            raise Broken(f"it takes more than {self.lookups - 1} DNS lookups: {spf.MOST_LOOKUPS} are allowed")

    def _matches(self, term: Term, domain: str) -> bool:
        if "%" in term.value:
            return False  # a macro: what it becomes depends on the message
        target = term.value or domain
        if term.name == "include":
            found = self.result(target)
            if found == "none":
                raise Broken(f"include:{target} leads to a domain without an SPF record")
            return found == "pass"
        if self.address is None:
            return False
        if term.network is not None:
            return self.address in term.network
        if term.name == "a":
            return self._is_of(term, self.names.addresses(target))
        if term.name == "mx":
            hosts = [host for host in self.names.mail_hosts(target)[: spf.MOST_LOOKUPS] if host]
            return any(self._is_of(term, self.names.addresses(host)) for host in hosts)
        return term.name == "exists" and bool(self.names.addresses(target))

    def _is_of(self, term: Term, addresses: list[str]) -> bool:
        prefix = term.prefix4 if isinstance(self.address, IPv4Address) else term.prefix6
        return any(
            self.address in ip_network(f"{address}/{prefix}", strict=False)
            for address in addresses
            if ip_address(address).version == (self.address.version if self.address else 0)
        )
