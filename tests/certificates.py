"""Certificates for tests: CAs of trustme, what they sign, and what they revoke."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("OpenSSL", reason="pyOpenSSL is missing (the extra 'tls')")
trustme = pytest.importorskip("trustme", reason="trustme is missing (the extra 'test')")

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key  # noqa: E402

from medserver.tls.certificate import fingerprint_of  # noqa: E402

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A certificate with its key, in files.

    Attributes
    ----------
    certificate, key : Path
        PEM files; that of the certificate has those in between too.
    """

    certificate: Path
    key: Path

    @property
    def x509(self) -> x509.Certificate:
        """The certificate, x509.Certificate."""
        return x509.load_pem_x509_certificate(self.certificate.read_bytes())

    @property
    def fingerprint(self) -> str:
        """What pins it, str."""
        return fingerprint_of(self.x509)


class TestCA:
    """A CA that keeps what it makes in a folder.

    Parameters
    ----------
    directory : Path
        The folder.
    name : str
        What its files begin with.
    """

    __test__ = False

    def __init__(self, directory: Path, name: str = "ca", *, is_rsa: bool = False) -> None:
        self._key_type = trustme.KeyType.RSA if is_rsa else trustme.KeyType.ECDSA
        self._directory, self._name = directory, name
        self._ca = trustme.CA(organization_name=f"{name} of tests", key_type=self._key_type)
        self.certificate = directory / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.certificate))

    def issue(
        self,
        name: str,
        *hosts: str,
        begins: datetime | None = None,
        ends: datetime | None = None,
    ) -> Identity:
        """Return a certificate with a common name, and the names of hosts."""
        made = self._ca.issue_cert(
            *(hosts or ("127.0.0.1", "localhost")),
            common_name=name,
            not_before=begins,
            not_after=ends,
            key_type=self._key_type,
        )
        identity = Identity(
            self._directory / f"{self._name}-{name}.pem", self._directory / f"{self._name}-{name}.key"
        )
        identity.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        identity.key.touch(mode=0o600)
        identity.key.write_bytes(made.private_key_pem.bytes())
        return identity

    @property
    def private_key(self) -> bytes:
        """The key of the CA, PEM, bytes."""
        return self._ca.private_key_pem.bytes()

    def expired(self, name: str) -> Identity:
        """Return a certificate that was valid until yesterday."""
        return self.issue(name, begins=datetime.now(UTC) - 9 * DAY, ends=datetime.now(UTC) - DAY)

    def revoke(
        self,
        *identities: Identity,
        path: Path | None = None,
        next_update: datetime | None = None,
        issuer: TestCA | None = None,
    ) -> Path:
        """Write a CRL with some certificates, and return its path; in the name of another CA, it is a false one."""
        serial_numbers = [one.x509.serial_number for one in identities]
        path = path or self._directory / f"{self._name}.crl"
        path.write_bytes(self._crl(serial_numbers, next_update or datetime.now(UTC) + DAY, issuer or self))
        return path

    def _crl(self, serial_numbers: Iterable[int], next_update: datetime, ca: TestCA) -> bytes:
        now = datetime.now(UTC)
        issuer = x509.load_pem_x509_certificate(ca.certificate.read_bytes())
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
        builder = builder.last_update(min(now, next_update) - DAY).next_update(next_update)
        for number in serial_numbers:
            revoked = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - DAY)
            builder = builder.add_revoked_certificate(revoked.build())
        key = load_pem_private_key(self.private_key, None)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
