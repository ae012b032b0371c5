"""Where the example templates and contacts lie: beside the package, or inside it when installed."""

from __future__ import annotations

from pathlib import Path

import coldsend
from coldsend.errors import NotFound


def examples_folder() -> Path:
    """``templates_examples/``; NotFound where this installation lacks it."""
    package = Path(coldsend.__file__).parent
    for folder in (package / "templates_examples", package.parent / "templates_examples"):
        if (folder / "contacts.csv").is_file():
            return folder
    raise NotFound("the examples are missing from this installation", hint="install coldsend again")
