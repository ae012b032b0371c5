"""Whose certificates are believed: the system's authorities, and those that ``ca_file`` of a section adds."""

from __future__ import annotations

import ssl

from coldsend.errors import InvalidInput


def trusting(ca_file: str, section: str) -> ssl.SSLContext:
    """Certificate and host name are checked, always. InvalidInput: ``[section] ca_file`` cannot be read."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise InvalidInput(
                f"the authorities in {ca_file} cannot be read: {error.strerror or error}",
                hint=f"[{section}] ca_file must name a PEM file with certificates",
            ) from error
    return context
