"""How a log line looks, and how many of the same kind may be written.

Text: ``time level event key=value ..``; a value that holds more than letters, digits and plain punctuation is
a JSON string, so that a line can be read back and nothing from outside can forge a second one. JSON: one
object a line with ``ts``, ``level``, ``event`` and the fields.

E-mail addresses are shortened to ``***@domain`` wherever they occur in a value or a traceback: logs go to
more places, and live longer, than the database. Lines name rows by their ids.

The same event about the same thing is written :data:`BURST` times in :data:`WINDOW` seconds; what is held
back is counted, and the next line of its kind says so (``held_back``). What is still held back at the end is
told in ``lines_held_back``.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TextIO

from coldsend import clock

BURST = 5
WINDOW = 60.0
_MOST_KINDS = 1000  # kinds of lines remembered at once

# What a line is about; other fields (counts, reasons) may differ between two lines of one kind.
_SUBJECTS = frozenset({"worker", "pid", "job", "kind", "provider", "file", "key_sha256"})

_ADDRESS = re.compile(
    r"""(?:"[^"\n]*"|[^\s<>()\[\],;:\\"@]+)(?:@|%40)(?=[\w\[][^\s<>@,;"]*\.|\[|localhost)""", re.IGNORECASE
)
_PLAIN = re.compile(r"[\w.,:;/+*@%()<>\[\]{}|!?#&$^~'-]+")
_CONTROLS = re.compile("[\x7f-\x9f\u2028\u2029]")


def masked(text: str) -> str:
    """The text with every e-mail address in it shortened to its domain; passwords in URLs go with them."""
    return _ADDRESS.sub("***@", text) if "@" in text or "%40" in text else text


class TextFormat(logging.Formatter):
    """``2027-03-01T09:00:00.000000Z error   service_frozen service=main reason="535 no"``."""

    def format(self, record: logging.LogRecord) -> str:
        event, fields = _parts(record)
        stamp = clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        shown = [f"{name}={_as_text(value)}" for name, value in fields.items() if value is not None]
        line = " ".join([stamp, f"{record.levelname.lower():7}", event, *shown])
        return f"{line}\n{_traceback(record)}" if record.exc_info else line


class JsonFormat(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        event, fields = _parts(record)
        body = {"ts": _stamp(clock.now()), "level": record.levelname.lower(), "event": event}
        body |= {name: _as_json(value) for name, value in fields.items()}
        if record.exc_info:
            body["traceback"] = _traceback(record)
        return _no_controls(json.dumps(body, ensure_ascii=False))


def _parts(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """Event and fields of a record; what libraries log is an event of its own."""
    fields = getattr(record, "fields", None)
    if fields is None:
        return "library_message", {"logger": record.name, "text": record.getMessage()}
    held_back = getattr(record, "held_back", 0)
    return record.getMessage(), {**fields, "held_back": held_back} if held_back else fields


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = _stamp(value) if isinstance(value, datetime) else masked(str(value))
    return text if _PLAIN.fullmatch(text) else _no_controls(json.dumps(text, ensure_ascii=False))


def _as_json(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return _stamp(value) if isinstance(value, datetime) else masked(str(value))


def _stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _no_controls(document: str) -> str:
    """Control characters that JSON lets stand but a terminal or a line reader obeys, escaped."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _traceback(record: logging.LogRecord) -> str:
    return masked(logging.Formatter().formatException(record.exc_info)) if record.exc_info else ""


@dataclass(slots=True)
class _Kind:
    """Lines of one kind: since when they are counted, how many were written, how many held back."""

    since: float
    written: int = 1
    held_back: int = 0


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream, none too often; see the module."""

    def __init__(self, stream: TextIO, style: str) -> None:
        super().__init__(stream)
        self.setFormatter(JsonFormat() if style == "json" else TextFormat())
        self._kinds: dict[tuple[str, ...], _Kind] = {}

    def emit(self, record: logging.LogRecord) -> None:
        moment = clock.monotonic()
        key = _kind_of(record)
        kind = self._kinds.get(key)
        if kind is not None and moment - kind.since < WINDOW:
            if kind.written >= BURST:
                kind.held_back += 1
                return
            kind.written += 1
        else:
            record.held_back = kind.held_back if kind is not None else 0
            self._kinds[key] = _Kind(moment)
        super().emit(record)
        if len(self._kinds) > _MOST_KINDS:
            self._forget(moment)

    def close(self) -> None:
        """Tell what is still held back; logging calls this at the end of the process."""
        with self.lock:  # type: ignore[union-attr]
            kinds, self._kinds = self._kinds, {}
        self._tell(kinds)
        super().close()

    def _forget(self, moment: float) -> None:
        over = {key: kind for key, kind in self._kinds.items() if moment - kind.since >= WINDOW}
        self._kinds = {key: kind for key, kind in self._kinds.items() if key not in over}
        if len(self._kinds) > _MOST_KINDS:
            over |= self._kinds
            self._kinds = {}
        self._tell(over)

    def _tell(self, kinds: Mapping[tuple[str, ...], _Kind]) -> None:
        counts: dict[str, int] = {}
        for (event, *_), kind in kinds.items():
            counts[event] = counts.get(event, 0) + kind.held_back
        for event, count in counts.items():
            if count and not self.stream.closed:
                record = logging.LogRecord("coldsend", logging.WARNING, "", 0, "lines_held_back", None, None)
                record.fields = {"of": event, "count": count}
                super().emit(record)


def _kind_of(record: logging.LogRecord) -> tuple[str, ...]:
    event, fields = _parts(record)
    if record.exc_info and record.exc_info[2] is not None:
        # The same bug for another row is the same line: what tells bugs apart is where they are.
        innermost = record.exc_info[2]
        while innermost.tb_next is not None:
            innermost = innermost.tb_next
        return event, str(record.exc_info[0]), innermost.tb_frame.f_code.co_filename, str(innermost.tb_lineno)
    if event == "library_message":
        return event, record.name, str(record.msg)
    about = (f"{name}={value}" for name, value in fields.items() if _is_subject(name))
    return event, *about


def _is_subject(name: str) -> bool:
    return name in _SUBJECTS or name == "id" or name.endswith("_id")
