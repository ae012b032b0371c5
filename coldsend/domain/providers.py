"""Which mailbox provider stands behind a domain: pauses, limits and dialects belong to providers.

Only domains of the providers' own are known here; who runs a company's mailboxes is in the DNS, which the
domain layer does not ask. "yahoo.*" stands for all national domains of a name.
"""

from __future__ import annotations

import re

_PROVIDERS = {
    "google": ("gmail.com", "googlemail.com", "google.com"),
    "outlook": ("outlook.*", "hotmail.*", "live.*", "msn.com", "passport.com", "windowslive.com"),
    "yahoo": (
        "yahoo.*",
        "ymail.com",
        "rocketmail.com",
        "aol.*",
        "aim.com",
        "verizon.net",
        "myyahoo.com",
        "netscape.net",
    ),
    "apple": ("icloud.com", "me.com", "mac.com"),
    "yandex": ("yandex.*", "ya.ru"),
    "mailru": ("mail.ru", "bk.ru", "inbox.ru", "list.ru", "internet.ru", "xmail.ru"),
    "rambler": ("rambler.ru", "lenta.ru", "autorambler.ru", "myrambler.ru", "ro.ru"),
    "qq": ("qq.com", "foxmail.com", "vip.qq.com"),
    "netease": ("163.com", "126.com", "yeah.net", "188.com", "vip.163.com", "vip.126.com"),
    "gmx": ("gmx.*",),
    "webde": ("web.de",),
    "proton": ("protonmail.com", "protonmail.ch", "proton.me", "pm.me"),
    "orange": ("orange.fr", "wanadoo.fr", "voila.fr"),
    "free": ("free.fr", "libertysurf.fr"),
    "comcast": ("comcast.net", "xfinity.com"),
    "att": ("att.net", "bellsouth.net", "sbcglobal.net", "pacbell.net", "ameritech.net", "swbell.net"),
    "zoho": ("zoho.*", "zohomail.*"),
}
_BY_DOMAIN = {
    domain: name for name, domains in _PROVIDERS.items() for domain in domains if not domain.endswith(".*")
}
_BY_NAME = {
    domain.removesuffix(".*"): name
    for name, domains in _PROVIDERS.items()
    for domain in domains
    if domain.endswith(".*")
}
# How the domains above are found: by name, and by what national domains of a name begin with.
NAMES = frozenset(_PROVIDERS)
DOMAINS = frozenset(_BY_DOMAIN)
BEGINNINGS = frozenset(_BY_NAME)
# What stands after the name of a provider in its national domains: "de", "co.uk", "com.br".
_NATIONAL = re.compile(r"(?:(?:com?|net)\.)?[a-z]{2}|com|net|eu")


def provider_of(domain: str) -> str:
    """Who runs the mailboxes of a domain ("gmail.com": "google"); the domain where nobody known does."""
    domain = domain.strip().rstrip(".").lower()
    name, _, rest = domain.partition(".")
    if domain in _BY_DOMAIN:
        return _BY_DOMAIN[domain]
    return _BY_NAME[name] if name in _BY_NAME and _NATIONAL.fullmatch(rest) else domain
