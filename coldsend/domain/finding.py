"""Something a check has to say: template lint, `db check` and `doctor` all speak in findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """severity: errors stop what was asked for, warnings are shown. subject: what it is about."""

    severity: Literal["error", "warning"]
    subject: str
    message: str
    hint: str = ""
