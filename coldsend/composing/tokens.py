"""Tokens in links and Message-IDs: one AES block each; they carry kind and row, and cannot be made up.

Plain block, 16 bytes: ``kind (1) | row id (7, big-endian) | check (8)``, enciphered with AES-128 under a key
derived (HKDF-SHA-256) from the installation's link secret. ``check`` is zero, or for clicks the keyed
BLAKE2b-8 of the target URL, so that a token serves one target only. A changed or invented token deciphers
to a random block, whose check is right once in 2**64 attempts.

Written as unpadded base64url (22 characters) in URLs, as lower-case base32 (26 characters) where case may be
folded: Message-IDs and addresses. Both forms are read; only the canonical spelling of a block is. Mail to an
address with an ADDRESS token is about that row's message; mail to one with an UNSUBSCRIBE token unsubscribes.

Links: ``{base}/o/<token>.gif`` open pixel, ``{base}/c/<token>?u=<URL, percent-encoded>`` click,
``{base}/u/<token>`` unsubscribe. Providers tell of a service's mail at ``{base}/w/<provider>/<token>``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from hashlib import blake2b
from struct import Struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from coldsend.domain import own_address

URL_LENGTH = 22
STRIDE = 24
FOLDED_LENGTH = own_address.TOKEN_LENGTH
MAX_ROW_ID = 2**56 - 1

_NO_CHECK = bytes(8)
_NOT_OF_TOKENS = re.compile(r"[^A-Za-z0-9]+")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_TWO_HALVES = Struct(">QQ").unpack
_TEN_BITS = [_BASE32[number >> 5] + _BASE32[number & 31] for number in range(1024)]


# The row of what belongs to no send list: previews, dry runs, tests. Its links work and nothing is recorded.
NOBODY = 0


class Kind(IntEnum):
    """What a token stands for; the numbers are in links that are out there and never change."""

    OPEN = 1
    CLICK = 2
    UNSUBSCRIBE = 3
    MESSAGE_ID = 4
    ADDRESS = 5
    WEBHOOK = 6  # of a service, not of a row


class Tokens:
    """Issues and reads the tokens of one installation. Keep one: the key schedule is set up once.

    Not to be shared between threads.
    """

    def __init__(self, link_secret: bytes) -> None:
        cipher = Cipher(algorithms.AES(_derived(link_secret, b"coldsend tokens", 16)), modes.ECB())  # noqa: S305 - one block
        self._encipher = cipher.encryptor().update
        self._decipher = cipher.decryptor().update
        self._check_key = _derived(link_secret, b"coldsend click targets", 32)

    def issue(self, kind: Kind, row_id: int, target: str = "") -> str:
        """The token for a link; ``target`` is the URL a click token is good for."""
        check = self._check(target) if kind is Kind.CLICK else _NO_CHECK
        return _spelled([self._encipher(bytes((kind,)) + row_id.to_bytes(7, "big") + check)])[:URL_LENGTH]

    def issue_folded(self, kind: Kind, row_id: int) -> str:
        """The token in letters that survive case folding: for Message-IDs and addresses."""
        return folded(self._encipher(bytes((kind,)) + row_id.to_bytes(7, "big") + _NO_CHECK))

    def of_rows(
        self, links: Sequence[tuple[Kind, str]], in_addresses: Sequence[Kind] = ()
    ) -> Callable[[int], tuple[str, list[str]]]:
        """Issues at once what a message carries: gives, for a row id, the tokens for ``links`` (kind and
        target), ``STRIDE`` characters apart in one text, and the folded tokens of the Message-ID and of
        ``in_addresses``.
        """
        whole = [*links, (Kind.MESSAGE_ID, ""), *((kind, "") for kind in in_addresses)]
        kinds = [bytes((kind,)) for kind, _target in whole]
        checks = [self._check(target) if kind is Kind.CLICK else _NO_CHECK for kind, target in whole[:-1]]
        # All blocks of a row are these with the row between them: kind, row, check and next kind, row ..
        between = [kinds[0], *map(bytes.__add__, checks, kinds[1:]), _NO_CHECK]
        split = Struct("16s" * len(kinds)).unpack
        encipher, in_links = self._encipher, len(links)

        def issue(row_id: int) -> tuple[str, list[str]]:
            blocks = split(encipher(row_id.to_bytes(7, "big").join(between)))
            return _spelled(blocks[:in_links]), list(map(folded, blocks[in_links:]))

        return issue

    def read(self, token: str) -> tuple[Kind, int] | None:
        """Kind and row of a token that is good without a target; None for anything else."""
        return self._read(token, _NO_CHECK, click=False)

    def read_address(self, address: str) -> tuple[Kind, int] | None:
        """Kind (ADDRESS or UNSUBSCRIBE) and row of the token in an address mail was sent to; None: none.

        What forwarders write around it (``prvs=..``, ``SRS0=..=user+token@other.example``) does not matter.
        """
        for piece in _NOT_OF_TOKENS.split(address.rpartition("@")[0]):
            found = self.read(piece) if len(piece) == FOLDED_LENGTH else None
            if found is not None and found[0] in (Kind.ADDRESS, Kind.UNSUBSCRIBE):
                return found
        return None

    def read_click(self, token: str, url: str) -> int | None:
        """The row of a click token, if it was issued for exactly this ``url``."""
        found = self._read(token, self._check(url), click=True)
        return found[1] if found else None

    def _check(self, url: str) -> bytes:
        data = url.encode("utf-8", "surrogatepass")
        return blake2b(data, digest_size=8, key=self._check_key).digest()

    def _read(self, token: str, check: bytes, *, click: bool) -> tuple[Kind, int] | None:
        block = _block(token)
        plain = self._decipher(block if block is not None else bytes(16))
        kind, row_id = plain[0], int.from_bytes(plain[1:8], "big")
        # Everything is computed for every token, good or bad: the time taken tells nothing.
        checked = hmac.compare_digest(plain[8:], check)
        known = kind in _KINDS and (kind == Kind.CLICK) is click
        return (Kind(kind), row_id) if block is not None and checked and known else None


_KINDS = frozenset(int(kind) for kind in Kind)


def _spelled(blocks: Sequence[bytes]) -> str:
    """Blocks in base64url, each in the first 22 of ``STRIDE`` characters."""
    # 16 bytes and two of padding make 24 characters without a rest: all blocks are encoded at once.
    return binascii.b2a_base64(b"\0\0".join(blocks), newline=False).translate(_TO_URL).decode("ascii")


def folded(block: bytes) -> str:
    """16 bytes as 26 lower-case base32 characters (without padding)."""
    # Written out, because this is done for every message: a loop takes twice as long.
    high, low = _TWO_HALVES(block)
    pair = _TEN_BITS
    return (
        f"{pair[high >> 54]}{pair[high >> 44 & 1023]}{pair[high >> 34 & 1023]}{pair[high >> 24 & 1023]}"
        f"{pair[high >> 14 & 1023]}{pair[high >> 4 & 1023]}{pair[(high & 15) << 6 | low >> 58]}"
        f"{pair[low >> 48 & 1023]}{pair[low >> 38 & 1023]}{pair[low >> 28 & 1023]}{pair[low >> 18 & 1023]}"
        f"{pair[low >> 8 & 1023]}{pair[low << 2 & 1023]}"
    )


def _block(token: str) -> bytes | None:
    """The enciphered block behind a token; None where it is not the canonical spelling of one."""
    try:
        if len(token) == URL_LENGTH:
            block = base64.b64decode(token + "==", altchars=b"-_", validate=True)
            spelled = base64.urlsafe_b64encode(block).decode().rstrip("=")
            return block if spelled == token else None
        if len(token) == FOLDED_LENGTH:
            block = base64.b32decode(token.upper() + "======")
            return block if folded(block) == token.lower() else None
    except (binascii.Error, ValueError):
        pass
    return None


def _derived(secret: bytes, purpose: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=purpose).derive(secret)
