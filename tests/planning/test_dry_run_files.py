"""The folder of a dry run takes whatever names tasks and recipients have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coldsend.domain.message import Message
from coldsend.planning.dry_run_files import Folder


def no_parts() -> Any:
    raise AssertionError("nobody asks what it says apart")


@pytest.mark.parametrize(
    "task", ["語" * 200, "../..", ".hidden", "index.csv", "a:b\\c", "x" * 255], ids=lambda name: name[:9]
)
def test_every_name_is_a_folder_and_a_file_below_it(tmp_path: Path, task: str) -> None:
    message = Message(1, "a@x.org", "b@x.org", "<1@x.org>", b"octets\r\n", no_parts)
    with Folder(tmp_path / "out") as folder:
        folder.message(task, f"{'漢' * 90}@x.org", message, "intro", "main")
        folder.message(f"{task} ", "b@x.org", message, "intro", "main")
    files = [path for path in tmp_path.rglob("*") if path.suffix == ".eml"]
    assert len(files) == 2
    assert {path.parent.parent for path in files} == {tmp_path / "out"}
    assert all(path.read_bytes() == b"octets\r\n" for path in files)
