"""Names that nobody has (RFC 2606, RFC 6761): asking the network for them would only take time."""

from __future__ import annotations

import re

_RESERVED = re.compile(
    r"(?:.*\.)?(?:example\.(?:com|net|org)|[^.]+\.(?:example|test|invalid|localhost))", re.IGNORECASE
)


def is_reserved(host: str) -> bool:
    """Whether a host or domain stands only in examples and tests."""
    return _RESERVED.fullmatch(host.rstrip(".")) is not None
