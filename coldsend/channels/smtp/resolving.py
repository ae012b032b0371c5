"""From a host name to addresses, so that a resolver that hangs holds up nothing but its own host.

asyncio looks names up in a small pool of threads that all of a process share: a few connections to one host
whose name servers are silent would fill it, and no other service could connect any more; and a process that
is told to stop would wait for them. Here a host has one lookup at a time, which all who want it wait for, in
a thread of its own that ends with the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading

Lookup = asyncio.Future[list[str]]

_under_way: dict[tuple[asyncio.AbstractEventLoop, str], Lookup] = {}


async def addresses(host: str) -> list[str]:
    """IP addresses of ``host`` in the system's order; OSError or UnicodeError where it has none.

    An address is its own. Cancelling gives up waiting, not the lookup.
    """
    if _is_address(host):
        return [host]
    key = (asyncio.get_running_loop(), host)
    lookup = _under_way.get(key)
    if lookup is None:
        lookup = _under_way[key] = _begin(host)
        lookup.add_done_callback(lambda _done: _under_way.pop(key, None))
    return await asyncio.shield(lookup)


def _begin(host: str) -> Lookup:
    loop = asyncio.get_running_loop()
    lookup: Lookup = loop.create_future()
    lookup.add_done_callback(_seen)

    def work() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            _settle(loop, lookup, error)
        else:
            _settle(loop, lookup, list(dict.fromkeys(str(entry[4][0]) for entry in found)))

    threading.Thread(target=work, name=f"lookup {host}", daemon=True).start()
    return lookup


def _settle(loop: asyncio.AbstractEventLoop, lookup: Lookup, found: list[str] | Exception) -> None:
    def done() -> None:
        if lookup.done():
            return
        if isinstance(found, Exception):
            lookup.set_exception(found)
        else:
            lookup.set_result(found)

    # The loop may have ended while the resolver was silent.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(done)


def _seen(lookup: Lookup) -> None:
    """Nobody may be waiting any more when it fails: that is no error of its own."""
    if not lookup.cancelled():
        lookup.exception()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
