"""Whether the next envelope may travel behind a final dot, which not every server can stand.

RFC 2920 allows it wherever PIPELINING is offered; all the same there are servers that throw away, cut up or
hang up on what follows a message. So one connection tries it first, alone; where that goes wrong the channel
does without. A server that could do it once and fails is tried like a new one.
"""

from __future__ import annotations

from coldsend.channels.smtp.connection import Connection


class Behind:
    """What one channel knows about its server."""

    def __init__(self, *, allowed: bool) -> None:
        self._allowed = allowed
        self._proven = False
        self._trial: Connection | None = None

    def may(self, connection: Connection) -> bool:
        """Whether an envelope may go out behind a dot now; True makes this connection the one that tries."""
        if self._proven:
            return True
        if not self._allowed or self._trial not in (None, connection):
            return False
        self._trial = connection
        return True

    def worked(self) -> None:
        """An envelope behind a dot was answered as it should be."""
        if not self._proven:
            self._proven, self._trial = self._allowed, None

    def went_wrong(self, connection: Connection) -> None:
        """Dot or envelope were not answered, by no doing of ours."""
        if self._proven:
            self._proven = False  # and what else breaks at the same time says nothing new
        elif connection is self._trial:
            self._allowed = False

    def ended(self, connection: Connection) -> None:
        """The connection is gone, or has nothing more to send: another one may try."""
        if self._trial is connection:
            self._trial = None
