"""The body of a message: transfer encodings and the multipart/alternative frame (RFC 2045, 2046).

A template's own lines are encoded once: quoted-printable works line by line, so a line that holds no variable
comes out the same for every recipient. Only the lines around variables are encoded per message. Text that is
mostly not ASCII goes as base64, which is shorter.

The boundary contains ``=_``, which neither encoding can produce: it cannot occur in a body.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Iterable, Sequence

QUOTED_PRINTABLE, BASE64 = "quoted-printable", "base64"

_WORTH_KEEPING = 76  # shorter runs of whole lines cost more to look up than to encode


class Body:
    """Encoder of one part (text or HTML) of one template."""

    def __init__(self, subtype: str, statics: Iterable[str]) -> None:
        texts = list(statics)
        self.transfer = shorter("".join(texts))
        self.head = (
            f"Content-Type: text/{subtype}; charset=utf-8\r\n"
            f"Content-Transfer-Encoding: {self.transfer}\r\n\r\n"
        ).encode()
        self._known: dict[str, tuple[str, bytes, str]] = {}
        if self.transfer == QUOTED_PRINTABLE:
            for text in texts:
                self._keep(text)

    def _keep(self, text: str) -> None:
        """Encode the whole lines inside a static text; its first and last line may go on elsewhere."""
        first, last = text.find("\n") + 1, text.rfind("\n") + 1
        if last - first >= _WORTH_KEEPING:
            self._known[text] = (text[:first], quoted_printable(text[first:last]), text[last:])

    def encode(self, chunks: Sequence[str]) -> bytes:
        """The encoded part; ``chunks`` make up its text, lines ended by LF, the last one too."""
        if self.transfer == BASE64:
            return base64("".join(chunks))
        out: list[bytes] = []
        line: list[str] = []
        for chunk in chunks:
            known = self._known.get(chunk)
            if known is None:
                line.append(chunk)
            else:
                line.append(known[0])
                out.append(quoted_printable("".join(line)))
                out.append(known[1])
                line = [known[2]]
        out.append(quoted_printable("".join(line)))
        return b"".join(out)


def shorter(text: str) -> str:
    """The transfer encoding that makes ``text`` shorter."""
    size = len(text.encode())
    return BASE64 if len(quoted_printable(text + "\n")) > size * 4 / 3 * 78 / 76 + 4 else QUOTED_PRINTABLE


def quoted_printable(text: str) -> bytes:
    """Lines of ``text``, ended by LF, as quoted-printable lines of at most 76 octets, ended by CRLF."""
    # b2a_qp takes the line end of its soft breaks from the first line end it sees.
    return binascii.b2a_qp(text.replace("\n", "\r\n").encode(), istext=True)


def base64(text: str) -> bytes:
    """Lines of ``text``, ended by LF, as base64 of their CRLF form, in lines of 76 octets, ended by CRLF."""
    data = binascii.b2a_base64(text.replace("\n", "\r\n").encode(), newline=False)
    return b"".join([data[at : at + 76] + b"\r\n" for at in range(0, len(data), 76)])


def boundary(seed: str) -> str:
    """A boundary, the same for every message of one template."""
    return f"=_{hashlib.blake2b(seed.encode(), digest_size=12).hexdigest()}"


class Alternative:
    """The multipart/alternative frame around a text and an HTML part."""

    def __init__(self, seed: str, text: Body, html: Body) -> None:
        mark = boundary(seed)
        self.content_type = f'Content-Type: multipart/alternative; boundary="{mark}"\r\n'
        self._text, self._html = text, html
        self._before_text = f"--{mark}\r\n".encode() + text.head
        self._before_html = f"\r\n--{mark}\r\n".encode() + html.head
        self._end = f"\r\n--{mark}--\r\n".encode()

    def assemble(self, head: bytes, text: Sequence[str], html: Sequence[str]) -> bytes:
        """The whole message: its header section, the empty line, both parts."""
        return b"".join(
            (
                head,
                b"\r\n",
                self._before_text,
                self._text.encode(text),
                self._before_html,
                self._html.encode(html),
                self._end,
            )
        )
