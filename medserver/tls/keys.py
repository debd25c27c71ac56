"""Keys and certificates of the node: made here, or asked of a CA."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from medserver import modes
from medserver.config.addresses import is_ip_address
from medserver.errors import BadUsage, ConfigError
from medserver.secret_files import check_private
from medserver.tls.files import read_file
from medserver.tls.trust import utc_now

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes as PrivateKey

KEY_KINDS = ("rsa3072", "rsa2048", "p256")
"""RSA first: peers that keep to the suites of BCP 195 for TLS 1.2, as DCMTK does, have no other."""

PRIVATE, PUBLIC = 0o600, 0o644

_CLOCKS_APART = timedelta(hours=1)
"""A certificate is valid from a moment before it is made: the clocks of modalities are not always right."""


def make_key(path: Path, kind: str) -> PrivateKey:
    """Make a private key, and write it to a file that nobody else can read.

    Raises
    ------
    BadUsage
        The file exists.
    ConfigError
        It cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    if kind == "p256":
        key: PrivateKey = ec.generate_private_key(ec.SECP256R1())
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa")))
    encoded = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_new(path, encoded, PRIVATE)
    return key


def load_key(path: Path) -> PrivateKey:
    """Return the private key of a file.

    Raises
    ------
    ConfigError
        It cannot be read, or others can read it.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    check_private(path, "private key")
    try:
        return load_pem_private_key(read_file(path), None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: no private key in PEM form without a passphrase: {error}") from None


def self_signed(key: PrivateKey, name: str, hosts: Iterable[str], days: int) -> bytes:
    """Return a certificate that the key has signed itself, PEM.

    Parameters
    ----------
    name : str
        Its common name.
    hosts : iterable of str
        Names and addresses of the node.
    days : int
        How long it is valid.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    subject, now = _subject(name), utc_now()
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _CLOCKS_APART).not_valid_after(now + timedelta(days=days))
    for extension, is_critical in _extensions(hosts):
        builder = builder.add_extension(extension, is_critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def request(key: PrivateKey, name: str, hosts: Iterable[str]) -> bytes:
    """Return what asks a CA to sign the key (PKCS #10), PEM; parameters are those of `self_signed`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(name))
    for extension, is_critical in _extensions(hosts):
        builder = builder.add_extension(extension, is_critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _subject(name: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _extensions(hosts: Iterable[str]) -> list[tuple[x509.ExtensionType, bool]]:
    """Return the extensions of a certificate that is shown by who calls and by who is called."""
    from cryptography import x509

    names: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(host)) if is_ip_address(host) else x509.DNSName(host) for host in hosts
    ]
    usage = [x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    extensions = [(x509.BasicConstraints(ca=False, path_length=None), True), (x509.ExtendedKeyUsage(usage), False)]
    return [*extensions, (x509.SubjectAlternativeName(names), False)] if names else extensions


def write_new(path: Path, content: bytes, mode: int, *, replaces: bool = False) -> None:
    """Write a file, whole or not at all, with its mode from the beginning.

    Raises
    ------
    BadUsage
        It exists, and is not to be replaced.
    ConfigError
        It cannot be written.
    """
    if path.exists() and not replaces:
        raise BadUsage(f"{path} exists: it is not replaced")
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with open(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
        modes.flush_directory(path.parent)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
