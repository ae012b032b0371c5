"""Rows of ``signing_keys``: secrets that sign link tokens and hash erased addresses.

One row per purpose: 32 random bytes, made once by `coldsend init`, sealed with the key ring. They never
change: links in messages that were sent long ago must still be answered.
"""

from __future__ import annotations

import base64
import os
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.config.secrets import KeyRing, signing_key_owner
from coldsend.database import dialect
from coldsend.database.tables import signing_keys
from coldsend.errors import NotFound

PURPOSES = ("links", "suppression")
SECRET_BYTES = 32


def load(connection: Connection, keys: KeyRing, purpose: str) -> bytes:
    """The secret for ``purpose``, 32 bytes; NotFound where `coldsend init` has not made it yet."""
    sealed = connection.execute(
        sa.select(signing_keys.c.secret).where(signing_keys.c.purpose == purpose)
    ).scalar()
    if sealed is None:
        raise NotFound(f"the signing key for {purpose} does not exist", hint="run: coldsend init")
    return base64.b64decode(keys.open(sealed, signing_key_owner(purpose))["secret"])


def ensure(connection: Connection, keys: KeyRing, purpose: str, now: datetime) -> bool:
    """Make the secret for ``purpose`` unless it exists; returns whether it was made.

    Refused where the one that exists cannot be opened.
    """
    secret = base64.b64encode(os.urandom(SECRET_BYTES)).decode()
    made = connection.execute(
        dialect.insert_ignore(signing_keys, connection.dialect.name).values(
            purpose=purpose, secret=keys.seal({"secret": secret}, signing_key_owner(purpose)), created_at=now
        )
    )
    load(connection, keys, purpose)
    return bool(made.rowcount)
