"""Messages that come back into a mailbox, and what each is taken for."""

from __future__ import annotations

from enum import StrEnum


class MessageKind(StrEnum):
    """In the order in which they are looked for: a bounce may look like an automatic reply, too."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    REPLY = "reply"
    OTHER = "other"
