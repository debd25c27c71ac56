"""Who sends an HTTP request, by its header field Authorization (RFC 7617, RFC 6750)."""

from __future__ import annotations

import base64
import binascii

from medserver.accounts.authentication import verify_passcode
from medserver.accounts.managing import TOKEN_PREFIX, digest_of
from medserver.config import Config
from medserver.errors import IdentityRefused
from medserver.identity.principal import User
from medserver.identity.web_tokens import user_of_token
from medserver.index import Index
from medserver.index.accounts.records import TOKEN

HEADER_LENGTH_MAX = 20_000


def user_of(index: Index, config: Config, authorization: str | None, *, is_confidential: bool) -> User:
    """Return the user, or the machine, that a request is of.

    Parameters
    ----------
    authorization : str or None
        The header field.
    is_confidential : bool
        Whether nobody between can read it: over TLS, or within this machine.

    Raises
    ------
    IdentityRefused
        There is none, it came in the clear, or it proves nothing.
    """
    if authorization is None:
        raise IdentityRefused("a token or a user with a passcode is needed")
    if not is_confidential:
        raise IdentityRefused("a token or passcode came in the clear: it has to come over TLS, and is to be changed")
    scheme, _, rest = authorization[:HEADER_LENGTH_MAX].partition(" ")
    secret = rest.strip()
    if scheme.lower() == "bearer":
        return _by_token(index, config, secret)
    if scheme.lower() != "basic":
        raise IdentityRefused("the scheme of Authorization is neither Bearer nor Basic")
    try:
        name, colon, passcode = base64.b64decode(secret, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise IdentityRefused("the credentials are not Base64 of UTF-8") from None
    if not colon:
        raise IdentityRefused("the credentials have no colon")
    if passcode.startswith(TOKEN_PREFIX):
        return _by_token(index, config, passcode)
    return verify_passcode(index, name, passcode.encode())


def _by_token(index: Index, config: Config, token: str) -> User:
    if not token.startswith(TOKEN_PREFIX):
        return user_of_token(token.encode(), config.issuers)
    account = index.accounts.with_secret(TOKEN, digest_of(token))
    if account is None or not account.is_usable(index.clock()):
        raise IdentityRefused("the token is not known, or has expired")
    return User(account.name, account.roles)
