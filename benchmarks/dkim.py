"""How many messages one processor core signs a second (DKIM), against the bare signature.

    python benchmarks/dkim.py [--messages N] [--rounds N] [--threads] [--json]

Three rates in one run, for RSA-2048 and Ed25519:
`openssl speed` - what the machine's own library does on one core,
bare - one call of `cryptography` on bytes that are ready (its library is not the machine's),
signed - the whole of it: canonical fields and body, both hashes, the signature, the finished message.
Messages are composed ones: the template of ``end_to_end.py``. Processor time, best of several interleaved
rounds.

`--threads` compares signing in the event loop with handing it to threads, as a worker could do: messages a
second by the clock, with 10 us of other work in the loop for each.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from benchmarks import end_to_end, result
from benchmarks.composing import SERVICE, SITE, recipients
from coldsend.composing.compose import composer
from coldsend.composing.dkim import Identity, Signer, private_key
from coldsend.domain.dkim import Algorithm
from coldsend.installation.dkim import generated

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SPEED = {Algorithm.RSA: "rsa2048", Algorithm.ED25519: "ed25519"}
GOAL = 3000  # signatures a second and core


def openssl_rate(algorithm: Algorithm) -> float | None:
    """Signatures a second by `openssl speed`; None where there is no openssl."""
    if shutil.which("openssl") is None:
        return None
    done = subprocess.run(
        ["openssl", "speed", "-seconds", "1", SPEED[algorithm]], capture_output=True, text=True, check=True
    )
    last = done.stdout.strip().splitlines()[-1]
    return float(re.split(r"\s+", last.strip())[-2])


def seconds_each(work: Callable[[], None], count: int) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) / count


def measure(algorithm: Algorithm, messages: list[bytes], rounds: int) -> tuple[float, float]:
    """Signatures a second: bare, and signed whole."""
    pem = generated(algorithm, None).private_pem
    signer, key = Signer([Identity("stillwater.example.com", "cs1", pem)]), private_key(pem, "bench")
    bare_input = b"x" * 900  # as much as the fields of a message
    padding, digest = PKCS1v15(), hashes.SHA256()

    def bare() -> None:
        for _ in messages:
            if isinstance(key, RSAPrivateKey):
                key.sign(bare_input, padding, digest)
            else:
                key.sign(bare_input[:32])

    def whole() -> None:
        for message in messages:
            signer.sign(message, NOW)

    best_bare = best_whole = float("inf")
    for _ in range(rounds):
        best_bare = min(best_bare, seconds_each(bare, len(messages)))
        best_whole = min(best_whole, seconds_each(whole, len(messages)))
    return 1 / best_bare, 1 / best_whole


def spin(seconds: float) -> None:
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass


async def through_threads(signer: Signer, messages: list[bytes], threads: int) -> float:
    """Messages a second by the clock; 0 threads: in the loop itself. 16 runners, as many as connections."""
    loop = asyncio.get_running_loop()
    waiting = iter(messages)

    async def runner() -> None:
        for message in waiting:
            spin(10e-6)
            if threads:
                await loop.run_in_executor(pool, signer.sign, message, NOW)
            else:
                signer.sign(message, NOW)
                await asyncio.sleep(0)

    with ThreadPoolExecutor(max(1, threads)) as pool:
        began = time.perf_counter()
        await asyncio.gather(*(runner() for _ in range(16)))
        return len(messages) / (time.perf_counter() - began)


def main() -> int:
    parser = result.parser(__doc__)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", action="store_true", help="compare with signing in threads")
    options = parser.parse_args()
    findings = result.Findings("dkim", options.json)
    made = composer(end_to_end.template(), [], SERVICE, SITE)
    messages = [made.compose(to, NOW).data for to in recipients(options.messages)]
    findings.say(f"message: {len(messages[-1])} octets; a second and core, goal {GOAL:,}")
    for algorithm in Algorithm:
        bare, whole = measure(algorithm, messages, options.rounds)
        write_row(findings, algorithm, bare, whole, openssl_rate(algorithm))
    if options.threads:
        signer = Signer([Identity("x.example", "s", generated(Algorithm.RSA, None).private_pem)])
        for threads in (0, 1, 2):
            rate = asyncio.run(through_threads(signer, messages, threads))
            where = f"{threads} threads" if threads else "in the event loop"
            findings.say(f"rsa, {where:18} {rate:8,.0f} messages/s by the clock")
    return findings.finish()


def write_row(
    findings: result.Findings, algorithm: Algorithm, bare: float, whole: float, speed: float | None
) -> None:
    findings.figures[algorithm.value] = {"bare": bare, "signed": whole, "openssl speed": speed}
    machine = "" if speed is None else f", openssl speed: {speed:,.0f}/s"
    findings.row(
        f"DKIM, {algorithm.value}, signed a second and core",
        whole,
        measured=f"{whole:,.0f}/s",
        reference=f"bare signature: {bare:,.0f}/s{machine}",
        unit="/s",
        goal=result.at_least(GOAL),
        note=f"{whole / bare:.2f} of the bare signature",
    )


if __name__ == "__main__":
    sys.exit(main())
