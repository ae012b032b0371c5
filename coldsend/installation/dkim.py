"""What admins do with DKIM keys: make, import, activate, retire, remove; and which services sign with them.

To change a key: add a new one, publish its record, activate it (the old one of the same algorithm is
retired), and remove the old one, record and all, when mail signed with it is no longer on its way.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from shlex import quote

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from sqlalchemy.engine import Connection

from coldsend.config.secrets import KeyRing
from coldsend.domain import address, dkim
from coldsend.domain.dkim import BITS, LEAST_BITS, Algorithm, DkimKey, KeyStatus
from coldsend.domain.finding import Finding
from coldsend.domain.service import Service
from coldsend.errors import ChangedMeanwhile, InvalidInput, NotFound, WrongState
from coldsend.stores import dkim_keys, services

NAME_LIMIT = 253  # of a DNS name
DRY_RUN = "console"  # services of this type reach nobody


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key (PEM) and the ``p=`` of its record."""

    algorithm: Algorithm
    bits: int
    public_key: str
    private_pem: bytes = field(repr=False)


def generated(algorithm: Algorithm, bits: int | None) -> KeyPair:
    """A fresh key. bits: of an RSA key, 2048 where nothing is said; InvalidInput where it cannot be that."""
    if algorithm is Algorithm.ED25519:
        if bits is not None:
            raise InvalidInput("--bits is for RSA: Ed25519 keys have one size")
        return _pair(Ed25519PrivateKey.generate())
    if bits not in (None, *BITS):
        raise InvalidInput(
            f"--bits must be {', '.join(map(str, BITS))}, not {bits}",
            hint=f"{LEAST_BITS} is right for nearly everybody: longer keys sign far more slowly",
        )
    return _pair(generate_private_key(public_exponent=65537, key_size=bits or LEAST_BITS))


def imported(data: bytes, where: str) -> KeyPair:
    """The private key in a PEM file; InvalidInput names ``where`` it stood, never its content."""
    try:
        found = serialization.load_pem_private_key(data, password=None)
    except TypeError:
        raise InvalidInput(
            f"the key in {where} is protected by a passphrase",
            hint=f"take it off first: openssl pkey -in {where} -out plain.pem",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidInput(
            f"{where} holds no private key in PEM form", hint="it begins with -----BEGIN .. PRIVATE KEY-----"
        ) from None
    if isinstance(found, RSAPrivateKey):
        if not LEAST_BITS <= found.key_size <= BITS[-1]:
            raise InvalidInput(
                f"the RSA key in {where} has {found.key_size} bits: {LEAST_BITS} to {BITS[-1]} are accepted",
                hint="make a new one: coldsend dkim add DOMAIN",
            )
        return _pair(found)
    if isinstance(found, Ed25519PrivateKey):
        return _pair(found)
    raise InvalidInput(f"the key in {where} is neither RSA nor Ed25519: DKIM knows no others")


def _pair(key: RSAPrivateKey | Ed25519PrivateKey) -> KeyPair:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    if isinstance(key, RSAPrivateKey):
        algorithm, bits = Algorithm.RSA, key.key_size
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    else:
        algorithm, bits = Algorithm.ED25519, 256
        public = key.public_key().public_bytes_raw()  # RFC 8463, section 4
    return KeyPair(algorithm, bits, base64.b64encode(public).decode("ascii"), pem)


def add(
    connection: Connection, keys: KeyRing, given: str, selector: str | None, pair: KeyPair, now: datetime
) -> DkimKey:
    """Store a key for a domain, not yet in use; Refused where the selector is taken."""
    domain = address.parse_domain(given)
    there = dkim_keys.listed(connection, domain)
    if selector is None:
        selector = dkim.default_selector(pair.algorithm, now, [key.selector for key in there])
    selector = dkim.checked_selector(selector)
    if len(f"{selector}._domainkey.{domain}") > NAME_LIMIT:
        raise InvalidInput(f"{selector}._domainkey.{domain} is longer than a DNS name can be")
    key_id = dkim_keys.add(
        connection,
        keys,
        domain=domain,
        selector=selector,
        algorithm=pair.algorithm,
        bits=pair.bits,
        public_key=pair.public_key,
        private_pem=pair.private_pem,
        now=now,
    )
    return dkim_keys.get(connection, key_id)


def of_domain(connection: Connection, given: str, selector: str | None = None) -> list[DkimKey]:
    """The keys of a domain, or the one with this selector; NotFound where there is none."""
    domain = address.parse_domain(given)
    found = dkim_keys.listed(connection, domain)
    if not found:
        raise NotFound(f"there is no DKIM key for {domain}", hint=f"make one: coldsend dkim add {domain}")
    if selector is None:
        return found
    chosen = [key for key in found if key.selector == selector.strip().lower()]
    if not chosen:
        names = ", ".join(key.selector for key in found)
        raise NotFound(f"{domain} has no DKIM key with the selector {selector!r}", hint=f"it has: {names}")
    return chosen


def choose(
    connection: Connection, given: str, selector: str | None, fit: Collection[KeyStatus], deed: str
) -> DkimKey:
    """The key that is meant: the one named, else the only one whose status fits. ``deed``: "activate"."""
    found = of_domain(connection, given, selector)
    fitting = [key for key in found if key.status in fit]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(key.selector for key in fitting)
        raise InvalidInput(
            f"{found[0].domain} has {len(fitting)} DKIM keys to {deed}: {names}",
            hint=f"say which: coldsend dkim {deed} {found[0].domain} --selector {fitting[0].selector}",
        )
    states = ", ".join(f"{key.selector} is {key.status}" for key in found)
    raise WrongState(
        f"{found[0].domain} has no DKIM key to {deed}: {states}",
        hint=f"see: coldsend dkim show {found[0].domain}",
    )


def activate(connection: Connection, key: DkimKey, now: datetime) -> tuple[DkimKey, list[DkimKey]]:
    """Sign with this key from now on; its predecessors of the same algorithm are retired.

    Returns it and them. WrongState where somebody else was quicker.
    """
    others = dkim_keys.listed(connection, key.domain, locked=True)
    _move(connection, key, KeyStatus.ACTIVE, now, (KeyStatus.NEW, KeyStatus.RETIRED))
    before = [
        other
        for other in others
        if other.status is KeyStatus.ACTIVE and other.algorithm is key.algorithm and other.id != key.id
    ]
    for other in before:
        _move(connection, other, KeyStatus.RETIRED, now, (KeyStatus.ACTIVE,))
    return dkim_keys.get(connection, key.id), [dkim_keys.get(connection, other.id) for other in before]


def retire(connection: Connection, key: DkimKey, now: datetime) -> DkimKey:
    """Sign no more with this key."""
    _move(connection, key, KeyStatus.RETIRED, now, (KeyStatus.ACTIVE,))
    return dkim_keys.get(connection, key.id)


def remove(connection: Connection, key: DkimKey) -> None:
    """Delete a key that does not sign; WrongState where it does."""
    if not dkim_keys.remove(connection, key.id):
        raise _changed(key)


def _move(
    connection: Connection, key: DkimKey, status: KeyStatus, now: datetime, expected: Iterable[KeyStatus]
) -> None:
    if not dkim_keys.set_status(connection, key.id, status, now, expected=expected):
        raise _changed(key)


def _changed(key: DkimKey) -> ChangedMeanwhile:
    return ChangedMeanwhile(
        f"the DKIM key {key.name} was changed by somebody else this moment",
        hint=f"see: coldsend dkim show {key.domain}",
    )


def signing(connection: Connection) -> dict[int, list[str]]:
    """Id of each key that signs -> names of the services that sign with it."""
    active = dkim_keys.active(connection)
    found: dict[int, list[str]] = {}
    for service in services.all_services(connection):
        for key in dkim.keys_for(service, active):
            found.setdefault(key.id, []).append(service.name)
    return found


def left_unsigned(connection: Connection, key: DkimKey) -> list[str]:
    """Names of the services that would send unsigned if this key were retired."""
    active = dkim_keys.active(connection)
    rest = [other for other in active if other.id != key.id]
    return [
        service.name
        for service in services.all_services(connection)
        if dkim.keys_for(service, active) and not dkim.keys_for(service, rest)
    ]


def in_use(connection: Connection) -> list[DkimKey]:
    """The keys that some service signs with."""
    used = signing(connection)
    return [key for key in dkim_keys.active(connection) if key.id in used]


def unsigned(connection: Connection) -> Iterator[Finding]:
    """A warning for each service whose mail nobody is known to sign so that every receiver can verify it."""
    stored = dkim_keys.listed(connection)
    active = [key for key in stored if key.status is KeyStatus.ACTIVE]
    new = [key for key in stored if key.status is KeyStatus.NEW]
    for service in services.all_services(connection):
        if service.type == DRY_RUN or dkim.signs_itself(service):
            continue
        keys = dkim.keys_for(service, active)
        if not keys:
            domain = dkim.from_domain(service)
            message = f"its mail is not signed: there is no active DKIM key for {domain}"
            yield Finding("warning", f"service {service.name!r}", message, _way_out(service, new))
        elif without_rsa(keys):
            yield Finding(
                "warning",
                f"service {service.name!r}",
                f"its mail is signed with Ed25519 alone, which many receivers cannot verify ({keys[0].name})",
                f"add an RSA key beside it: coldsend dkim add {keys[0].domain}",
            )


def without_rsa(keys: Iterable[DkimKey]) -> bool:
    """Whether none of these keys makes signatures that every receiver can verify."""
    return all(key.algorithm is not Algorithm.RSA for key in keys)


def _way_out(service: Service, new: Collection[DkimKey]) -> str:
    if waiting := dkim.keys_for(service, new):
        return f"publish the new one, then: coldsend dkim activate {waiting[0].domain}"
    return (
        f"make one: coldsend dkim add {dkim.from_domain(service)}; or, if its mail server signs: "
        f"coldsend service update {quote(service.name)} --dkim {dkim.BY_SERVER}"
    )
