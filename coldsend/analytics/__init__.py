"""Counts, reports and explanations of what the ledger and the event log hold; reads only."""
