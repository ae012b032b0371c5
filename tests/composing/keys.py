"""DKIM keys for tests, made once a run."""

from __future__ import annotations

from coldsend.composing.dkim import Identity, Signer
from coldsend.domain.dkim import Algorithm
from coldsend.installation.dkim import KeyPair, generated

DOMAIN = "sender.example"
SELECTORS = {Algorithm.RSA: "cs1", Algorithm.ED25519: "cs1e"}


_made: dict[Algorithm, KeyPair] = {}


def pair(algorithm: Algorithm = Algorithm.RSA) -> KeyPair:
    if algorithm not in _made:
        _made[algorithm] = generated(algorithm, None)
    return _made[algorithm]


def record(algorithm: Algorithm = Algorithm.RSA) -> str:
    """What is published for it."""
    return f"v=DKIM1; k={algorithm}; p={pair(algorithm).public_key}"


def signer(*algorithms: Algorithm, **options: object) -> Signer:
    chosen = algorithms or (Algorithm.RSA,)
    identities = [Identity(DOMAIN, SELECTORS[each], pair(each).private_pem) for each in chosen]
    return Signer(identities, **options)  # type: ignore[arg-type]
