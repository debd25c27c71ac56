"""JSON Web Tokens (RFC 7519): checked against the issuers of the configuration, and against nothing that they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medserver.config import ROLES, Issuer
from medserver.errors import ConfigError, IdentityRefused
from medserver.identity.names import checked_name
from medserver.identity.principal import User

TOKEN_BYTES_MAX = 16_384

_REQUIRED = ("iss", "aud", "exp")


def user_of_token(token: bytes, issuers: Sequence[Issuer]) -> User:
    """Return the user that a token names.

    Algorithms, issuer, audience and keys are those of the configuration: what the header of the token says of its own
    keys (``jwk``, ``jku``, ``x5u``, ``kid``) is not looked at (RFC 8725 3.1, 3.10).

    Raises
    ------
    IdentityRefused
        No issuer of the configuration has made it for this node, it has expired, or it names nobody.
    ConfigError
        There is no library for it.
    """
    try:
        import jwt
    except ImportError as error:
        raise ConfigError(f"JSON Web Tokens need PyJWT: install medserver[identity] ({error})") from None
    if len(token) > TOKEN_BYTES_MAX:
        raise IdentityRefused("the token is too long")
    if not issuers:
        raise IdentityRefused("a token, and no [issuer NAME] is configured")
    reason = "the token is of none of the configured issuers"
    for issuer in issuers:
        for path in issuer.keys:
            try:
                claims = jwt.decode(
                    token,
                    path.read_bytes(),
                    algorithms=list(issuer.algorithms),
                    audience=issuer.audience,
                    issuer=issuer.issuer,
                    leeway=issuer.leeway_s,
                    options={"require": list(_REQUIRED)},
                )
            except OSError as error:
                reason = f"[issuer {issuer.name}] keys: {path}: {error.strerror}"
            except (jwt.InvalidSignatureError, jwt.InvalidKeyError, jwt.InvalidIssuerError):
                continue  # of another key, or of another issuer
            except (jwt.PyJWTError, ValueError, TypeError) as error:
                reason = f"[issuer {issuer.name}]: {error}"
            else:
                return _user(claims, issuer)
    raise IdentityRefused(reason)


def _user(claims: Mapping[str, Any], issuer: Issuer) -> User:
    subject = claims.get(issuer.subject_claim)
    if not isinstance(subject, str):
        raise IdentityRefused(f"[issuer {issuer.name}]: the claim {issuer.subject_claim} names no user")
    subject = checked_name(subject)
    named = claims.get(issuer.roles_claim, []) if issuer.roles_claim else []
    told = named.split() if isinstance(named, str) else named if isinstance(named, list) else []
    held = {*issuer.roles, *(role for role in told if isinstance(role, str))}
    return User(f"{subject}@{issuer.name}", tuple(role for role in ROLES if role in held))
