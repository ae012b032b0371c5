"""Throughput of the bare SMTP channel against Postfix's smtp-source, both into smtp-sink, in one run.

    python benchmarks/smtp_channel.py [--messages 40000] [--connections 20] [--size 4000] [--loop uvloop]
        [--profile]

smtp-source and smtp-sink come with Postfix; only these two programs are used, on loopback, not Postfix
itself. The figure that counts is the ratio: messages a second of the channel, in one process, to those of
``smtp-source -d -s 10`` with messages of the same size.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from coldsend.channels.smtp import SmtpChannel
from coldsend.config.settings import SmtpSettings
from coldsend.domain.message import Contents, Message
from coldsend.domain.service import Service

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--size", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    sink, source = shutil.which("smtp-sink", path=PATH), shutil.which("smtp-source", path=PATH)
    if not sink or not source:
        print("smtp-sink and smtp-source are missing: install the postfix package (it need not run)")
        return 2
    with running_sink(sink) as port:
        best = [0.0, 0.0]
        for _ in range(options.rounds):
            best[0] = max(best[0], rate_of_source(source, port, options))
            best[1] = max(best[1], rate_of_channel(port, options))
    print(f"{os.cpu_count()} cores, {options.messages} messages of {options.size} octets")
    print(f"smtp-source -d -s 10   {best[0]:8.0f} msg/s")
    print(f"SmtpChannel, {options.connections:3} conn. {best[1]:8.0f} msg/s   ({options.loop})")
    print(f"ratio                  {best[1] / best[0]:8.2f}")
    return 0


@contextmanager
def running_sink(program: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([program, *user, f"127.0.0.1:{port}", "1000"], stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_for_port(port: int) -> None:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("smtp-sink did not start")


def rate_of_source(program: str, port: int, options: argparse.Namespace) -> float:
    command = [program, "-d", "-s", "10", "-l", str(options.size), "-m", str(options.messages)]
    command += ["-f", "sender@example.com", "-t", "recipient@example.com", f"127.0.0.1:{port}"]
    begun = time.perf_counter()
    subprocess.run(command, check=True)
    return float(options.messages / (time.perf_counter() - begun))


def rate_of_channel(port: int, options: argparse.Namespace) -> float:
    profile = cProfile.Profile() if options.profile else None
    if profile:
        profile.enable()
    before = time.process_time()
    seconds = float(runner(options.loop)(send_all(port, options)))
    used = (time.process_time() - before) / options.messages * 1e6
    print(f"  {options.messages / seconds:8.0f} msg/s, {used:.1f} us of processor time a message")
    if profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(18)
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
