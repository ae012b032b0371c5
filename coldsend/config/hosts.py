"""Several hosts in one database URL: the nodes of a cluster, the nearest first.

    mysql://user:password@db1:3306,db2:3306,db3/coldsend

Everything else about such a URL (user, database, options) is that of the first host's.
"""

from __future__ import annotations

import re

_PARTS = re.compile(r"((?:mysql|mariadb)[^:/]*://(?:[^/]*@)?)([^/@?#]*)(.*)", re.DOTALL)
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^:,\[\]\s]+)(?::\d{1,5})?")


def split(url: str) -> tuple[str, tuple[str, ...]]:
    """The URL of the first host, and the others: ``host`` or ``host:port``. ValueError for anything else."""
    found = _PARTS.fullmatch(url)
    if found is None or "," not in found[2]:
        return url, ()
    first, *others = (host.strip() for host in found[2].split(","))
    for host in (first, *others):
        if not _HOST.fullmatch(host):
            raise ValueError(f"{host!r} is not a host, nor host:port")
    return found[1] + first + found[3], tuple(others)


def address(host: str, port: int) -> tuple[str, int]:
    """``host``, ``host:port`` or ``[v6]:port`` taken apart; ``port`` where none is given."""
    name, colon, digits = host.rpartition(":")
    if not colon or not digits.isdecimal():
        name, digits = host, str(port)
    return name.strip("[]"), int(digits)
