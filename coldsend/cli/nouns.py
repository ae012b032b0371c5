"""All commands of the command line, in the order the help shows them: name -> its sentence in the overview.

The module of a command is ``coldsend/cli/NAME.py`` (``template-set``: ``template_set.py``), its ``app`` is
what runs. It is imported when it is used and not before, so that ``coldsend --help`` answers at once.
"""

from __future__ import annotations

# Groups of verbs: ``app = noun("..")``, with the same sentence as here.
NOUNS: dict[str, str] = {
    "db": "The database and its schema.",
    "key": "The keys that encrypt credentials.",
    "user": "Users and their roles.",
    "service": "Sender services: the accounts that mail goes out through.",
    "dkim": "DKIM: the keys that messages are signed with, and their DNS records.",
    "quota": "Daily quotas of sender services.",
    "contact": "The people campaigns write to; shared by all users.",
    "suppression": "Addresses and domains that get nothing, whatever a campaign says.",
    "template": "Mail templates: subject, HTML and text, with variables.",
    "template-set": "Sets of templates that a task's recipients get in turn.",
    "variable": "Template variables: names for contact fields, tags and system values.",
    "campaign": "Campaigns: create, start, pause, resume, cancel.",
    "task": "Tasks of a campaign: who gets which templates, and when.",
    "experiment": "Experiments: which template of a task brings more replies or clicks.",
    "unknown": "Recipients whose outcome is unknown: list them, and decide what becomes of each.",
    "report": "Reports: what became of a campaign, a task, a template, a service, a recipient domain.",
    "event": "The event log: what was tried, accepted and refused, and what came back.",
    "feedback": "What came back and is about no recipient, as far as anybody can tell.",
    "scheduler": "The daemon: plans campaigns and keeps sender processes running.",
    "worker": "Sender processes.",
    "mailbox": "Mailboxes that bounces, complaints and replies arrive in, read over IMAP.",
    "inbox": "What comes back by mail: bounces, complaints, automatic replies, replies.",
    "web": "The web part: opens, clicks, unsubscribe pages.",
    "catcher": "A mail server on this machine for trying things out: keeps every message, passes none on.",
    "alert": "Alerts: what is wrong or done, and whom it was told.",
    "audit": "The audit log: who changed what, from where, and with what result.",
    "metrics": "Metrics for Prometheus.",
}

# Commands without a noun: ``app = single()`` with one verb in it, whose docstring begins with this sentence.
VERBS: dict[str, str] = {
    "init": "Make configuration, key, database and first admin; what exists is left alone.",
    "demo": "Run a whole campaign on this machine: services, templates, one failure, three answers.",
    "apply": "Make services, variables, templates, sets, campaigns and tasks what a file says.",
    "export": "Write services, variables, templates, sets, campaigns and tasks as a file for `apply`.",
    "doctor": "Check configuration, keys, database and services; report everything at once.",
    "why": "Why was this not sent? Shows every gate a recipient waits at, or how and when it ended.",
    "completion": "Print the script that lets a shell complete commands, options and names.",
    "explain": "Explain a server's answer: what it means, what the engine would do, by which rule.",
}
