"""Whether somebody is who it says it is.

Nothing is remembered between associations: what was true of a user then need not be true now.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Callable, Mapping

from medserver.config import IDENTITY_NONE, IDENTITY_REQUIRED, Config, Identification
from medserver.errors import IdentityRefused
from medserver.identity.names import checked_name
from medserver.identity.passcodes import is_passcode
from medserver.identity.principal import User
from medserver.identity.user_identity import UserIdentity, UserIdentityType, decode_user_identity
from medserver.identity.web_tokens import user_of_token
from medserver.index.accounts.records import USER
from medserver.index import Index

_UNKNOWN = "the user that is named is not known here"
"""The name is not repeated: people write passcodes and tokens into the field of the name."""

_MISSING = "no user is named, and [ae] identity = required"


def authenticate(
    index: Index, config: Config, identification: Identification, encoded: bytes | None, *, is_confidential: bool
) -> tuple[User | None, bool]:
    """Return the user of an association, and whether a positive response is asked for (PS3.7 D.3.3.7).

    Parameters
    ----------
    config : Config
        The configuration by which the association is judged.
    identification : Identification
        What the entry of the requestor demands.
    encoded : bytes or None
        The value of the User Identity sub-item; None if there is none.
    is_confidential : bool
        Whether nobody between can read it: over TLS.

    Returns
    -------
    User or None
        None if none is named, or the entry is not asked for one.
    bool
        Whether the requestor is told that its user was verified.

    Raises
    ------
    IdentityRefused
        It is missing where it has to be there, or not verified.
    """
    if identification.demanded == IDENTITY_NONE:
        return None, False
    if encoded is None:
        if identification.demanded == IDENTITY_REQUIRED:
            raise IdentityRefused(_MISSING)
        return None, False
    try:
        identity = decode_user_identity(encoded)
    except (ValueError, struct.error) as error:
        raise IdentityRefused(f"the user identity cannot be read: {error}") from None
    verify = _WAYS.get(identity.type)
    if verify is None:
        raise IdentityRefused(_refusal(identity.type))
    if identity.type != UserIdentityType.USERNAME and not is_confidential:
        raise IdentityRefused("a passcode or token came in the clear: it has to come over TLS, and is to be changed")
    user = verify(index, config, identity)
    _check_listed(identification, user)
    return user, identity.wants_response


def check_still_demanded(config: Config, identification: Identification, user: User | None) -> None:
    """Check that an open association satisfies what its entry demands now, which may be more than when it was opened.

    Parameters
    ----------
    config : Config
        The configuration of this moment.
    identification : Identification
        What the entry of the requestor demands in it.
    user : User or None
        The user of the association. One who is no longer asked for stays, and is allowed no more than before.

    Raises
    ------
    IdentityRefused
        A user is missing, is not listed, or is vouched for by an issuer that is no longer configured.
    """
    if user is None:
        if identification.demanded == IDENTITY_REQUIRED:
            raise IdentityRefused(_MISSING)
        return
    if identification.demanded != IDENTITY_NONE:
        _check_listed(identification, user)
    _, at, issuer = user.name.rpartition("@")
    if at and issuer not in {each.name for each in config.issuers}:
        raise IdentityRefused(f"[issuer {issuer}] is no longer configured")


def _check_listed(identification: Identification, user: User) -> None:
    if identification.users and user.name not in identification.users:
        raise IdentityRefused(f"user {user.name} is not one of [ae] users")


def verify_passcode(index: Index, name: str, passcode: bytes) -> User:
    """Return the user whose passcode this is; the comparison takes as long for one whom nobody knows.

    Raises
    ------
    IdentityRefused
        There is none, or it is another passcode.
    """
    account = index.accounts.get(USER, checked_name(name))
    is_right = is_passcode(passcode, account.secret if account is not None else "")
    if account is None:
        raise IdentityRefused(_UNKNOWN)
    if not is_right or not account.is_usable(index.clock()):
        raise IdentityRefused(f"user {account.name} is disabled or expired, or the passcode is wrong")
    return User(account.name, account.roles)


def current_user(index: Index, user: User) -> User | None:
    """Return what a user of an association is at this moment; None if it is none any more.

    Whoever another issuer vouches for is what its token said, until the association ends.
    """
    if "@" in user.name:
        return user
    account = index.accounts.get(USER, user.name)
    return User(account.name, account.roles) if account is not None and account.is_usable(index.clock()) else None


def _by_name(index: Index, config: Config, identity: UserIdentity) -> User:
    """Believe a name alone, if it is that of a user who has no passcode."""
    name = _name(identity.primary)
    account = index.accounts.get(USER, name)
    if account is None:
        raise IdentityRefused(_UNKNOWN)
    if account.secret or not account.is_usable(index.clock()):
        raise IdentityRefused(f"user {account.name} is disabled or expired, or has a passcode that was not sent")
    return User(account.name, account.roles)


def _by_passcode(index: Index, config: Config, identity: UserIdentity) -> User:
    return verify_passcode(index, _name(identity.primary), identity.secondary)


def _by_token(index: Index, config: Config, identity: UserIdentity) -> User:
    return user_of_token(identity.primary, config.issuers)


_WAYS: Mapping[int, Callable[[Index, Config, UserIdentity], User]] = {
    UserIdentityType.USERNAME: _by_name,
    UserIdentityType.USERNAME_AND_PASSCODE: _by_passcode,
    UserIdentityType.JSON_WEB_TOKEN: _by_token,
}


def _refusal(identity_type: int) -> str:
    names = {UserIdentityType.KERBEROS: "Kerberos service tickets", UserIdentityType.SAML: "SAML assertions"}
    what = names.get(identity_type, f"user identities of type {identity_type}")
    return f"{what} are not accepted here: name a user with a passcode (2), or send a JSON Web Token (5)"


def _name(encoded: bytes) -> str:
    """Return a user name (UTF-8); some pad it as other text of the protocol is padded."""
    try:
        name = unicodedata.normalize("NFC", encoded.decode()).strip(" \0")
    except UnicodeDecodeError:
        raise IdentityRefused("the user name is not UTF-8") from None
    return checked_name(name)
