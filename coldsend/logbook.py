"""One function per business event; nobody else formats log lines.

Each event has a stable name and fields. ``log.format = "text"`` writes ``time level event key=value ..``,
``"json"`` one object a line. Logs go to stderr; they hold ids and addresses, never credentials or bodies.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime
from typing import Any

from coldsend import clock

_logger = logging.getLogger("coldsend")


class _TextFormat(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        shown = " ".join(f"{name}={_plain(value)}" for name, value in fields.items() if value is not None)
        stamp = clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        line = f"{stamp} {record.levelname.lower():7} {record.getMessage()} {shown}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _JsonFormat(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        body: dict[str, Any] = {
            "ts": clock.now().isoformat(),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            body["traceback"] = self.formatException(record.exc_info)
        return json.dumps(body, ensure_ascii=False, default=str)


def _plain(value: Any) -> str:
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    # A value from outside must not be able to forge a second line.
    text = text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")
    return json.dumps(text, ensure_ascii=False) if " " in text or "=" in text or not text else text


def configure(level: str = "info", style: str = "text") -> None:
    """Send coldsend's events to stderr; called once by each process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormat() if style == "json" else _TextFormat())
    _logger.handlers[:] = [handler]
    _logger.setLevel(level.upper())
    _logger.propagate = False
    if clock.test_clock_file():
        _event(logging.WARNING, "test_clock_in_force", file=clock.test_clock_file(), now=clock.now())


def _event(level: int, name: str, **fields: Any) -> None:
    if _logger.isEnabledFor(level):
        _logger.log(level, name, extra={"fields": fields})


def unexpected_error(where: str, error: BaseException) -> None:
    """A bug: logged with its traceback."""
    _logger.error("unexpected_error", exc_info=error, extra={"fields": {"where": where}})


def service_frozen(
    service: str, service_id: int, reason: str, *, code: str, probe_at: datetime | None
) -> None:
    """A sender service was frozen: it sends nothing until it is probed (``probe_at``), mended or thawed."""
    _event(
        logging.ERROR,
        "service_frozen",
        service=service,
        service_id=service_id,
        code=code,
        reason=reason,
        probe_at=probe_at,
    )


def service_thawed(service: str, service_id: int, reason: str) -> None:
    """A sender service is active again."""
    _event(logging.INFO, "service_thawed", service=service, service_id=service_id, reason=reason)


def service_cooling_down(service: str, service_id: int, reason: str, *, until: datetime | None) -> None:
    """A sender service was asked to slow down and rests."""
    _event(
        logging.WARNING,
        "service_cooling_down",
        service=service,
        service_id=service_id,
        reason=reason,
        until=until,
    )


def service_paused_for_provider(
    service: str, service_id: int, reason: str, *, provider: str, until: datetime | None
) -> None:
    """A sender service rests for one mailbox provider; without ``until`` a person must lift it."""
    _event(
        logging.WARNING,
        "service_paused_for_provider",
        service=service,
        service_id=service_id,
        provider=provider,
        reason=reason,
        until=until,
    )
