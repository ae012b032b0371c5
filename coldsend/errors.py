"""The error tree. Every refusal an operator can meet is one of these.

A message names the thing that is wrong; a hint names the way out. ``exit_code`` is what the command line
returns (the table stands in README.md), ``code`` is what scripts read in ``--json`` output.
"""

from __future__ import annotations


class ColdsendError(Exception):
    """Base of all errors that are shown to an operator as a sentence instead of a traceback."""

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_json(self) -> dict[str, dict[str, str]]:
        """The shape scripts rely on: ``{"error": {"code", "message", "hint"}}``."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


class UsageError(ColdsendError):
    """The command line itself is wrong: an unknown option, a missing or unreadable argument."""

    code = "usage"
    exit_code = 2


class NotFound(ColdsendError):
    """A named thing (campaign, contact, file ..) does not exist."""

    code = "not_found"
    exit_code = 3


class Refused(ColdsendError):
    """coldsend understood and declines; base of the three reasons below."""

    code = "refused"
    exit_code = 4


class InvalidInput(Refused):
    """The input is malformed or contradicts itself; nothing was applied."""

    code = "invalid_input"


class WrongState(Refused):
    """The thing exists but its state does not allow this (pausing a draft, editing a template in use)."""

    code = "wrong_state"


class ChangedMeanwhile(WrongState):
    """Somebody else changed the thing between looking and writing; ``Database.run`` looks again."""


class NotAllowed(Refused):
    """The acting user may not do this."""

    code = "not_allowed"


class Unreachable(ColdsendError):
    """The database or another server is out of reach, or not in a state that can be worked with."""

    code = "unreachable"
    exit_code = 5


class SchemaOutdated(Unreachable):
    """The database answers, but its schema is not the one this version needs."""

    code = "schema_outdated"


class PartlyDone(ColdsendError):
    """Some of the work was done and some was rejected; what was rejected is reported."""

    code = "partly_done"
    exit_code = 6
