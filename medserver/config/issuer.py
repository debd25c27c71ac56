"""Who else vouches for users, as config.ini has it: the issuer of JSON Web Tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medserver.config.values import ValueType, split_list

ROLES = ("admin", "operator", "reader", "auditor")
"""What a user can be, see `medserver.identity.rights`."""

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with a public key alone (RFC 7518 3.1, RFC 8037): whoever checks a token cannot make one."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """One ``[issuer NAME]``.

    Parameters
    ----------
    name : str
        Name of the entry.
    issuer : str
        The claim ``iss`` of its tokens.
    audience : str
        What the claim ``aud`` must contain.
    algorithms : tuple of str
        Of `ALGORITHMS`.
    keys : tuple of Path
        Files with a public key each, in PEM.
    subject_claim : str
        The claim that names the user.
    roles_claim : str
        The claim with the roles; what is there and is no role is passed over. Empty: `roles` alone.
    roles : tuple of str
        The roles that all of its users have.
    leeway_s : int
        How far the clocks may be apart.
    """

    name: str
    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    keys: tuple[Path, ...]
    subject_claim: str
    roles_claim: str
    roles: tuple[str, ...]
    leeway_s: int


def issuer_of(name: str, values: Mapping[str, Any], data: Path) -> Issuer:
    """Return an issuer from the values of its section; relative paths start at the data folder."""
    return Issuer(name, **{**values, "keys": tuple(data / path for path in values["keys"])})


def parse_paths(text: str) -> tuple[Path, ...]:
    """Read paths, with commas or line ends between them.

    Raises
    ------
    ValueError
        There is none.
    """
    paths = tuple(Path(part.strip()) for part in re.split(r"[,\n]", text) if part.strip())
    if not paths:
        raise ValueError("at least one path is needed")
    return paths


def parse_algorithms(text: str) -> tuple[str, ...]:
    """Read names of `ALGORITHMS`.

    Raises
    ------
    ValueError
        One is none of them, or there is none.
    """
    names = tuple(split_list(text))
    unknown = [name for name in names if name not in ALGORITHMS]
    if unknown or not names:
        raise ValueError(f"'{''.join(unknown[:1])}' is not one of {', '.join(ALGORITHMS)}")
    return names


SIGNATURES = ValueType("algorithms", parse_algorithms)
PATHS = ValueType("paths", parse_paths)
