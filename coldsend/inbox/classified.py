"""What a message that came back was taken for: the form in which classification hands it on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from coldsend.domain.inbox import MessageKind


@dataclass(frozen=True, slots=True)
class Failed:
    """One recipient that a bounce or a complaint is about.

    address: without angle brackets, "" where the message does not tell it. status: an RFC 3463 code, or "".
    action: as RFC 3464 has it: "failed", "delayed", "delivered", "relayed", "expanded"; "" in complaints.
    hard: the address is no good; False: another time or another message may arrive; None: nobody can tell
    (always so in complaints, and where nothing failed). reason: the name of the reply rule that fits, in
    complaints the kind of feedback ("abuse", "opt-out"). diagnostic: the words of the server, one line.
    """

    address: str
    status: str = ""
    action: str = ""
    hard: bool | None = None
    reason: str = ""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True)
class Classified:
    """A message as the inbox sees it.

    recipients: of bounces (delays included: their kind is OTHER, their action "delayed") and complaints.
    text: the new text of a reply or an automatic reply, without quote and signature; of bounces the words
    for people. message_ids: all it may be about, with angle brackets, the nearest first. addressed: addresses
    it was sent to, lower case, for tokens in them. sender: the address in From, lower case. message_id: its
    own, with angle brackets. date: as its sender claims, aware UTC. away_until: when an automatic reply says
    that somebody is back.
    """

    kind: MessageKind
    recipients: tuple[Failed, ...] = ()
    text: str = ""
    message_ids: tuple[str, ...] = ()
    addressed: tuple[str, ...] = ()
    sender: str = ""
    subject: str = ""
    message_id: str = ""
    date: datetime | None = None
    away_until: datetime | None = None
