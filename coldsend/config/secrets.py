"""Secrets at rest: AES-256-GCM, each bound to the row it belongs to.

A sealed value is a small JSON document ``{"v": 1, "kid": .., "nonce": .., "data": ..}`` (base64url). The
owner ("sender_services/12") is authenticated with it, so a value copied to another row does not open.
The key ring holds one or more 32-byte keys: the first seals, all open, ``coldsend key rotate`` re-seals.
Keys come from ``secret_key`` / ``COLDSEND_SECRET_KEY``, else from ``secret_key_file``: one key a line, ``#``
begins a comment, readable by its owner only.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coldsend.config.settings import Settings
from coldsend.errors import InvalidInput, NotFound, Refused, WrongState

KEY_BYTES = 32


def service_owner(service_id: int) -> str:
    """The owner to seal a sender service's credentials for."""
    return f"sender_services/{service_id}"


def webhook_owner(service_id: int) -> str:
    """The owner to seal the secret of a sender service's webhooks for."""
    return f"sender_services/{service_id}/webhook"


def mailbox_owner(mailbox_id: int) -> str:
    """The owner to seal a mailbox's credentials for."""
    return f"mailboxes/{mailbox_id}"


def signing_key_owner(purpose: str) -> str:
    """The owner to seal a signing key for."""
    return f"signing_keys/{purpose}"


def dkim_key_owner(domain: str, selector: str) -> str:
    """The owner to seal a DKIM key for."""
    return f"dkim_keys/{domain}/{selector}"


class KeyRing:
    """The keys in force. Its repr and str never show them.

    ``source`` reads the keys again. A process that was started before ``coldsend key rotate`` uses it to seal
    with the key now in force, and to open what was sealed with one it has not seen.
    """

    def __init__(self, keys: Sequence[bytes], source: Callable[[], Sequence[bytes]] | None = None) -> None:
        self._source = source
        self._take(keys)

    def _take(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise InvalidInput("no secret key is configured", hint="create one with: coldsend init")
        self._keys = {key_id(key): key for key in keys}
        self.current_id = key_id(keys[0])

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    @property
    def ids(self) -> list[str]:
        """The ids of all keys, the one that seals first. An id tells nothing about its key."""
        return list(self._keys)

    def seal(self, secret: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """Encrypt a JSON-able mapping for ``owner``."""
        self._refresh()
        nonce = os.urandom(12)
        plain = json.dumps(secret, ensure_ascii=False, separators=(",", ":")).encode()
        data = AESGCM(self._keys[self.current_id]).encrypt(nonce, plain, owner.encode())
        return {"v": 1, "kid": self.current_id, "nonce": _encode(nonce), "data": _encode(data)}

    def open(self, sealed: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """Decrypt; Refused where the key is missing or the value was tampered with or moved."""
        wanted = str(sealed.get("kid"))
        if wanted not in self._keys:
            self._refresh()
        if wanted not in self._keys:
            raise Refused(
                f"the secret of {owner} needs key {wanted}, which is not configured",
                hint="restore that key in the key file or in COLDSEND_SECRET_KEY: coldsend key status",
            )
        try:
            plain = AESGCM(self._keys[wanted]).decrypt(
                _decode(sealed["nonce"]), _decode(sealed["data"]), owner.encode()
            )
            return dict(json.loads(plain))
        except (InvalidTag, KeyError, TypeError, ValueError) as error:
            raise Refused(
                f"the secret of {owner} cannot be decrypted: it was altered or belongs to another row",
                hint=_replace_hint(owner),
            ) from error

    def is_current(self, sealed: Mapping[str, Any]) -> bool:
        """Whether it was sealed with the first key."""
        return sealed.get("kid") == self.current_id

    def _refresh(self) -> None:
        if self._source is not None:
            self._take(self._source())


def load_key_ring(settings: Settings) -> KeyRing:
    """The configured keys.

    NotFound where there are none, InvalidInput where one is not a key, Refused where others can read them.
    """
    if settings.secret_key:
        texts = [text.strip() for text in settings.secret_key.split(",")]
        return KeyRing([parse_key(text, "secret_key") for text in texts if text])
    file = settings.secret_key_file
    return KeyRing(read_key_file(file), source=lambda: read_key_file(file))


def read_key_file(file: Path) -> list[bytes]:
    """The keys of a key file, in order; errors as :func:`load_key_ring`."""
    if not file.exists():
        raise NotFound(
            f"there is no secret key: neither COLDSEND_SECRET_KEY nor the file {file}",
            hint="create one with: coldsend init",
        )
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        text = file.read_text(encoding="ascii")
    except OSError as error:
        raise Refused(f"the key file {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the key file {file} is not a text file", hint="restore it") from error
    if mode & 0o077:
        raise Refused(
            f"the key file {file} can be read by other users (mode {mode:04o})",
            hint=f"run: chmod 600 {file}",
        )
    lines = [line.strip() for line in text.splitlines()]
    keys = [parse_key(line, str(file)) for line in lines if line and not line.startswith("#")]
    if not keys:
        raise NotFound(
            f"there is no key in {file}", hint="restore it, or remove the file and run: coldsend init"
        )
    return keys


def write_key_file(file: Path, keys: Sequence[str]) -> None:
    """Write the key file, readable by its owner only: after any interruption it is the old or the new one."""
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
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def key_file_locked(file: Path) -> Iterator[None]:
    """Nobody else changes the key file meanwhile; WrongState where somebody is at it right now."""
    file.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)  # the file itself is replaced, so it cannot carry the lock
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WrongState(
                f"another coldsend is changing the key file {file}",
                hint="wait until it is done, then try again",
            ) from None
        yield
    finally:
        os.close(folder)


def new_key() -> str:
    """A fresh key in the form the configuration takes."""
    return key_text(os.urandom(KEY_BYTES))


def key_text(key: bytes) -> str:
    """A key in the form the configuration takes."""
    return _encode(key)


def parse_key(text: str, where: str) -> bytes:
    """A key from its text; InvalidInput names ``where`` it stood, never the text."""
    try:
        key = _decode(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInput(
            f"a key in {where} is not 32 bytes of base64", hint="create one with: coldsend key new"
        )
    return key


def key_id(key: bytes) -> str:
    """Eight hexadecimal digits that name a key and tell nothing about it."""
    return hashlib.blake2b(key, digest_size=4, person=b"coldsend-kid").hexdigest()


def _replace_hint(owner: str) -> str:
    if owner.endswith("/webhook"):
        return f"enter it again: coldsend service update {owner.split('/')[1]} --webhook-secret-stdin"
    if owner.startswith("sender_services/"):
        return f"enter them again: coldsend service update {owner.rpartition('/')[2]} --password-stdin"
    if owner.startswith("mailboxes/"):
        return f"enter them again: coldsend mailbox update {owner.rpartition('/')[2]} --password-stdin"
    if owner.startswith("dkim_keys/"):
        return f"make a new key: coldsend dkim add {owner.split('/')[1]}; then publish and activate it"
    return "restore the database from a backup"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
