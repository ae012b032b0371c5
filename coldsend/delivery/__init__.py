"""Delivery: claim rows, compose, send, record; and rescue what a dead process left behind.

``worker`` is the process, ``turn`` its database transaction (``claim`` and ``record`` its halves), ``lane``
one open sender service, ``attempt`` one message, ``journal`` what survives a kill -9, ``rescue`` its reader.
"""
