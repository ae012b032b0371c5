"""What receivers find in the DNS about the domains that mail is sent from: SPF, DMARC, where answers go.

For each service two domains matter: that of its From address, and that of its return path, which SPF is asked
for and bounces come to. What cannot be known is not judged: the addresses a provider sends from, and whether
it signs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from coldsend.domain import dkim, dmarc, own_address, spf
from coldsend.domain.dkim import DkimKey
from coldsend.domain.finding import Finding
from coldsend.domain.reserved import is_reserved
from coldsend.domain.service import Service
from coldsend.domain.webhook_provider import provider_of
from coldsend.errors import InvalidInput, Unreachable
from coldsend.installation.names import Names
from coldsend.installation.spf import Broken, Walk

# What the record must include where mail goes out through these hosts with its own return path. Providers
# that put a return path of theirs in its place are not among them.
INCLUDES = {
    "smtp.gmail.com": "_spf.google.com",
    "smtp-relay.gmail.com": "_spf.google.com",
    "smtp.office365.com": "spf.protection.outlook.com",
    "smtp.fastmail.com": "spf.messagingengine.com",
}

BULK = "Gmail, Yahoo and Microsoft want it of everybody who sends in bulk"


@dataclass(frozen=True, slots=True)
class Sender:
    """A service as receivers see it. bounce_domain: of its return path, "" where a provider puts one of its
    own there. key_domain: what coldsend signs with, None where the other side signs or nobody does.
    unknown_signer: the other side does, as far as we know.

    local: it hands its mail to this very host, so this host's addresses are those that receivers see.
    """

    service: str
    from_domain: str
    bounce_domain: str
    host: str
    local: bool
    key_domain: str | None
    unknown_signer: bool


def senders(
    services: Sequence[Service], active: Sequence[DkimKey], is_local: Callable[[str], bool]
) -> list[Sender]:
    """The services that mail goes out through; those with domains that nobody has are left out."""
    found = []
    for service in services:
        if service.type == "console" or is_reserved(dkim.from_domain(service)):
            continue
        keys = dkim.keys_for(service, active)
        host = str(service.settings.get("host") or "")
        found.append(
            Sender(
                service.name,
                dkim.from_domain(service),
                _bounce_domain(service),
                host,
                bool(host) and is_local(host),
                keys[0].domain if keys else None,
                dkim.signs_itself(service),
            )
        )
    return found


def _bounce_domain(service: Service) -> str:
    given = str(service.settings.get(own_address.BOUNCE) or "")
    if not given:
        return "" if provider_of(service) else dkim.from_domain(service)
    try:
        found = own_address.parse(given)
    except InvalidInput:
        return dkim.from_domain(service)
    return (found.after or found.before).rpartition("@")[2]


def questions(
    found: Sequence[Sender], names: Names, own: Sequence[str]
) -> Mapping[str, Callable[[], list[Finding]]]:
    """What to ask, each by itself: whom it is about -> what finds it out; own: this host's addresses."""
    asked: dict[str, Callable[[], list[Finding]]] = {}
    for domain in dict.fromkeys(one.bounce_domain for one in found if one.bounce_domain):
        mine = [one for one in found if one.bounce_domain == domain]
        asked[f"SPF of {domain}"] = partial(_listed, _spf, domain, mine, names, own)
        asked[f"MX of {domain}"] = partial(_listed, _mail_hosts, domain, "bounces", names)
    for domain in dict.fromkeys(one.from_domain for one in found):
        mine = [one for one in found if one.from_domain == domain]
        asked[f"DMARC of {domain}"] = partial(_listed, _dmarc, domain, mine, names)
        asked.setdefault(f"MX of {domain}", partial(_listed, _mail_hosts, domain, "replies", names))
    if any(one.local for one in found):
        for address in own:
            asked[f"PTR of {address}"] = partial(_listed, _pointer, address, names)
    return asked


def _listed(work: Callable[..., Iterator[Finding]], *arguments: object) -> list[Finding]:
    return list(work(*arguments))


def _spf(domain: str, mine: Sequence[Sender], names: Names, own: Sequence[str]) -> Iterator[Finding]:
    subject = f"SPF of {domain}"
    walk = Walk(names)
    try:
        result = walk.result(domain)
    except Broken as broken:
        yield Finding(
            "error", subject, f"receivers take it for broken: {broken}", "mend the TXT record (RFC 7208)"
        )
        return
    if result == "none":
        wanted = " ".join(sorted({f"include:{INCLUDES[one.host]}" for one in mine if one.host in INCLUDES}))
        yield Finding(
            "error",
            subject,
            "there is no record: receivers cannot tell your mail from that of forgers",
            f'publish a TXT record at {domain}: "{spf.VERSION} {wanted or "include:YOUR-PROVIDER"} ~all"',
        )
        return
    if walk.lookups > spf.MOST_LOOKUPS:
        yield Finding(
            "error",
            subject,
            f"takes {walk.lookups} DNS lookups, {spf.MOST_LOOKUPS} are allowed: receivers take it for broken",
            "take out what is not needed any more, or write networks in: ip4:..",
        )
    if result == "pass":
        yield Finding(
            "warning", subject, "allows everybody (+all): it protects nobody", "end it with ~all or -all"
        )
    yield from _allowed(domain, mine, names, own, walk.domains)


def _allowed(
    domain: str, mine: Sequence[Sender], names: Names, own: Sequence[str], included: Sequence[str]
) -> Iterator[Finding]:
    """Whether what is known to send may send."""
    subject = f"SPF of {domain}"
    for one in mine:
        wanted = INCLUDES.get(one.host)
        if wanted and wanted not in included:
            yield Finding(
                "error",
                subject,
                f"does not allow {one.host}, which service {one.service!r} sends through",
                f"put into the record, before its end: include:{wanted}",
            )
    for address in own if any(one.local for one in mine) else ():
        result = Walk(names, ip_address(address)).result(domain)
        if result != "pass":
            yield Finding(
                "error" if result == "fail" else "warning",
                subject,
                f"does not allow this host, {address} ({result})",
                f"put into the record, before its end: ip{ip_address(address).version}:{address}",
            )


def _dmarc(domain: str, mine: Sequence[Sender], names: Names) -> Iterator[Finding]:
    subject = f"DMARC of {domain}"
    place, texts = _nearest(domain, names)
    publish = f'publish a TXT record at _dmarc.{domain}: "v=DMARC1; p=none; rua=mailto:you@{domain}"'
    if not texts:
        yield Finding("warning", subject, f"there is no record: {BULK}", publish)
        return
    if len(texts) > 1:
        yield Finding("warning", subject, f"{len(texts)} records at _dmarc.{place}: all are ignored", publish)
        return
    try:
        policy = dmarc.parse(texts[0])
    except ValueError as error:
        yield Finding("warning", subject, f"the record at _dmarc.{place} is ignored: {error}", publish)
        return
    told = policy.policy if place == domain else policy.of_subdomains
    for one in mine:
        by_spf = dmarc.aligned(one.bounce_domain, domain, place, strict=policy.strict_spf)
        by_dkim = one.key_domain is not None and dmarc.aligned(
            one.key_domain, domain, place, strict=policy.strict_dkim
        )
        if by_dkim or one.unknown_signer or not one.bounce_domain:
            continue  # in order, or nobody here can know
        what = (
            "rejected"
            if told == "reject"
            else "taken for spam"
            if told == "quarantine"
            else "not vouched for"
        )
        if not by_spf:
            yield Finding(
                "error" if told != "none" else "warning",
                subject,
                f"mail of service {one.service!r} is {what}: neither its signature nor its return path "
                f"(at {one.bounce_domain}) is of {domain}",
                f"sign with a key of {domain}: coldsend dkim add {domain}",
            )
        elif told != "none":
            yield Finding(
                "warning",
                subject,
                f"mail of service {one.service!r} that is forwarded is {what}: only its return path is of "
                f"{domain}, and it is not signed",
                f"sign it: coldsend dkim add {domain}",
            )


def _nearest(domain: str, names: Names) -> tuple[str, list[str]]:
    """The domain itself, or the nearest above it, that has a record, and what stands there."""
    labels = domain.split(".")
    for at in range(max(1, len(labels) - 1)):
        place = ".".join(labels[at:])
        texts = dmarc.records_in(names.texts(f"_dmarc.{place}"))
        if texts:
            return place, texts
    return domain, []


def _mail_hosts(domain: str, what: str, names: Names) -> Iterator[Finding]:
    subject = f"MX of {domain}"
    hosts = names.mail_hosts(domain)
    if hosts == [""]:
        yield Finding(
            "error",
            subject,
            f"the domain takes no mail (null MX): {what} are lost, and receivers refuse such senders",
            "publish the MX records of the server that takes its mail",
        )
    elif not hosts and not names.addresses(domain):
        yield Finding(
            "error",
            subject,
            f"there is none, and no address either: {what} are lost, and receivers refuse such senders",
            "publish the MX records of the server that takes its mail",
        )
    elif hosts and not any(names.addresses(host) for host in hosts[:5]):
        yield Finding(
            "error",
            subject,
            f"leads to {', '.join(hosts[:5])}, of which none has an address: {what} are lost",
            "mend the MX records, or the addresses they lead to",
        )


def _pointer(address: str, names: Names) -> Iterator[Finding]:
    subject = f"PTR of {address}"
    found = names.pointers(address)
    hint = f"have whoever gave you {address} set its name, to one that leads back to {address}"
    if not found:
        yield Finding("error", subject, "this host's address has no name: Gmail and others refuse it", hint)
        return
    for name in found[:5]:
        try:
            if address in names.addresses(name):
                return
        except Unreachable:
            continue
    yield Finding(
        "error", subject, f"its name {found[0]} does not lead back to it: Gmail and others refuse it", hint
    )
