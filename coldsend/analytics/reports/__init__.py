"""Reports: what became of a campaign, a task, a template, a sender service, a recipient domain.

documents.py makes one document of each, in the shape that ``--json`` promises; sections.py makes tables of a
document, which the terminal, ``--csv`` and ``--html`` all show: so their numbers are the same.
"""
