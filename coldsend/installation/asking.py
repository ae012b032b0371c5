"""Many questions over the network at once, and an end to waiting for them.

A library's own timeouts are for each packet: a host that answers a byte at a time would hold `doctor` up for
ever. So each question has a thread that ends with the process, and who has not answered by then has not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from coldsend import clock
from coldsend.errors import Unreachable

T = TypeVar("T")


def ask_all(questions: Mapping[str, Callable[[], T]], seconds: float) -> dict[str, T | Unreachable]:
    """What each question gave within ``seconds``; Unreachable where it raised that, or gave nothing."""
    found: dict[str, T | Unreachable] = {}

    def ask(name: str, question: Callable[[], T]) -> None:
        try:
            found[name] = question()
        except Unreachable as trouble:
            found[name] = trouble

    threads = [
        threading.Thread(target=ask, args=(name, question), name=f"asking {name}", daemon=True)
        for name, question in questions.items()
    ]
    for thread in threads:
        thread.start()
    ends = clock.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, ends - clock.monotonic()))
    silent = Unreachable(f"no answer within {seconds:g} s", hint="check the network, and try again")
    return {name: found.get(name, silent) for name in questions}
