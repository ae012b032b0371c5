"""Free ports on loopback."""

from __future__ import annotations

import random
import socket
from itertools import repeat

# Below the ports that systems give to whoever asks for any: until ours is used, nobody else may get it.
FIRST, LAST = 10_240, 32_000
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on; never the same one twice."""
    chance = random.SystemRandom()
    for port in map(chance.randint, repeat(FIRST), repeat(LAST)):
        with socket.socket() as probe:
            if port not in _given and _is_free(probe, port):
                _given.add(port)
                return port
    raise AssertionError


def _is_free(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
