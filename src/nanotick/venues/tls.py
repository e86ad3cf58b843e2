"""TLS for both ends: version 1.2 or newer, the other end's certificate and name checked."""

from __future__ import annotations

import ssl
from pathlib import Path


def client_context(ca_file: Path | str | None = None) -> ssl.SSLContext:
    """How a client connects: certificates verified against the system's authorities, host names checked.

    Parameters
    ----------
    ca_file : path, optional
        PEM file of one more authority to trust, for a venue of one's own.

    Raises
    ------
    OSError
        The file cannot be read.
    ssl.SSLError
        It holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    return context


def server_context(certificate: Path | str, key: Path | str) -> ssl.SSLContext:
    """How a server is connected to: PEM files of its certificate chain and private key.

    Raises
    ------
    OSError
        A file cannot be read.
    ssl.SSLError
        They hold no certificate and key that belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(str(certificate), str(key))
    return context
