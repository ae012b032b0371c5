"""The folder of a dry run: ``TASK/000001-anna@example.com.eml`` ..., and ``index.csv`` with a line for each.

Columns of the index: task, email, file, template, service; for whom there is no file reason and detail.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from coldsend.domain.message import Message
from coldsend.errors import InvalidInput, WrongState

INDEX = "index.csv"
COLUMNS = ("task", "email", "file", "template", "service", "reason", "detail")
FIRST = 20  # skipped recipients that are shown at once

_UNFIT = re.compile(r"[^\w.@+-]+")
_LONGEST = 200  # bytes; file systems take 255


class Folder:
    """Takes what a dry run gives, as ``Keep`` in dry_run.py has it. A context manager.

    first_skipped: the first of those who get nothing. WrongState where the folder holds something already.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first_skipped: list[dict[str, str]] = []
        self._written: Counter[str] = Counter()
        self._folders: dict[str, Path] = {}
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise WrongState(
                    f"{path} is not an empty folder; nothing was written",
                    hint="give every dry run a folder of its own",
                )
            path.mkdir(parents=True, exist_ok=True)
            self._index = (path / INDEX).open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise InvalidInput(f"{path} cannot be written: {error.strerror}") from error
        self._lines = csv.DictWriter(self._index, COLUMNS)
        self._lines.writeheader()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._index.close()
        if error is not None and not self._written:
            (self.path / INDEX).unlink(missing_ok=True)  # it may be tried again with the same folder
        if isinstance(error, OSError):
            raise InvalidInput(f"{self.path} cannot be written: {error.strerror}") from error

    def message(self, task: str, email: str, message: Message, template: str, service: str) -> None:
        self._written[task] += 1
        name = f"{self._written[task]:06}-{_fit(email)}.eml"
        file = self._folder(task) / name
        file.write_bytes(message.data)
        self._line(
            task=task,
            email=email,
            file=str(file.relative_to(self.path)),
            template=template,
            service=service,
        )

    def skipped(self, task: str, email: str, reason: str, detail: str) -> None:
        if len(self.first_skipped) < FIRST:
            self.first_skipped.append({"task": task, "email": email, "reason": reason, "detail": detail})
        self._line(task=task, email=email, reason=reason, detail=detail)

    def _line(self, **values: Any) -> None:
        # A cell that begins like a formula would be one to a spreadsheet.
        safe = {key: f"'{value}" if value[:1] in "=+-@\t\r" else value for key, value in values.items()}
        self._lines.writerow(safe)

    def _folder(self, task: str) -> Path:
        if task not in self._folders:
            name = _fit(task).lstrip(".") or "task"
            taken = {folder.name.casefold() for folder in self._folders.values()} | {INDEX}
            while name.casefold() in taken:
                name += "_"
            self._folders[task] = self.path / name
            self._folders[task].mkdir()
        return self._folders[task]


def _fit(text: str) -> str:
    """Text as a part of a file's name."""
    return _UNFIT.sub("_", text).encode()[:_LONGEST].decode(errors="ignore")
