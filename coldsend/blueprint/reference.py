"""The keys of a file as docs/apply.md shows them: written by `make docs` from the code that reads them."""

from __future__ import annotations

from collections.abc import Iterator

from coldsend.blueprint.kind import Kind
from coldsend.blueprint.kinds import CAMPAIGNS, KINDS, TASKS


def reference() -> Iterator[str]:
    """The lines of the reference, a table for each kind of section."""
    for kind in KINDS:
        yield f"### `{heading(kind)}`"
        yield ""
        yield "| key | value | meaning |"
        yield "|---|---|---|"
        for key in kind.keys:
            marks = ["needed to create it"] if key.required else []
            marks += ['`""` takes it away'] if key.clears else []
            about = "; ".join([key.about, *marks]).replace("|", "\\|")
            yield f"| `{key.name}` | {key.shape} | {about} |"
        yield ""


def heading(kind: Kind) -> str:
    """``[services.NAME]``."""
    if kind is TASKS:
        return f"[{CAMPAIGNS.section}.CAMPAIGN.{TASKS.section}.NAME]"
    return f"[{kind.section}.NAME]"
