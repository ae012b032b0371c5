"""Guess encoding, line ends and delimiter of a CSV file from its beginning.

Encoding: a byte order mark decides; else zero bytes on every second place mean UTF-16; else UTF-8, unless
the sample has too much in it that is not UTF-8, which then is taken for an older encoding of one language.
A few undecodable rows in a UTF-8 file do not change its encoding: those rows are rejected.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence

import charset_normalizer

SAMPLE_BYTES = 256 * 1024
DELIMITERS = (",", ";", "\t", "|")

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LATIN = ["cp1252", "cp1250", "cp1254"]
_OTHER_SCRIPTS = ["cp1251", "gb18030", "big5", "cp932", "euc_kr", "koi8_r", "cp1253", "cp1255", "cp1256"]

# Characters of Western European text in Windows-1252: accented letters, and what office programs put in.
_WESTERN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüŒœŠšŽž")
_WESTERN_PUNCTUATION = frozenset("€‘’“”–—…«»´\u00a0")
_UNLIKELY = re.compile("[a-z][À-Þ]|(?<![A-Za-zÀ-ž])[À-ž](?![A-Za-zÀ-ž])")


def encoding_of(sample: bytes) -> tuple[str, bool]:
    """(codec name, whether it is a guess that a person should look at)."""
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return name, False
    for parity, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if _every_second_is_zero(sample, parity):
            return name, False
    return _without_mark(sample)


def _every_second_is_zero(sample: bytes, parity: int) -> bool:
    zeros = sample[parity::2].count(0)
    others = sample[1 - parity :: 2].count(0)
    return len(sample) >= 4 and zeros * 4 > len(sample) and others * 20 < zeros


def _without_mark(sample: bytes) -> tuple[str, bool]:
    lines = [line for line in re.split(rb"[\r\n]+", sample) if line]
    foreign = [line for line in lines if not line.isascii()]
    broken = [line for line in foreign if not _is_utf8(line)]
    if broken and broken[-1] is lines[-1] and len(sample) >= SAMPLE_BYTES:
        broken.pop()  # cut in the middle of a character
    if not broken or len(foreign) - len(broken) >= len(broken):
        return "utf-8", False
    western = sum(_is_western(line) for line in broken)
    if western * 10 >= len(broken) * 9:
        return "cp1252", True
    if len(broken) * 2 < len(lines) - 1:
        return "utf-8", False  # damaged rows: in other scripts nearly every line has letters of its own
    guess = _by_statistics(b"\n".join(broken)[:32768])
    return (guess, True) if guess else ("utf-8", False)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_western(line: bytes) -> bool:
    """Latin words with some accents in them, and nothing that text in Windows-1252 does not have."""
    text = line.decode("cp1252", "replace")
    foreign = [character for character in text if not character.isascii()]
    if not all(character in _WESTERN or character in _WESTERN_PUNCTUATION for character in foreign):
        return False
    plain_letters = sum(character.isascii() and character.isalpha() for character in text)
    return len(foreign) * 3 <= plain_letters and not _UNLIKELY.search(text)


def _by_statistics(text: bytes) -> str | None:
    foreign = sum(byte >= 0x80 for byte in text)
    letters = sum(chr(byte).isalpha() for byte in text if byte < 0x80)
    candidates = _LATIN if foreign * 3 <= letters else _OTHER_SCRIPTS
    best = charset_normalizer.from_bytes(text, cp_isolation=candidates).best()
    return best.encoding if best is not None else None


def line_end_of(text: str) -> str:
    """ "\\n" (with or without "\\r" before it), or "\\r" in files of old Macintosh programs."""
    return "\r" if "\r" in text and "\n" not in text else "\n"


def delimiter_of(text: str, knows: Sequence[str] = ()) -> str:
    """The delimiter with which the first line has most cells.

    knows: folded headers; a delimiter that makes one of them appear wins over all others.
    """
    first = next((line for line in text.splitlines() if line.strip()), "")
    if first.lower().startswith("sep=") and len(first) == 5:
        return first[4]

    def score(delimiter: str) -> tuple[bool, int]:
        cells = next(_cells(first, delimiter), [])
        return any(folded(cell) in knows for cell in cells), len(cells)

    return max(DELIMITERS, key=score)  # the first of equals: the comma


def _cells(line: str, delimiter: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader([line[:65536]], delimiter=delimiter, skipinitialspace=True)
    except csv.Error:
        return


def folded(header: str) -> str:
    """A header without case, spaces and punctuation: "E-Mail Address" -> "emailaddress"."""
    return "".join(character for character in header.casefold() if character.isalnum())
