"""The composing row of `make bench`: ``composing.py``'s comparison, with the template of ``end_to_end.py``.

    python benchmarks/composing_ratio.py [--messages N] [--rounds N] [--json]

A message made by coldsend against the same one built as ``email.message.EmailMessage``, which is handed the
rendered text; processor time, the best of several interleaved rounds on either side.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import composing, end_to_end, result
from coldsend.composing.compose import composer


def main() -> int:
    parser = result.parser(__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    findings = result.Findings("composing", options.json)
    made = composer(end_to_end.template(), [], composing.SERVICE, composing.SITE)
    everybody = composing.recipients(options.messages)
    size = len(made.compose(everybody[-1], composing.NOW).data)
    composed, built = composing.measure(made, everybody, options.rounds)
    findings.figures |= {"octets": size, "composed_us": composed * 1e6, "email_message_us": built * 1e6}
    findings.row(
        f"composing a message of {size:,} octets",
        built / composed,
        measured=f"{composed * 1e6:.1f} us, {1 / composed:,.0f}/s and core",
        reference=f"EmailMessage: {built * 1e6:.0f} us",
        goal=result.at_least(20),
        note=f"best of {options.rounds} interleaved rounds, processor time",
    )
    return findings.finish()


if __name__ == "__main__":
    sys.exit(main())
