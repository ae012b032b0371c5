"""All commands of the command line, in the order the help shows them: name -> its sentence in the overview.

The module of a command is ``coldsend/cli/NAME.py`` (``template-set``: ``template_set.py``), its ``app`` is
what runs. It is imported when it is used and not before, so that ``coldsend --help`` answers at once.
"""

from __future__ import annotations

# Groups of verbs: ``app = noun("..")``, with the same sentence as here.
NOUNS: dict[str, str] = {
    "db": "The database and its schema.",
    "user": "Users and their roles.",
    "contact": "The people campaigns write to; shared by all users.",
    "suppression": "Addresses and domains that get nothing, whatever a campaign says.",
    "campaign": "Campaigns: create, start, pause, resume, cancel.",
    "task": "Tasks of a campaign: who gets which templates, and when.",
    "report": "Reports: what became of a campaign, a task, a sender service.",
    "event": "The event log: what was tried, accepted and refused, and what came back.",
    "scheduler": "The daemon: plans campaigns and keeps sender processes running.",
    "worker": "Sender processes.",
}

# Commands without a noun: ``app = single()`` with one verb in it, whose docstring begins with this sentence.
VERBS: dict[str, str] = {
    "why": "Why was this not sent? Shows every gate a recipient waits at, or how and when it ended.",
}
