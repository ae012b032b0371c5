"""Limits of this very process: no more files or connections may be opened, or no memory is left for one.

They look like a server that cannot be reached, and must not count against it.
"""

from __future__ import annotations

import errno
import os
import resource

_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
ENOUGH = 65_536  # files; kernels allow a process far more than it could ever use here

# Files that connections to servers leave free: without its database and journal a sender could not even say
# what it has sent.
RESERVE = 16


class OwnLimit(Exception):
    """Nothing is wrong with the service or the recipient: this process has reached a limit of its own."""


def leave_room() -> None:
    """Raise OwnLimit where one more connection would take the last files; asked before each is opened."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY or limit >= ENOUGH:
        return
    try:
        in_use = len(os.listdir("/dev/fd"))
    except OSError as error:
        raise_if_ours(error)
        return
    if in_use + RESERVE > limit:
        raise OwnLimit(f"{in_use} files are open, and this process may open {limit}: see ulimit -n")


def raise_if_ours(error: Exception) -> None:
    """Raise OwnLimit where ``error`` comes of such a limit; a failed name lookup may hide it."""
    if getattr(error, "errno", None) not in _OURS:
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as other:
            if other.errno in _OURS:
                error = other
            else:
                return
        else:
            return
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    raise OwnLimit(
        f"{getattr(error, 'strerror', None) or error}: this process may open {limit}, see ulimit -n"
    ) from error


def raise_file_limit() -> None:
    """Let this process open as many files as it may by its hard limit: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
