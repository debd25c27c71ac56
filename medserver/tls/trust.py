"""Certificates of CAs, and lists of what they have revoked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from medserver.errors import ConfigError
from medserver.tls.files import Reread, read_file

if TYPE_CHECKING:
    from cryptography import x509

_CERTIFICATE_BEGINS = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE\b")
_CRL_BEGINS = b"-----BEGIN X509 CRL"
_CRL = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


class Authorities:
    """The certificates of some CAs."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        from OpenSSL import crypto

        self.certificates = tuple(certificates)
        self._store = crypto.X509Store()
        # A CA that is named is believed, also if another one stands above it.
        self._store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        for each in certificates:
            self._store.add_cert(crypto.X509.from_cryptography(each))

    def chain_of(self, presented: Sequence[x509.Certificate]) -> Sequence[x509.Certificate]:
        """Return the certificates from one that was presented, with what may stand between, up to a CA.

        Raises
        ------
        ValueError
            There is no such chain.
        """
        from OpenSSL import crypto

        own, *others = (crypto.X509.from_cryptography(each) for each in presented)
        context = crypto.X509StoreContext(self._store, own, others)
        try:
            chain = context.get_verified_chain()
        except crypto.X509StoreContextError as error:
            raise ValueError(str(error)) from None
        return [each.to_cryptography() for each in chain]


class Revocations:
    """What some CRLs say is revoked."""

    def __init__(self, lists: Iterable[x509.CertificateRevocationList]) -> None:
        self.lists = tuple(lists)

    def revokes(self, certificate: x509.Certificate, authorities: Iterable[x509.Certificate] = ()) -> bool:
        """Tell whether a certificate is revoked.

        A list that is older than it says is still believed: what was revoked stays so. Where the CA is known, its
        signature must be good.

        Parameters
        ----------
        certificate : x509.Certificate
            The certificate.
        authorities : iterable of x509.Certificate
            The CAs that are known.
        """
        issuers = [each for each in authorities if each.subject == certificate.issuer]
        for one in self.lists:
            if one.issuer != certificate.issuer:
                continue
            if issuers and not any(_is_signed(one, each) for each in issuers):
                continue
            if one.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                return True
        return False

    def outdated(self, now: datetime) -> list[str]:
        """Return the issuers of lists that should have been replaced by newer ones."""
        return [one.issuer.rfc4514_string() for one in self.lists if one.next_update_utc and one.next_update_utc < now]


def _is_signed(one: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return one.is_signature_valid(authority.public_key())
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def authorities_of(path: Path) -> Authorities:
    """Return the CAs of a file, as it is now.

    Raises
    ------
    ConfigError
        It cannot be read, and never could.
    """
    return _authorities.of(path)


def revocations_of(path: Path) -> Revocations:
    """Return the CRLs of a file, as it is now.

    Raises
    ------
    ConfigError
        It cannot be read, and never could.
    """
    return _revocations.of(path)


def _read_authorities(path: Path) -> Authorities:
    from cryptography import x509

    content = read_file(path)
    try:
        certificates = x509.load_pem_x509_certificates(content)
        if len(_CERTIFICATE_BEGINS.findall(content)) != len(certificates):
            raise ValueError("a certificate is cut off")  # as below
        return Authorities(certificates)
    except ValueError as error:
        raise ConfigError(f"{path}: no certificate in PEM form: {error}") from None


def _read_revocations(path: Path) -> Revocations:
    from cryptography import x509

    content = read_file(path)
    try:
        blocks = _CRL.findall(content)
        if content.count(_CRL_BEGINS) != len(blocks):
            raise ValueError("a list is cut off")  # somebody is writing it: those behind are not here yet either
        if blocks:
            return Revocations(x509.load_pem_x509_crl(block) for block in blocks)
        return Revocations([x509.load_der_x509_crl(content)])
    except ValueError as error:
        raise ConfigError(f"{path}: no CRL in PEM or DER form: {error}") from None


_authorities: Reread[Authorities] = Reread(_read_authorities)
_revocations: Reread[Revocations] = Reread(_read_revocations)


def utc_now() -> datetime:
    """Return the present, aware, in UTC."""
    return datetime.now(UTC)
