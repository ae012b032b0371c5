"""What is wrong with a file: every mistake with its line, all of them in one error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from coldsend.errors import ColdsendError, InvalidInput


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """line: in the file, 0 where none can be named. where: ``[services.main] daily_quota``."""

    line: int
    where: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, line: int, where: str, error: Exception) -> Mistake:
        """What an error says about this place."""
        if isinstance(error, ColdsendError):
            return cls(line, where, error.message, error.hint)
        return cls(line, where, str(error))

    def shown(self, file: str) -> str:
        at = f"{file}:{self.line}" if self.line else file
        text = f"{at} {self.where}: {self.message}" if self.where else f"{at}: {self.message}"
        return "\n    ".join(f"{text}\n{self.hint}".rstrip().splitlines())


class Mistaken(InvalidInput):
    """A file that cannot be applied; nothing of it was."""

    def __init__(self, file: str, mistakes: Iterable[Mistake]) -> None:
        self.file = file
        self.mistakes = sorted(set(mistakes))
        lines = "\n".join(f"  {mistake.shown(file)}" for mistake in self.mistakes)
        count = len(self.mistakes)
        super().__init__(
            f"{file} has {count} mistake{'' if count == 1 else 's'}, and nothing of it was applied:\n{lines}",
            hint="every key is described in docs/apply.md; what there is now: coldsend export",
        )

    def as_json(self) -> dict[str, dict[str, Any]]:
        """As every error, with the mistakes one by one."""
        listed = [
            {
                "file": self.file,
                "line": one.line or None,
                "where": one.where,
                "message": one.message,
                "hint": one.hint,
            }
            for one in self.mistakes
        ]
        return {"error": {**super().as_json()["error"], "mistakes": listed}}
