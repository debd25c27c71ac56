"""A certificate that a peer shows, as a record."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from medserver.config.security import COMMON_NAME, HOST_NAME, PIN_PREFIX
from medserver.errors import ConfigError
from medserver.tls.files import read_file

if TYPE_CHECKING:  # it takes a while to load, and only nodes with TLS need it
    from cryptography import x509

IP_ADDRESS = "ip:"

TEXT_LENGTH_MAX = 256
"""How much of a name is kept [characters]: the peer may have written anything into it."""

CLIENT, SERVER = "client", "server"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says.

    Attributes
    ----------
    fingerprint : str
        SHA-256 of its SubjectPublicKeyInfo, ``sha256:`` and 64 hexadecimal digits: that of the key, which outlives the
        certificate if that is renewed with it.
    subject, issuer : str
        As in RFC 4514, cut to `TEXT_LENGTH_MAX`.
    serial_number : int
        Unique among those of the issuer.
    not_before, not_after : datetime
        When it is valid, aware, in UTC.
    names : frozenset of str
        Its common names and alternative names: ``cn:NAME``, ``dns:name``, ``ip:address``.
    purposes : frozenset of str
        `CLIENT`, `SERVER`, of which its extended key usage speaks; both if it has none.
    key_bits : int
        The length of its key.
    is_elliptic : bool
        Whether that is one on an elliptic curve, which may be shorter.
    is_self_signed : bool
        Whether subject and issuer are the same.
    verified_by : str
        What has proved whose it is: ``pin`` or ``ca``; empty while nothing has.
    """

    fingerprint: str
    subject: str
    issuer: str
    serial_number: int
    not_before: datetime
    not_after: datetime
    names: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset({CLIENT, SERVER})
    key_bits: int = 0
    is_elliptic: bool = False
    is_self_signed: bool = False
    verified_by: str = ""

    def is_valid_at(self, moment: datetime) -> bool:
        """Tell whether a moment is between its first and its last."""
        return self.not_before <= moment <= self.not_after


def fingerprint_of(certificate: x509.Certificate) -> str:
    """Return SHA-256 of the SubjectPublicKeyInfo of a certificate, as ``sha256:`` and hexadecimal digits."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    encoded = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PIN_PREFIX + hashlib.sha256(encoded).hexdigest()


def certificate_of(certificate: x509.Certificate) -> Certificate:
    """Return what a certificate says.

    Raises
    ------
    ValueError
        It cannot be read: whoever shows it may have written anything into it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        is_elliptic, key_bits = _strength(certificate)
        return Certificate(
            fingerprint=fingerprint_of(certificate),
            subject=certificate.subject.rfc4514_string()[:TEXT_LENGTH_MAX],
            issuer=certificate.issuer.rfc4514_string()[:TEXT_LENGTH_MAX],
            serial_number=certificate.serial_number,
            not_before=certificate.not_valid_before_utc.astimezone(UTC),
            not_after=certificate.not_valid_after_utc.astimezone(UTC),
            names=frozenset(_names(certificate)),
            purposes=frozenset(_purposes(certificate)),
            key_bits=key_bits,
            is_elliptic=is_elliptic,
            is_self_signed=certificate.subject == certificate.issuer,
        )
    except (ValueError, TypeError, UnsupportedAlgorithm, OverflowError) as error:
        raise ValueError(f"the certificate cannot be read: {error}") from None


def certificate_in(path: Path) -> Certificate:
    """Return what the first certificate of a PEM file says: that of the node, before those of its CAs.

    Raises
    ------
    ConfigError
        It cannot be read.
    """
    from cryptography import x509

    try:
        return certificate_of(x509.load_pem_x509_certificates(read_file(path))[0])
    except ValueError as error:
        raise ConfigError(f"{path}: no certificate in PEM form: {error}") from None


def _strength(certificate: x509.Certificate) -> tuple[bool, int]:
    """Return whether the key is one on an elliptic curve, and its length."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519

    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return True, key.key_size
    edwards = {ed25519.Ed25519PublicKey: 256, ed448.Ed448PublicKey: 456}
    bits = next((bits for kind, bits in edwards.items() if isinstance(key, kind)), None)
    return (True, bits) if bits is not None else (False, getattr(key, "key_size", 0))


def _names(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    names = [f"{COMMON_NAME}{one.value}" for one in common]
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return names
    names += [f"{HOST_NAME}{name.lower()}" for name in alternative.get_values_for_type(x509.DNSName)]
    return names + [f"{IP_ADDRESS}{address}" for address in alternative.get_values_for_type(x509.IPAddress)]


def _purposes(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return [CLIENT, SERVER]
    kinds = {
        x509.ExtendedKeyUsageOID.CLIENT_AUTH: [CLIENT],
        x509.ExtendedKeyUsageOID.SERVER_AUTH: [SERVER],
        x509.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: [CLIENT, SERVER],
    }
    return [purpose for oid in usage for purpose in kinds.get(oid, ())]


def name_of_host(host: str) -> str:
    """Return the name that a certificate of a host has: ``dns:name`` or ``ip:address``."""
    try:
        return f"{IP_ADDRESS}{ipaddress.ip_address(host)}"
    except ValueError:
        return f"{HOST_NAME}{host.lower()}"
