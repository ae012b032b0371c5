"""What goes over the wire for one message: envelope commands, the stuffed body, and what we refuse to send.

Nothing here repairs a message. One that cannot be sent as it is (a bare CR or LF, eight-bit data to a seven-
bit server, too big) gets the answer a strict server would give, before anything is written; repairing would
break its DKIM signature.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from coldsend.domain.answers import Answer, Phase
from coldsend.domain.message import Message

# In an envelope address these could end the address or the line; quoted local parts with blanks are refused.
_UNSAFE = re.compile(r"[\x00-\x20\x7f<>\ud800-\udfff]")

# A pattern that begins with one literal octet is found three times as fast as a string of several.
_LONE_CR = re.compile(rb"\r(?!\n)")
_LEADING_DOT = re.compile(rb"\n\.")


@dataclass(frozen=True, slots=True)
class Extensions:
    """What the server offered in its answer to EHLO. size: its limit in octets, 0 where it names none."""

    pipelining: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    size: bool = False
    size_limit: int = 0
    starttls: bool = False
    auth: frozenset[str] = field(default_factory=frozenset)


def extensions(ehlo: bytes) -> Extensions:
    """Read the text of an EHLO reply: the greeting line, then one keyword with parameters a line."""
    offered: dict[str, str] = {}
    mechanisms: set[str] = set()
    for line in ehlo.decode("ascii", "replace").upper().split("\n")[1:]:
        # "AUTH=LOGIN PLAIN" is how some old servers write it.
        keyword, _, parameters = line.strip().replace("AUTH=", "AUTH ", 1).partition(" ")
        if keyword == "AUTH":
            mechanisms.update(parameters.split())
        elif keyword:
            offered[keyword] = parameters.strip()
    size = offered.get("SIZE", "")
    return Extensions(
        pipelining="PIPELINING" in offered,
        eight_bit="8BITMIME" in offered,
        smtputf8="SMTPUTF8" in offered,
        size="SIZE" in offered,
        size_limit=int(size) if size.isdecimal() and len(size) < 20 else 0,
        starttls="STARTTLS" in offered,
        auth=frozenset(mechanisms),
    )


def refusal(message: Message, offered: Extensions) -> Answer | None:
    """The answer for a message that must not be sent to this server as it is; None where it may."""
    data = message.data
    if _UNSAFE.search(message.mail_from):
        return Answer(Phase.MAIL, 553, "5.1.7", "the sender address has a character that must not be there")
    if not message.rcpt_to or _UNSAFE.search(message.rcpt_to):
        return Answer(Phase.RCPT, 553, "5.1.3", "the address has a character that must not be there")
    if needs_smtputf8(message) and not offered.smtputf8:
        return Answer(Phase.RCPT, 553, "5.6.7", "the address needs SMTPUTF8, which the server does not offer")
    if not data.isascii() and not offered.eight_bit:
        return Answer(Phase.MAIL, 554, "5.6.3", "the message has 8-bit data; the server takes only 7-bit")
    if 0 < offered.size_limit < len(data):
        return Answer(
            Phase.MAIL,
            552,
            "5.3.4",
            f"the message has {len(data)} octets, the server takes {offered.size_limit}",
        )
    if not message.clean and not lines_end_in_crlf(data):
        return Answer(Phase.DATA, 554, "5.6.0", "the message has a bare CR or LF in it")
    return None


def needs_smtputf8(message: Message) -> bool:
    return message.smtputf8 or not (message.mail_from.isascii() and message.rcpt_to.isascii())


def lines_end_in_crlf(data: bytes) -> bool:
    """Every CR is followed by LF and every LF preceded by CR."""
    return data.count(b"\n") == data.count(b"\r") and _LONE_CR.search(data) is None


def mail_command(message: Message, offered: Extensions) -> bytes:
    """MAIL with the parameters the server offered."""
    command = f"MAIL FROM:<{message.mail_from}>"
    if offered.size:
        command += f" SIZE={len(message.data)}"
    if offered.eight_bit and not message.data.isascii():
        command += " BODY=8BITMIME"
    if needs_smtputf8(message):
        command += " SMTPUTF8"
    return command.encode() + b"\r\n"


def rcpt_command(message: Message) -> bytes:
    return f"RCPT TO:<{message.rcpt_to}>\r\n".encode()


def envelope(message: Message, offered: Extensions) -> bytes:
    """MAIL, RCPT and DATA as one group."""
    return mail_command(message, offered) + rcpt_command(message) + b"DATA\r\n"


def stuffed(data: bytes) -> bytes:
    """The body as DATA wants it, without the final dot: leading dots doubled, last line ended."""
    if _LEADING_DOT.search(data):
        data = data.replace(b"\r\n.", b"\r\n..")
    if data.startswith(b"."):
        data = b"." + data
    return data if data.endswith(b"\r\n") or not data else data + b"\r\n"
