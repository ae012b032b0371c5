"""``coldsend completion``: the script by which a shell completes coldsend's commands and names."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined] # made elsewhere in Typer

from coldsend.cli.completing import VARIABLE
from coldsend.cli.context import current
from coldsend.cli.noun import reads, single

app = single()


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@reads(
    app,
    'eval "$(coldsend completion bash)"',
    "coldsend completion bash > ~/.local/share/bash-completion/completions/coldsend",
    "coldsend completion fish > ~/.config/fish/completions/coldsend.fish",
)
def completion(shell: Annotated[Shell, typer.Argument(help="Which shell the script is for.")]) -> None:
    """Print the script that lets a shell complete commands, options and names.

    Names of campaigns, tasks, services, templates and sets come from the database that is configured where
    you are, and only those you may use. Where it does not answer within a second there are none.
    """
    run = current()
    script = get_completion_script(prog_name="coldsend", complete_var=VARIABLE, shell=shell.value)
    if run.json:
        run.out.data({"shell": shell.value, "script": script})
    else:
        run.out.plain(script)
