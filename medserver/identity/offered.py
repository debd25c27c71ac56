"""The user that is named to a remote AE (PS3.7 D.3.3.7), from the files of its entry."""

from __future__ import annotations

from medserver.config import Identification
from medserver.errors import ConfigError
from medserver.identity.user_identity import UserIdentity, UserIdentityType
from medserver.secret_files import read_secret


def offered_identity(identification: Identification, *, is_confidential: bool) -> UserIdentity | None:
    """Return what is told of the user; None if none is named. A positive response is asked for.

    Parameters
    ----------
    is_confidential : bool
        Whether nobody between can read it: over TLS.

    Raises
    ------
    ConfigError
        The file with the secret cannot be used, or it would go out in the clear.
    """
    file = identification.token_file or identification.passcode_file
    if file is not None and not is_confidential:
        raise ConfigError(f"what is in {file} is sent over TLS alone: set tls = required in the entry")
    if identification.token_file is not None:
        token = read_secret(identification.token_file, "token")
        return UserIdentity(UserIdentityType.JSON_WEB_TOKEN, True, token)
    if identification.user is None:
        return None
    name = identification.user.encode()
    if identification.passcode_file is None:
        return UserIdentity(UserIdentityType.USERNAME, True, name)
    passcode = read_secret(identification.passcode_file, "passcode")
    return UserIdentity(UserIdentityType.USERNAME_AND_PASSCODE, True, name, passcode)
