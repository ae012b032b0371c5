"""Throughput of the bare SMTP channel against Postfix's smtp-source, both into smtp-sink, in one run.

    python benchmarks/smtp_channel.py [--messages 40000] [--connections 20] [--size 4000] [--loop uvloop]
        [--rounds N] [--profile] [--json]

smtp-source and smtp-sink come with Postfix; only these two programs are used, on loopback, not Postfix
itself. The figure that counts is the ratio: messages a second of the channel, in one process, to those of
``smtp-source -d -s 10`` with messages of the same size.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import result, stage
from coldsend.channels.smtp import SmtpChannel
from coldsend.config.settings import SmtpSettings
from coldsend.domain.message import Contents, Message
from coldsend.domain.service import Service


def main() -> int:
    parser = result.parser(__doc__, rounds=3)
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--size", type=int, default=4000)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    findings = result.Findings("smtp_channel", options.json)
    rates: list[tuple[float, float]] = []
    with stage.running_sink() as (port, _sink):

        def one_round() -> float:
            channel = rate_of_channel(findings, port, options)
            rates.append((channel, stage.source_rate(port, messages=options.messages, size=options.size)))
            return rates[-1][0] / rates[-1][1]

        ratios = result.interleaved(one_round, options.rounds)
    channel, source = (statistics.median(side) for side in zip(*rates, strict=True))
    findings.figures |= {"rounds": rates, "loop": options.loop, "connections": options.connections}
    findings.row(
        f"the bare SMTP channel, one process, {options.connections} connections",
        ratios.median,
        measured=f"{channel:,.0f} msg/s",
        reference=f"smtp-source -d -s 10: {source:,.0f} msg/s",
        note=f"{ratios.note()}; messages of {options.size:,} octets, {options.loop}",
    )
    return findings.finish()


def rate_of_channel(findings: result.Findings, port: int, options: argparse.Namespace) -> float:
    profile = cProfile.Profile() if options.profile else None
    if profile:
        profile.enable()
    before = time.process_time()
    seconds = float(runner(options.loop)(send_all(port, options)))
    used = (time.process_time() - before) / options.messages * 1e6
    findings.say(f"  {options.messages / seconds:8.0f} msg/s, {used:.1f} us of processor time a message")
    if profile:
        profile.disable()
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(18)
    return float(options.messages / seconds)


def runner(loop: str) -> Callable[[Coroutine[Any, Any, float]], float]:
    if loop == "uvloop":
        import uvloop  # noqa: PLC0415 - an extra that need not be installed

        return uvloop.run
    return asyncio.run


async def send_all(port: int, options: argparse.Namespace) -> float:
    channel = SmtpChannel(service(port, options.connections), {}, SmtpSettings())
    numbers = iter(range(options.messages))
    data = body(options.size)
    refused = 0

    async def one_connection() -> None:
        nonlocal refused
        for number in numbers:
            answer = await channel.send(message(number, data), nothing)
            if answer.code != 250:
                refused += 1
                print(answer, file=sys.stderr)

    begun = time.perf_counter()
    await asyncio.gather(*(one_connection() for _ in range(channel.appetite)))
    seconds = time.perf_counter() - begun
    await channel.close()
    if refused:
        raise RuntimeError(f"{refused} messages were not accepted")
    return seconds


def nothing() -> None:
    pass


def service(port: int, connections: int) -> Service:
    settings = {"host": "127.0.0.1", "port": port, "tls": "none", "connections": connections}
    return Service(1, "sink", "smtp", "sender@example.com", settings=settings)


def body(size: int) -> bytes:
    lines = [b"From: sender@example.com", b"To: recipient@example.com", b"Subject: benchmark", b""]
    head = b"\r\n".join(lines) + b"\r\n"
    line = b"A line of text as wide as they are in a message that people read.....\r\n"
    return head + line * ((size - len(head)) // len(line) + 1)


def message(number: int, data: bytes) -> Message:
    recipient = f"recipient{number}@example.com"
    contents = Contents("", "", "", "", "", {})
    return Message(number, "sender@example.com", recipient, "<1@example.com>", data, lambda: contents)


if __name__ == "__main__":
    sys.exit(main())
