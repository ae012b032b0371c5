"""Rows of ``dkim_keys``. Private keys stand in them as PEM, sealed for their domain and selector."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.config.secrets import KeyRing, dkim_key_owner
from coldsend.database.tables import dkim_keys
from coldsend.domain.dkim import Algorithm, DkimKey, KeyStatus
from coldsend.errors import NotFound, Refused
from coldsend.stores.lookup import inserted_id

_of = dkim_keys.c


def add(
    connection: Connection,
    keys: KeyRing,
    *,
    domain: str,
    selector: str,
    algorithm: Algorithm,
    bits: int,
    public_key: str,
    private_pem: bytes,
    now: datetime,
) -> int:
    """Insert a key as ``new``; Refused where the domain has one with this selector. Returns its id."""
    if any(key.selector == selector for key in listed(connection, domain)):
        raise Refused(
            f"{domain} has a key with the selector {selector!r} already",
            hint=f"choose another with --selector; see: coldsend dkim show {domain}",
        )
    values = {
        "domain": domain,
        "selector": selector,
        "algorithm": algorithm.value,
        "bits": bits,
        "public_key": public_key,
        "private_key": keys.seal({"pem": private_pem.decode("ascii")}, dkim_key_owner(domain, selector)),
        "status": KeyStatus.NEW.value,
        "created_at": now,
    }
    return inserted_id(connection.execute(sa.insert(dkim_keys).values(values)))


def get(connection: Connection, key_id: int) -> DkimKey:
    """The key with this id; NotFound where there is none (any more)."""
    row = connection.execute(sa.select(dkim_keys).where(_of.id == key_id)).mappings().first()
    if row is None:
        raise NotFound("the DKIM key does not exist any more", hint="see: coldsend dkim list")
    return _key(row)


def listed(connection: Connection, domain: str | None = None, *, locked: bool = False) -> list[DkimKey]:
    """All keys, or those of a domain; ``locked``: they stay as they are until the transaction ends."""
    wanted = sa.select(dkim_keys).order_by(_of.domain, _of.id)
    if domain is not None:
        wanted = wanted.where(_of.domain == domain)
    rows = connection.execute(wanted.with_for_update() if locked else wanted).mappings()
    return [_key(row) for row in rows]


def active(connection: Connection) -> list[DkimKey]:
    """The keys that sign."""
    wanted = sa.select(dkim_keys).where(_of.status == KeyStatus.ACTIVE.value).order_by(_of.id)
    return [_key(row) for row in connection.execute(wanted).mappings()]


def private_pem(key: DkimKey, keys: KeyRing) -> bytes:
    """The private key; Refused where it does not open."""
    return str(keys.open(key.sealed, dkim_key_owner(key.domain, key.selector))["pem"]).encode("ascii")


def set_status(
    connection: Connection, key_id: int, status: KeyStatus, now: datetime, *, expected: Iterable[KeyStatus]
) -> bool:
    """Move a key to ``status`` from one of ``expected``; False where it is in none of them."""
    moment: dict[str, Any] = {"activated_at": now, "retired_at": None}
    if status is KeyStatus.RETIRED:
        moment = {"retired_at": now}
    statement = (
        sa.update(dkim_keys)
        .where(_of.id == key_id, _of.status.in_([each.value for each in expected]))
        .values(status=status.value, **moment)
    )
    return connection.execute(statement).rowcount == 1


def remove(connection: Connection, key_id: int) -> bool:
    """Delete a key that does not sign; False where it does, or is gone."""
    statement = sa.delete(dkim_keys).where(_of.id == key_id, _of.status != KeyStatus.ACTIVE.value)
    return connection.execute(statement).rowcount == 1


def _key(row: RowMapping) -> DkimKey:
    return DkimKey(
        id=row["id"],
        domain=row["domain"],
        selector=row["selector"],
        algorithm=Algorithm(row["algorithm"]),
        bits=row["bits"],
        public_key=row["public_key"],
        status=KeyStatus(row["status"]),
        created_at=row["created_at"],
        activated_at=row["activated_at"],
        retired_at=row["retired_at"],
        sealed=row["private_key"],
    )
