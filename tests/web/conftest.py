from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder = tmp_path / "spool"
    folder.mkdir()
    return Site(folder)
