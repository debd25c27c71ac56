"""The contexts of OpenSSL: what is negotiated, and what we show (PS3.15 B.12, with the limits of B.13).

TLS 1.2 and 1.3 only; of TLS 1.2 the suites with ephemeral keys on elliptic curves and authenticated encryption. No
session is resumed and nothing renegotiated: whoever comes again proves again who he is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medserver.config.security import TLSOptions
from medserver.errors import ConfigError
from medserver.secret_files import check_private
from medserver.tls.files import Reread, read_file

if TYPE_CHECKING:
    from OpenSSL import SSL

SUITES_1_2 = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)
SUITES_1_3 = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")

VERIFIED_MAX = 8
"""How many certificates in a row OpenSSL looks at in a handshake: anybody may send long chains of long keys."""

_ENABLE_PARTIAL_WRITE = 0x1
"""SSL_MODE_ENABLE_PARTIAL_WRITE (SSL_CTX_set_mode(3)), which pyOpenSSL sets and has no name for."""

MISSING = "TLS needs pyOpenSSL, the extra 'tls'; run: pip install 'medserver[tls]'"


def server_context(options: TLSOptions) -> SSL.Context:
    """Return the context of connections that are accepted, by the files as they are now.

    A certificate of the peer is demanded, and taken whoever has signed it: see `judgement`.

    Raises
    ------
    ConfigError
        The certificate or its key cannot be used, and never could.
    """
    if options.certificate is None or options.key is None:
        raise ConfigError("[tls] certificate and key are missing; run: medserver tls new")
    return _server_contexts.of(options.certificate, options.key)


def client_context(certificate: Path | None, key: Path | None) -> SSL.Context:
    """Return the context of connections that are opened, by the files as they are now.

    Raises
    ------
    ConfigError
        As `server_context`.
    """
    return _client_contexts.of(*(() if certificate is None or key is None else (certificate, key)))


def _server_context(certificate: Path, key: Path) -> SSL.Context:
    from OpenSSL import SSL

    context = _context(certificate, key)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _go_on)
    return context


def _client_context(*files: Path) -> SSL.Context:
    from OpenSSL import SSL

    context = _context(*files)
    context.set_verify(SSL.VERIFY_PEER, _go_on)
    return context


_server_contexts: Reread = Reread(_server_context)
_client_contexts: Reread = Reread(_client_context)


def _go_on(connection: object, certificate: object, problem: int, depth: int, is_good: int) -> bool:
    """Take every certificate: who may have which is decided later."""
    return True


def _context(*files: Path) -> SSL.Context:
    try:
        from OpenSSL import SSL
    except ImportError:
        raise ConfigError(MISSING) from None
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_cipher_list(":".join(SUITES_1_2).encode())
    context.set_tls13_ciphersuites(":".join(SUITES_1_3).encode())
    # The end of a connection without close_notify is told by the upper layer as such: an association ends by A-RELEASE
    # or A-ABORT, and each PDU says how long it is. DCMTK and Orthanc just close; and an association that is interrupted
    # here still has its A-ABORT to send.
    context.set_options(
        SSL.OP_NO_TICKET
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_NO_COMPRESSION
        | SSL.OP_CIPHER_SERVER_PREFERENCE
        | SSL.OP_IGNORE_UNEXPECTED_EOF
    )
    context.set_verify_depth(VERIFIED_MAX)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # idle associations do without
    context.clear_mode(_ENABLE_PARTIAL_WRITE)  # a call sends several records
    if files:
        _use(context, *files)
    return context


def _use(context: SSL.Context, certificate: Path, key: Path) -> None:
    """Have a context show a certificate with its chain."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from OpenSSL import SSL

    check_private(key, "private key")
    try:
        chain = x509.load_pem_x509_certificates(read_file(certificate))
    except ValueError as error:
        raise ConfigError(f"{certificate}: no certificate in PEM form: {error}") from None
    try:
        private = load_pem_private_key(read_file(key), None)
    except (ValueError, TypeError) as error:  # TypeError: it has a passphrase
        raise ConfigError(f"{key}: no private key in PEM form without a passphrase: {error}") from None
    try:
        context.use_certificate(chain[0])
        for each in chain[1:]:
            context.add_extra_chain_cert(each)
        context.use_privatekey(private)
        context.check_privatekey()
    except (SSL.Error, TypeError, ValueError) as error:
        problem = said_by(error) if isinstance(error, SSL.Error) else str(error)
        raise ConfigError(f"{certificate} and {key} do not belong together: {problem}") from None


def said_by(error: Exception) -> str:
    """Return what OpenSSL says of an error, without the names of its parts."""
    reasons = [each[-1] for each in error.args[0] if each[-1]] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(dict.fromkeys(reasons)) or str(error) or type(error).__name__
