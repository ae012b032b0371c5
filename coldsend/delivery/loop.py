"""The event loop a worker sends in: uvloop where it is installed, which halves what a message costs there."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

try:
    import uvloop
except ImportError:  # there is none for this platform
    uvloop = None  # type: ignore[assignment]

T = TypeVar("T")


def run(life: Coroutine[Any, Any, T]) -> T:
    """Run ``life`` to its end in a loop of its own."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    factory = None if uvloop is None else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(life)
