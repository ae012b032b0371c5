"""A simulated month of sequences with real processes, and an independent checker of its rules.

``script.py``   the scripted inputs: who is written to, what comes back, what the operator does; from a seed
``run.py``      drives the installation through them and keeps what was done and when
``record.py``   what the SMTP server took, read from its own record
``almanac.py``  zones, windows, holidays and days: the checker's own arithmetic
``checker.py``  the rules, each for every recipient and service
``sabotage.py`` records that break one rule each, to prove the checker

All but ``run.py`` import nothing of coldsend: what the checker says does not rest on what it checks.
"""
