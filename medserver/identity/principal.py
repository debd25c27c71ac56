"""The one record of who asks: it reaches every handler, and what it permits is decided nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from medserver.config import Remote
from medserver.identity.rights import rights_of
from medserver.tls.certificate import Certificate


@dataclass(frozen=True, slots=True)
class User:
    """A user whose identity was verified.

    Parameters
    ----------
    name : str
        The name of the account; ``SUBJECT@ISSUER`` of one whom an ``[issuer ISSUER]`` entry vouches for.
    roles : tuple of str
        The roles that it has.
    """

    name: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Parameters
    ----------
    remote : Remote or None
        The ``[ae NAME]`` entry; None for who comes by HTTP.
    address : str
        Where the connection comes from.
    rights : frozenset of str
        What it may do, see `medserver.identity.rights`.
    user : User or None
        The user of the association; None if it named none.
    certificate : Certificate or None
        What has proved over TLS that it is the AE of the entry; None in the clear.
    """

    remote: Remote | None
    address: str
    rights: frozenset[str]
    user: User | None = None
    certificate: Certificate | None = None

    def permits(self, right: str) -> bool:
        """Tell whether it may do what a right stands for."""
        return right in self.rights


def principal_of_user(user: User, address: str) -> Principal:
    """Return who comes by HTTP: a user or a machine, which may do what one of its roles includes."""
    return Principal(None, address, rights_of(user.roles), user)


def principal_of(
    remote: Remote, address: str, user: User | None = None, certificate: Certificate | None = None
) -> Principal:
    """Return who asks, with what its entry allows; of that a user may do what one of the user's roles includes too."""
    rights = remote.allow if user is None else remote.allow & rights_of(user.roles)
    return Principal(remote, address, rights, user, certificate)
