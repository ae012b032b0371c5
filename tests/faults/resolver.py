"""``coldsend`` with a resolver of the test's: run as a program with coldsend's arguments.

The file that $NAMES names has lines "HOST no|trouble|silence" and may change at any time; every other name
ending in .test is 127.0.0.1. Asking for a silent one leaves a file NAMES.asked.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from coldsend.cli.main import run

NAMES = Path(os.environ["NAMES"])
ask_the_system = socket.getaddrinfo


def ask(host: Any, *arguments: Any, **options: Any) -> Any:
    if not str(host).endswith(".test"):
        return ask_the_system(host, *arguments, **options)
    deed = dict(line.split() for line in NAMES.read_text().splitlines()).get(host)
    if deed == "no":
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if deed == "trouble":
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    if deed == "silence":
        NAMES.with_name(f"{NAMES.name}.asked").touch()
        threading.Event().wait(600)  # as long as a resolver may try, and longer than the test waits
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return ask_the_system("127.0.0.1", *arguments, **options)


socket.getaddrinfo = ask

if __name__ == "__main__":
    sys.exit(run())
