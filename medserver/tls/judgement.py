"""Whether a certificate proves that who shows it is a remote AE of the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from medserver.config.security import Security
from medserver.errors import ConfigError
from medserver.tls.certificate import CLIENT, Certificate, certificate_of, name_of_host
from medserver.tls.trust import authorities_of, revocations_of, utc_now

if TYPE_CHECKING:
    from cryptography import x509

PEM_LENGTH_MAX = 16_384
"""How long a certificate may be to be kept for the administrator [characters]."""

BY_PIN, BY_CA = "pin", "ca"

RSA_BITS_MIN, ELLIPTIC_BITS_MIN = 2048, 256
"""What B.13 demands of a key: of one on an elliptic curve, and of every other."""


@dataclass(frozen=True)
class Presented:
    """What a peer has shown in the handshake, by which it has proved that it has the private key.

    Attributes
    ----------
    certificate : Certificate
        What its certificate says.
    chain : sequence of x509.Certificate
        Its certificate, and what it sent along.
    """

    certificate: Certificate
    chain: Sequence[x509.Certificate]

    @classmethod
    def of(cls, chain: Sequence[x509.Certificate]) -> Presented:
        """Return what was shown.

        Raises
        ------
        ValueError
            The certificate cannot be read.
        """
        return cls(certificate_of(chain[0]), tuple(chain))

    @classmethod
    def of_pem(cls, pem: str) -> Presented:
        """Return what was shown, from what `pem` made of it."""
        from cryptography import x509

        return cls.of([x509.load_pem_x509_certificate(pem.encode("ascii"))])

    @property
    def pem(self) -> str | None:
        """Return the certificate as PEM; None if it is longer than any that is in use."""
        from cryptography.hazmat.primitives.serialization import Encoding

        encoded = self.chain[0].public_bytes(Encoding.PEM).decode("ascii")
        return encoded if len(encoded) <= PEM_LENGTH_MAX else None


@dataclass(frozen=True)
class Verdict:
    """Whether somebody is who he claims to be: he is if there is no `problem`, which is for the log."""

    problem: str = ""
    certificate: Certificate | None = None


def judge(
    security: Security,
    presented: Presented | None,
    *,
    purpose: str = CLIENT,
    host: str | None = None,
    now: datetime | None = None,
) -> Verdict:
    """Tell whether what was shown proves that it is the AE of an entry.

    Parameters
    ----------
    security : Security
        That of the entry.
    presented : Presented or None
        What was shown; None in the clear.
    purpose : str
        `CLIENT` if it has called us, `SERVER` if we have called it.
    host : str, optional
        Where it was called: a certificate that a CA has signed must have this name, if the entry says no other.
    now : datetime, optional
        The present.
    """
    if presented is None:
        return Verdict("it calls in the clear, its entry demands TLS" if security.is_required else "")
    certificate = presented.certificate
    if not security.is_accepted:
        return Verdict("it calls over TLS, its entry has tls = no", certificate)
    try:
        verified_by, problem = _recognised(security, presented, purpose, host)
        problem = _unusable(security, presented, now or utc_now()) or problem
    except ConfigError as error:
        return Verdict(str(error), certificate)
    return Verdict(problem, certificate if problem else replace(certificate, verified_by=verified_by))


def _unusable(security: Security, presented: Presented, now: datetime) -> str:
    """Return what is wrong with a certificate whoever has it; empty if nothing is."""
    certificate = presented.certificate
    if certificate.not_after < now:
        return f"its certificate has expired on {certificate.not_after:%Y-%m-%d %H:%M} UTC"
    if certificate.not_before > now:
        return f"its certificate is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC"
    bits_min = ELLIPTIC_BITS_MIN if certificate.is_elliptic else RSA_BITS_MIN
    if certificate.key_bits < bits_min:
        return f"the key of its certificate has {certificate.key_bits} bits, {bits_min} are needed"
    if security.crl is not None:
        authorities = () if security.ca is None else authorities_of(security.ca).certificates
        if revocations_of(security.crl).revokes(presented.chain[0], authorities):
            return "its certificate is revoked"
    return ""


def _recognised(security: Security, presented: Presented, purpose: str, host: str | None) -> tuple[str, str]:
    """Return by what a certificate is recognised, or why it is not."""
    certificate = presented.certificate
    if certificate.fingerprint in security.pins:
        return BY_PIN, ""
    names = security.names
    if not names and not security.is_own_ca and not security.pins and host is not None:
        names = frozenset({name_of_host(host)})
    if security.ca is None or not (names or security.is_own_ca):
        own = ", which it has signed itself," if certificate.is_self_signed else ""
        return "", f"its certificate{own} is none of its entry"
    try:
        chain = authorities_of(security.ca).chain_of(presented.chain)
    except ValueError as error:
        return "", f"its certificate is none of its entry, and of no CA: {error}"
    if names and not names & certificate.names:
        return "", f"its certificate is in other names than {', '.join(sorted(names))}"
    if purpose not in certificate.purposes:
        return "", f"its certificate is not for a TLS {purpose}"
    if security.crl is not None:
        revocations = revocations_of(security.crl)
        authorities = authorities_of(security.ca).certificates
        if any(revocations.revokes(each, (*chain, *authorities)) for each in chain[1:]):
            return "", "the certificate of a CA of its certificate is revoked"
    return BY_CA, ""
