"""TLS as config.ini knows it: that of the node, and that with one remote AE."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

NOT_SECURE, ACCEPTED, REQUIRED = "no", "accepted", "required"
LEVELS = (NOT_SECURE, ACCEPTED, REQUIRED)

PIN_PREFIX = "sha256:"
COMMON_NAME, HOST_NAME = "cn:", "dns:"

_PIN = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"(?:cn:[^,;\s]{1,64}|dns:[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?)")


@dataclass(frozen=True, slots=True)
class TLSOptions:
    """``[tls]``. Paths are absolute; `expiry_warning` is in seconds."""

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    crl: Path | None = None
    expiry_warning: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Security:
    """What proves that somebody is the remote AE of an ``[ae NAME]`` entry, and what we show him.

    Parameters
    ----------
    level : str
        Whether it calls over TLS: one of `LEVELS`. Where TLS is required it is also called so.
    pins : frozenset of str
        SHA-256 of the SubjectPublicKeyInfo of its certificates, ``sha256:`` and 64 hexadecimal digits.
    names : frozenset of str
        Names in a certificate that `ca` has signed, ``cn:NAME`` or ``dns:NAME``.
    ca : Path or None
        The certificates of who may sign its certificates.
    is_own_ca : bool
        Whether `ca` is of the entry: whom it signs for is this AE, if no `names` say more.
    crl : Path or None
        Which certificates are revoked.
    certificate, key : Path or None
        Ours, when we call it.
    """

    level: str = NOT_SECURE
    pins: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    ca: Path | None = None
    is_own_ca: bool = False
    crl: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def is_required(self) -> bool:
        """Whether every connection with it is over TLS."""
        return self.level == REQUIRED

    @property
    def is_accepted(self) -> bool:
        """Whether it may call over TLS."""
        return self.level != NOT_SECURE


def parse_certificates(text: str) -> tuple[str, ...]:
    """Read by what certificates are recognised: ``sha256:...``, ``cn:NAME`` or ``dns:NAME``, each once, in order.

    Raises
    ------
    ValueError
        One of them is something else.
    """
    words = []
    for word in filter(None, re.split(r"[,\s]+", text)):
        kind, colon, value = word.partition(":")
        kind = f"{kind.lower()}{colon}"
        if kind == PIN_PREFIX:
            value = value.replace(":", "").lower()
        elif kind == HOST_NAME:
            value = value.lower()
        if _PIN.fullmatch(kind + value) is None and _NAME.fullmatch(kind + value) is None:
            raise ValueError(f"'{word}' is not sha256: and 64 hexadecimal digits, nor cn:NAME or dns:NAME")
        words.append(kind + value)
    return tuple(dict.fromkeys(words))
