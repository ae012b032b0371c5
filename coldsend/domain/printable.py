"""Which characters may stand on a line that people read: no controls, nothing invisible that changes others.

``str.isprintable`` takes every space but one for unprintable; names and prices are written with the others.
"""

from __future__ import annotations

import unicodedata


def is_printable(text: str) -> bool:
    """Whether all of it may be shown: spaces of any width may, line breaks and escapes may not."""
    return text.isprintable() or all(c.isprintable() or unicodedata.category(c) == "Zs" for c in text)
