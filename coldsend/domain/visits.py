"""Who opened or clicked: a person, a machine, or one of our own; decided from what the visit showed.

No sign is proof, so whatever is seen is kept, and a happening of a machine is only not counted. Machines are
taken for such where they say so (relays that fetch in advance, link scanners, previews, programs), where
nobody looks at the answer (HEAD, prefetching), or where no person is that quick: a link followed within two
seconds of the sending, or three different links of one message within two seconds. Image proxies that fetch
when somebody opens the message stand for that person, unless they do so within two seconds of the sending.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import groupby

from coldsend.domain.feedback import Actor

SOON_SECONDS = 2.0
BURST_SECONDS = 2.0
BURST_LINKS = 3

# What a visit showed; stored with it.
HEAD, PREFETCH, OWN = "head", "prefetch", "own"

# Request headers by which browsers and gateways say that nobody is looking yet.
PREFETCH_HEADERS = (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")
_PREFETCH = re.compile(rb"prefetch|prerender|preview|instant", re.IGNORECASE)

# Fetch an image when its message is shown. Those that fetch in advance are told in agent_sign().
_PROXIES: Mapping[str, str] = {
    "googleimageproxy": "Google image proxy",
    "yahoomailproxy": "Yahoo image proxy",
    "outlookproxy": "Outlook image proxy",
    "outlook-imageproxy": "Outlook image proxy",
    "microsoft outlook image proxy": "Outlook image proxy",
    "yandexmailproxy": "Yandex image proxy",
    "yandeximageresizer": "Yandex image proxy",
    "mail.ru imageproxy": "Mail.ru image proxy",
    "fastmail image proxy": "Fastmail image proxy",
}
_PROTON = "protonmail image proxy"
_SCANNER = re.compile(
    r"barracuda|proofpoint|mimecast|trendmicro|trend micro|symantec|messagelabs|sophos|fireeye|trellix|"
    r"mcafee|forcepoint|websense|zscaler|ironport|cisco-?(?:esa|secure)|checkpoint|fortimail|fortiguard|bitdefender|"
    r"kaspersky|avast|urlscan|virustotal|safelinks|safebrowsing|phish|spam|antivirus|av-?scan|linkscan|urldefense",
    re.IGNORECASE,
)
_PROGRAM = re.compile(
    r"(?<!\bcu)bot\b|crawl|spider|slurp|preview|facebookexternalhit|whatsapp/|embedly|headless|phantomjs|"
    r"puppeteer|playwright|selenium|lighthouse|monitor|uptime|"
    r"^(?:curl|wget|java|okhttp|go-http-client|python|aiohttp|httpx|libwww|lwp|ruby|php|perl|axios|node|"
    r"apache-httpclient|guzzlehttp|httpclient|winhttp|dalvik|postmanruntime|insomnia|http_request|undici)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Judged:
    """actor, and the sign it was judged by; of a person "", or the proxy that asked for them."""

    actor: Actor
    sign: str


PERSON = Judged(Actor.HUMAN, "")


def judge(
    agent: str, signs: Sequence[str], *, is_click: bool, after_sending: float | None, in_burst: bool
) -> Judged:
    """Who it was.

    agent: the User-Agent header. signs: what the request showed (HEAD, PREFETCH, OWN). after_sending: seconds
    since the message was accepted; None where that is not known. in_burst: see :func:`bursts`.
    """
    if OWN in signs:
        return Judged(Actor.OWN, "own network")
    for sign in (HEAD, PREFETCH):
        if sign in signs:
            return Judged(Actor.MACHINE, sign)
    proxy = proxy_sign(agent)
    named = proxy or agent_sign(agent)
    if named and (is_click or not proxy):  # nobody follows a link through what fetches images
        return Judged(Actor.MACHINE, named)
    if is_click and in_burst:
        return Judged(Actor.MACHINE, "many links at once")
    if is_timed(agent, is_click=is_click) and after_sending is not None and after_sending < SOON_SECONDS:
        return Judged(Actor.MACHINE, "at once after sending")
    return Judged(Actor.HUMAN, proxy) if proxy else PERSON


def is_timed(agent: str, *, is_click: bool) -> bool:
    """Whether the time since the sending says something of a visit. Not of an open in a mail program, which
    may show a message the moment it comes."""
    return is_click or bool(proxy_sign(agent))


@lru_cache(4096)
def proxy_sign(agent: str) -> str:
    """The image proxy that asks when a person opens the message; "" where it is none."""
    folded = agent.lower()
    return next((name for sign, name in _PROXIES.items() if sign in folded), "")


@lru_cache(4096)  # of which there are few, and many hits of each
def agent_sign(agent: str) -> str:
    """What a User-Agent that is no image proxy's says against a person; "" where nothing."""
    text = agent.strip()
    if not text:
        return "no user agent"
    if text == "Mozilla/5.0":
        # All that Apple's mail privacy relays say; no browser is so short.
        return "Apple mail privacy"
    if text.endswith(" Edge/12.246 Mozilla/5.0"):
        return "Gmail prefetch"  # images of a message that arrives while its mailbox is shown somewhere
    if _PROTON in text.lower():
        return "Proton image proxy"
    if _SCANNER.search(text):
        return "security scanner"
    return "program" if _PROGRAM.search(text) else ""


def is_prefetch(headers: Mapping[bytes, bytes]) -> bool:
    """Whether request headers (lower-case names) say that nobody is looking yet."""
    return any(name in headers and _PREFETCH.search(headers[name]) for name in PREFETCH_HEADERS)


def bursts(clicks: Sequence[tuple[int, float, str]]) -> set[int]:
    """Which of these clicks, (row, seconds, link) in any order, belong to a burst: their places.

    A burst is BURST_LINKS different links of one message within BURST_SECONDS.
    """
    found: set[int] = set()
    by_row = sorted(range(len(clicks)), key=lambda place: clicks[place][:2])
    for _row, places in groupby(by_row, key=lambda place: clicks[place][0]):
        mine = list(places)
        # What was added to the window once is taken off once: thousands on one link cost no more each.
        links: Counter[str] = Counter()
        first = done = 0
        for last, place in enumerate(mine):
            links[clicks[place][2]] += 1
            while clicks[mine[first]][1] < clicks[place][1] - BURST_SECONDS:
                gone = clicks[mine[first]][2]
                links[gone] -= 1
                if not links[gone]:
                    del links[gone]
                first += 1
            if len(links) >= BURST_LINKS:
                found.update(mine[max(first, done) : last + 1])
                done = last + 1
    return found


def cut_address(text: str) -> str:
    """The network an address is in, /24 or /48, without the part that names a household; "" for none."""
    try:
        address = read_address(text)
    except ValueError:
        return ""
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False))


def read_address(text: str) -> IPv4Address | IPv6Address:
    """An IP address as it is meant: ``::ffff:192.0.2.1`` is 192.0.2.1. ValueError where it is none."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
