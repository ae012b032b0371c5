"""DMARC records: what they ask for, and who is aligned."""

from __future__ import annotations

import pytest

from coldsend.domain import dmarc
from coldsend.domain.dmarc import Policy


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("v=DMARC1; p=none", Policy("none", "none", strict_dkim=False, strict_spf=False)),
        (
            "v=DMARC1;p=Reject;sp=none;adkim=s;aspf=r;rua=mailto:x@a.org",
            Policy("reject", "none", True, False),
        ),
        ("v=DMARC1; p=quarantine; sp=nonsense; aspf=s;", Policy("quarantine", "quarantine", False, True)),
    ],
)
def test_a_record_is_read(text: str, policy: Policy) -> None:
    assert dmarc.parse(text) == policy


@pytest.mark.parametrize("text", ["v=DMARC1", "v=DMARC1; p=", "v=DMARC1; p=never", "v=DMARC1; reject"])
def test_what_receivers_ignore_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"p=|reject"):
        dmarc.parse(text)


@pytest.mark.parametrize(
    ("domain", "strict", "expected"),
    [
        ("mail.a.org", True, True),
        ("a.org", False, True),
        ("bounces.a.org", False, True),
        ("bounces.a.org", True, False),
        ("nota.org", False, False),
        ("b.org", False, False),
    ],
)
def test_a_domain_vouches_for_its_organisation(domain: str, strict: bool, expected: bool) -> None:
    assert dmarc.aligned(domain, "mail.a.org", "a.org", strict=strict) is expected
