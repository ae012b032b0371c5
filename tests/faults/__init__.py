"""The fault suite: each fault is injected for real while real processes send.

The oracle (``oracle.py``) is the SMTP servers' own record; what the ledger says is only compared with it.
``test_sabotage.py`` breaks the engine on purpose and asserts that the oracle notices.
"""
