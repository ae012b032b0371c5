"""Which characters may stand on a line that people read: no controls, nothing invisible that changes others.

``str.isprintable`` takes every space but one for unprintable; names and prices are written with the others.
"""

from __future__ import annotations

import unicodedata

from coldsend.errors import InvalidInput


def is_printable(text: str) -> bool:
    """Whether all of it may be shown: spaces of any width may, line breaks and escapes may not."""
    return text.isprintable() or all(c.isprintable() or unicodedata.category(c) == "Zs" for c in text)


def require_plain(text: str, what: str) -> None:
    """InvalidInput where a name has another space than the plain one in it, or what cannot be seen.

    Names are typed at a shell: two that look alike must be one. what: has the text, as ``the tag 'a'``.
    """
    odd = next((c for c in text if not c.isprintable()), "")
    if odd and unicodedata.category(odd) == "Zs":
        name = unicodedata.name(odd).lower()
        raise InvalidInput(f"{what} has a space of another kind in it ({name})", hint="use a plain space")
    if odd:
        raise InvalidInput(f"{what} has a control character or line break in it")
