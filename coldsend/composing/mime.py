"""The body of a message: transfer encodings and the multipart/alternative frame (RFC 2045, 2046).

Quoted-printable works in two steps, so that most of it can be done before a recipient is known:
:func:`quoted` replaces characters, whatever stands around them; :func:`line` breaks the line they make up.
Text that is mostly not ASCII goes as base64, which is shorter.

The boundary contains ``=_``, which neither encoding can produce: it cannot occur in a body.
"""

from __future__ import annotations

import binascii
import hashlib

QUOTED_PRINTABLE, BASE64 = "quoted-printable", "base64"

LINE = 76


def shorter(text: str) -> str:
    """The transfer encoding that makes ``text`` shorter."""
    size = len(text.encode())
    return BASE64 if len(quoted_printable(text + "\n")) > size * 4 / 3 * 78 / 76 + 4 else QUOTED_PRINTABLE


def quoted(text: str) -> str:
    """A line or a part of one in the characters of quoted-printable, white space at its end left as it is."""
    if text.isascii() and text.isprintable():
        return text.replace("=", "=3D")
    # The x keeps white space at the end. The soft breaks are put elsewhere: every other "=" has two digits.
    return binascii.b2a_qp(f"{text}x".encode(), istext=False).replace(b"=\n", b"")[:-1].decode("ascii")


def ended(text: str) -> str:
    """The end of a line, or all of it, without white space there, which may get lost on the way."""
    if text.endswith(" "):
        return text[:-1] + "=20"
    return text[:-1] + "=09" if text.endswith("\t") else text


def begun(text: str) -> str:
    """The beginning of a line, or all of it, without a dot there, which SMTP would have to double."""
    return "=2E" + text[1:] if text.startswith(".") else text


def line(text: str) -> str:
    """One whole line, already :func:`quoted`, with its soft breaks.

    No line of the result is longer than 76 characters, begins with a dot or ends in white space.
    """
    text = begun(ended(text))
    if len(text) <= LINE:
        return text
    pieces: list[str] = []
    at = 0
    while len(text) - at > LINE:
        end = at + LINE - 1
        code = text.find("=", end - 2, end)  # where it is left, =XX stays in one piece
        if code >= 0:
            end = code
        pieces.append(text[at:end])
        if text[end] == ".":
            text = f"{text[:end]}=2E{text[end + 1 :]}"
        at = end
    pieces.append(text[at:])
    return "=\r\n".join(pieces)


def quoted_printable(text: str) -> str:
    """Lines of ``text``, ended by LF, as quoted-printable lines of at most 76 characters, ended by CRLF."""
    return "\r\n".join([line(quoted(each)) for each in text.split("\n")])


def base64(text: str) -> str:
    """Lines of ``text``, ended by LF, as base64 of their CRLF form, in lines of 76 ended by CRLF."""
    data = binascii.b2a_base64(text.replace("\n", "\r\n").encode(), newline=False).decode("ascii")
    return "".join([data[at : at + LINE] + "\r\n" for at in range(0, len(data), LINE)])


def encoded(text: str, transfer: str) -> str:
    """Lines of ``text`` in this transfer encoding."""
    return base64(text) if transfer == BASE64 else quoted_printable(text)


def with_final_break(text: str) -> str:
    """``text`` with a line end at its end, as :func:`encoded` wants it."""
    return text if text.endswith("\n") else text + "\n"


def boundary(seed: str) -> str:
    """A boundary, the same for every message of one template."""
    return f"=_{hashlib.blake2b(seed.encode(), digest_size=12).hexdigest()}"


class Alternative:
    """The multipart/alternative frame around a text and an HTML part; takes their transfer encodings."""

    def __init__(self, seed: str, text: str, html: str) -> None:
        mark = boundary(seed)
        self.content_type = f'Content-Type: multipart/alternative; boundary="{mark}"\r\n'
        self._before_text = f"\r\n--{mark}\r\n{_part_head('plain', text)}"
        self._before_html = f"\r\n--{mark}\r\n{_part_head('html', html)}"
        self._end = f"\r\n--{mark}--\r\n"

    def assemble(self, head: str, text: str, html: str) -> bytes:
        """The whole message: its header section and both parts, already encoded."""
        return f"{head}{self._before_text}{text}{self._before_html}{html}{self._end}".encode()


def _part_head(subtype: str, transfer: str) -> str:
    return f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {transfer}\r\n\r\n"
