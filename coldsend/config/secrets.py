"""Secrets at rest: AES-256-GCM, each bound to the row it belongs to.

A sealed value is a small JSON document ``{"v": 1, "kid": .., "nonce": .., "data": ..}`` (base64url). The
owner ("sender_services/12") is authenticated with it, so a value copied to another row does not open.
The key ring holds one or more 32-byte keys: the first seals, all open, ``coldsend key rotate`` re-seals.
Keys come from ``secret_key`` / ``COLDSEND_SECRET_KEY``, else from ``secret_key_file`` (mode 0600).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coldsend.config.settings import Settings
from coldsend.errors import InvalidInput, NotFound, Refused

KEY_BYTES = 32


def service_owner(service_id: int) -> str:
    return f"sender_services/{service_id}"


def signing_key_owner(purpose: str) -> str:
    return f"signing_keys/{purpose}"


class KeyRing:
    """The keys in force. Its repr and str never show them."""

    def __init__(self, keys: list[bytes]) -> None:
        if not keys:
            raise InvalidInput("no secret key", hint="create one with: coldsend init")
        self._keys = {_key_id(key): key for key in keys}
        self.current_id = _key_id(keys[0])

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    def seal(self, secret: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """Encrypt a JSON-able mapping for ``owner``."""
        nonce = os.urandom(12)
        plain = json.dumps(secret, ensure_ascii=False, separators=(",", ":")).encode()
        data = AESGCM(self._keys[self.current_id]).encrypt(nonce, plain, owner.encode())
        return {"v": 1, "kid": self.current_id, "nonce": _encode(nonce), "data": _encode(data)}

    def open(self, sealed: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """Decrypt; Refused where the key is missing or the value was tampered with or moved."""
        key = self._keys.get(str(sealed.get("kid")))
        if key is None:
            raise Refused(
                f"the credentials of {owner} need key {sealed.get('kid')}, which is not configured",
                hint="add that key to secret_key (comma separated) or restore the key file",
            )
        try:
            plain = AESGCM(key).decrypt(_decode(sealed["nonce"]), _decode(sealed["data"]), owner.encode())
        except (InvalidTag, KeyError, ValueError, binascii.Error) as error:
            raise Refused(
                f"the credentials of {owner} cannot be decrypted: they were altered or belong to another row",
                hint="enter them again: coldsend service update NAME --password-stdin",
            ) from error
        return dict(json.loads(plain))

    def is_current(self, sealed: Mapping[str, Any]) -> bool:
        return sealed.get("kid") == self.current_id


def load_key_ring(settings: Settings) -> KeyRing:
    """The configured keys; NotFound where there are none, InvalidInput where one is not a key."""
    if settings.secret_key:
        return KeyRing(
            [_parse_key(text, "secret_key") for text in settings.secret_key.split(",") if text.strip()]
        )
    file = settings.secret_key_file
    if not file.is_file():
        raise NotFound(
            f"there is no secret key: neither COLDSEND_SECRET_KEY nor the file {file}",
            hint="create one with: coldsend init",
        )
    lines = [line.strip() for line in file.read_text().splitlines()]
    return KeyRing([_parse_key(line, str(file)) for line in lines if line and not line.startswith("#")])


def new_key() -> str:
    """A fresh key in the form the configuration takes."""
    return _encode(os.urandom(KEY_BYTES))


def write_key_file(file: Path, keys: list[str]) -> None:
    """Write the key file, readable by its owner only, replaced in one step."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write("# coldsend secret keys: the first encrypts, all decrypt. Keep a copy somewhere safe.\n")
        handle.writelines(f"{key}\n" for key in keys)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(file)


def _parse_key(text: str, where: str) -> bytes:
    try:
        key = _decode(text.strip())
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInput(
            f"a key in {where} is not 32 bytes of base64", hint="create one with: coldsend key new"
        )
    return key


def _key_id(key: bytes) -> str:
    return hashlib.blake2b(key, digest_size=4, person=b"coldsend-kid").hexdigest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
