"""Sending through SMTP submission or relay servers (RFC 5321, 2920, 3207, 4954, 6152, 1870, 6531).

``channel`` keeps a pool of connections; ``resolving`` finds the server's addresses; ``handshake`` makes a
connection ready (greeting, EHLO, TLS, AUTH); ``pipeline`` sends messages one behind the other over it,
``transaction`` step by step; ``connection`` moves bytes and watches deadlines; ``reply`` reads what servers
say; ``wire`` writes what they are told; ``auth`` knows the SASL mechanisms and keeps secrets out of
everything that is shown.
"""

from coldsend.channels.smtp.channel import SmtpChannel

__all__ = ["SmtpChannel"]
