"""The demonstration: a real SMTP server on loopback, and the examples it shows."""
