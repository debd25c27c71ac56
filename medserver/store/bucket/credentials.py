"""The keys to a bucket: from a file, from the environment, or from ``~/.aws/credentials``. They are never logged."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medserver.errors import ConfigError, StoreFailure
from medserver.secret_files import check_private

_DEFAULT_FILE = Path("~/.aws/credentials")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs the requests. The representation shows nothing of it."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def find_credentials(file: Path | None, environ: Mapping[str, str] = os.environ) -> Credentials:
    """Return the keys to a bucket.

    Parameters
    ----------
    file : Path or None
        A file in the form of ``~/.aws/credentials``; its section ``default`` or only section is read. None: the
        environment is looked at, then ``~/.aws/credentials``.
    environ : Mapping of str to str
        The environment.

    Raises
    ------
    StoreFailure
        There are none.
    """
    if file is not None:
        return _read(file)
    if environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        return _credentials({name.lower(): text for name, text in environ.items()}, "the environment")
    default = Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or _DEFAULT_FILE).expanduser()
    if default.exists():
        return _read(default)
    raise StoreFailure("no credentials: no file is named, AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set")


def _read(file: Path) -> Credentials:
    try:
        check_private(file, "keys to the bucket")
    except ConfigError as error:
        raise StoreFailure(str(error)) from None
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        # What is in the file is not repeated.
        raise StoreFailure(f"the credentials file {file} cannot be read: {type(error).__name__}") from None
    sections = parser.sections()
    if "default" not in sections and len(sections) != 1:
        raise StoreFailure(f"the credentials file {file} has no section [default]")
    return _credentials(parser["default" if "default" in sections else sections[0]], str(file))


def _credentials(values: Mapping[str, str], origin: str) -> Credentials:
    try:
        return Credentials(
            values["aws_access_key_id"], values["aws_secret_access_key"], values.get("aws_session_token")
        )
    except KeyError as error:
        raise StoreFailure(f"{origin} does not have {error.args[0]}") from None
