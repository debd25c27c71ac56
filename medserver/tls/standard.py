"""Contexts of Python's `ssl`, for what is not DICOM: HTTPS, and audit repositories.

Versions and suites are those of associations (PS3.15 B.12); who is trusted is decided by the handshake.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from medserver.errors import ConfigError
from medserver.secret_files import check_private
from medserver.tls.contexts import SUITES_1_2
from medserver.tls.files import Reread


def acceptor_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context of connections that are accepted: each shows the certificate that the files hold then.

    Raises
    ------
    ConfigError
        Certificate or key cannot be used, and never could; or others can read the key.
    """
    context = _acceptor_contexts.of(certificate, key)

    def show_the_present_one(connection: ssl.SSLObject, name: str | None, of: ssl.SSLContext) -> None:
        """Called in each handshake, whether the client names a host or not."""
        connection.context = _acceptor_contexts.of(certificate, key)

    context.sni_callback = show_the_present_one
    return context


def requestor_context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Return the context of connections that are opened, to whom a CA vouches for by the name of its host.

    Parameters
    ----------
    ca : Path or None
        The CAs; None for those of the system.
    certificate, key : Path or None
        What is shown, if it is asked for.

    Raises
    ------
    ConfigError
        A file cannot be used, or others can read the key.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except OSError as error:
        raise ConfigError(f"{ca}: no certificates of CAs in PEM form: {error}") from None
    _restrict(context)
    if certificate is not None and key is not None:
        _show(context, certificate, key)
    return context


def _acceptor_context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    _show(context, certificate, key)
    return context


def _restrict(context: ssl.SSLContext) -> None:
    """Leave the versions and suites that are good; TLS 1.3 has no others."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(SUITES_1_2))
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    check_private(key, "private key")
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(f"certificate {certificate} and key {key} cannot be used: {error}") from None


def _no_passphrase() -> str:
    """Answer in the place of the terminal, where nobody is."""
    raise ValueError("the key has a passphrase")


_acceptor_contexts: Reread[ssl.SSLContext] = Reread(_acceptor_context)
