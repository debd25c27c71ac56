"""When the certificates and CRLs of the configuration expire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from medserver.config import Config
from medserver.errors import ConfigError
from medserver.tls.certificate import certificate_of
from medserver.tls.files import read_file
from medserver.tls.trust import authorities_of, revocations_of


@dataclass(frozen=True)
class Expiry:
    """When something expires.

    Attributes
    ----------
    what : str
        ``certificate``, ``CA`` or ``CRL``, and whose.
    path : Path
        The file.
    expires_at : datetime or None
        When, aware, in UTC; None where it never does, or cannot be read.
    problem : str
        Why it cannot be read; empty if it can.
    """

    what: str
    path: Path
    expires_at: datetime | None = None
    problem: str = ""

    def is_due(self, now: datetime, within_s: float) -> bool:
        """Tell whether it expires within a time [s], has expired, or cannot be read."""
        return bool(self.problem) or (
            self.expires_at is not None and self.expires_at <= now + timedelta(seconds=within_s)
        )

    def in_words(self, now: datetime) -> str:
        """Return what becomes of it when."""
        if self.problem:
            return self.problem
        if self.expires_at is None:
            return "never expires"
        word = "expired on" if self.expires_at <= now else "expires on"
        return f"{word} {self.expires_at:%Y-%m-%d %H:%M} UTC"


def expiries(config: Config) -> list[Expiry]:
    """Return when each certificate, CA and CRL expires that the configuration names, each file once."""
    found: dict[tuple[str, Path], Expiry] = {}
    for what, path in _files(config):
        for one in _expiries_of(what, path):
            found.setdefault((one.what, path), one)
    return list(found.values())


def _files(config: Config) -> Iterator[tuple[str, Path]]:
    """Yield every file with something that expires."""
    securities = [(f"[ae {remote.name}]", remote.security) for remote in config.remotes]
    own = [("[tls]", config.tls.certificate), ("[web]", config.web.certificate), ("[audit]", config.audit.certificate)]
    own += [(name, one.certificate) for name, one in securities if one.certificate != config.tls.certificate]
    yield from ((f"certificate of {name}", path) for name, path in own if path is not None)
    cas = [("[tls]", config.tls.ca), ("[audit]", config.audit.ca)]
    cas += [(name, one.ca) for name, one in securities if one.is_own_ca]
    yield from ((f"CA of {name}", path) for name, path in cas if path is not None)
    if config.tls.crl is not None:
        yield "CRL of [tls]", config.tls.crl


def _expiries_of(what: str, path: Path) -> Iterator[Expiry]:
    from cryptography import x509

    try:
        if what.startswith("CRL"):
            for one in revocations_of(path).lists:
                yield Expiry(f"{what}, of {one.issuer.rfc4514_string()}", path, one.next_update_utc)
        elif what.startswith("CA"):
            for certificate in authorities_of(path).certificates:
                shown = certificate_of(certificate)
                yield Expiry(f"{what}, {shown.subject}", path, shown.not_after)
        else:
            chain = x509.load_pem_x509_certificates(read_file(path))
            yield Expiry(what, path, min(certificate_of(each).not_after for each in chain))
    except (ConfigError, ValueError) as error:
        yield Expiry(what, path, problem=str(error))


def uses_tls(config: Config) -> bool:
    """Tell whether there is anything that could expire; what reads it takes a while to load."""
    return any(True for _ in _files(config)) or any(remote.security.is_accepted for remote in config.remotes)
