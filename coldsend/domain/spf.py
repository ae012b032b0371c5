"""SPF records (RFC 7208) taken apart: which mechanisms, in which order, and where else to look."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

VERSION = "v=spf1"
MOST_LOOKUPS = 10  # RFC 7208, 4.6.4: beyond it receivers take the record for broken
RESULTS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}

_TERM = re.compile(r"([+?~-]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?::(\S*?))?((?:/\d+)?(?://\d+)?)", re.I)
_NO_PREFIX = frozenset({"all", "include", "ptr", "exists"})
_NEED_VALUE = frozenset({"include", "exists", "ip4", "ip6"})
ASK = frozenset({"include", "a", "mx", "ptr", "exists"})  # each costs one of the lookups


@dataclass(frozen=True, slots=True)
class Term:
    """A mechanism. result: what it gives where it matches. value: its domain, "" for the record's own.

    prefix4, prefix6: the lengths of the networks around the addresses of ``a`` and ``mx``. network: of ip4
    and ip6.
    """

    result: str
    name: str
    value: str = ""
    prefix4: int = 32
    prefix6: int = 128
    network: IPv4Network | IPv6Network | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """redirect: the domain whose record counts where nothing here matches, "" for none."""

    terms: tuple[Term, ...]
    redirect: str = ""


def records_in(texts: Sequence[str]) -> list[str]:
    """Those of a domain's TXT records that are SPF records."""
    return [text for text in texts if text.lower() == VERSION or text.lower().startswith(VERSION + " ")]


def parse(text: str) -> Record:
    """A record taken apart; ValueError with a sentence where it cannot be."""
    terms, redirect = [], ""
    for word in text.split()[1:]:
        name, equals, value = word.partition("=")
        if equals and re.fullmatch(r"[A-Za-z][\w.-]*", name):
            if name.lower() == "redirect":
                if redirect or not value:
                    raise ValueError(f"{word!r} is empty or there twice")
                redirect = value.rstrip(".")
            continue
        terms.append(_term(word))
    return Record(tuple(terms), redirect)


def _term(word: str) -> Term:
    found = _TERM.fullmatch(word)
    if not found:
        raise ValueError(f"{word!r} is no mechanism")
    sign, name, value, prefixes = found[1] or "+", found[2].lower(), found[3] or "", found[4]
    if (name == "all" and value) or (prefixes and name in _NO_PREFIX):
        raise ValueError(f"{word!r} is no mechanism")
    if name in ("ip4", "ip6"):
        kind = IPv4Network if name == "ip4" else IPv6Network
        try:
            network = ip_network(value + prefixes, strict=False)
        except ValueError:
            raise ValueError(f"{word!r} names no network") from None
        if not isinstance(network, kind):
            raise ValueError(f"{word!r} is not of the kind it says")
        return Term(RESULTS[sign], name, network=network)
    if name in _NEED_VALUE and not value:
        raise ValueError(f"{word!r} lacks its domain")
    prefix4, _, prefix6 = prefixes.removeprefix("/").partition("//") if prefixes else ("", "", "")
    if prefixes.startswith("//"):
        prefix4, prefix6 = "", prefixes[2:]
    lengths = int(prefix4 or 32), int(prefix6 or 128)
    if lengths[0] > 32 or lengths[1] > 128:
        raise ValueError(f"{word!r} has a prefix that is too long")
    return Term(RESULTS[sign], name, value.rstrip("."), *lengths)
