"""config.ini on disk, as it is now."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import stat
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from medserver.config.reader import Reading, read_config
from medserver.config.records import Config
from medserver.config.resolver import HostResolver
from medserver.config.settings import Setting
from medserver.errors import ConfigError

logger = logging.getLogger(__name__)

_Signature = tuple[int, int, int]

_TAKEN_OVER = ("remotes", "routes", "processings", "types", "printers", "polls", "retentions", "issuers", "tls")
"""What changes without a restart."""


class ConfigFile:
    """The configuration of a running node; may be used from any thread.

    Subscribers (``[ae NAME]``) are taken over from a changed file at once. Everything else keeps the value
    that it had at the start, as sockets, databases and volumes do.

    Parameters
    ----------
    path : Path
        The file.
    overrides : iterable of str
        Texts of the form ``section.option=value``, which go before what the file says.
    environ : mapping of str to str
        Environment variables, which go before what the file says.
    look_every_s : float
        How long `current` may go without a look at the file.

    Raises
    ------
    ConfigError
        If the file cannot be read or has mistakes.
    """

    def __init__(
        self,
        path: Path | str,
        overrides: Iterable[str] = (),
        environ: Mapping[str, str] | None = None,
        *,
        look_every_s: float = 0.0,
    ) -> None:
        self.path = Path(path).absolute()
        self._overrides = tuple(overrides)
        self._environ = dict(environ or {})
        self._resolver = HostResolver()
        self._lock = threading.Lock()
        self._look_every_s = look_every_s
        self._look_at = 0.0
        self._signature = self._stat()
        self._reading = self._read()

    @property
    def current(self) -> Config:
        """The configuration as of now; a file that has become wrong changes nothing and is logged once."""
        now = time.monotonic()
        if now < self._look_at:
            return self._reading.config
        if self._stat() != self._signature:
            with self._lock:  # whoever looks meanwhile waits for what is being read
                signature = self._stat()
                if signature != self._signature:
                    try:
                        self._take_over()
                    finally:
                        self._signature = signature
        self._look_at = now + self._look_every_s
        return self._reading.config

    def read_again(self) -> None:
        """Have the file read when `current` is looked at the next time, whether it has changed or not."""
        self._signature = None
        self._look_at = 0.0

    @property
    def data(self) -> Path:
        """The directory where relative paths start."""
        return self._reading.config.node.data

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Every option with its text and origin, as last read."""
        return self._reading.settings

    @property
    def digest(self) -> str:
        """The SHA-256 of the file as last read, in hexadecimal, whether it was taken over or has mistakes."""
        return self._digest

    def _stat(self) -> _Signature | None:
        """Return what changes when the file does; None if it is not there (an editor may be replacing it).

        A pipe is read once, as a shell gives it: to read it again would wait for a writer for ever.
        """
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return None if stat.S_ISFIFO(found.st_mode) else (found.st_mtime_ns, found.st_size, found.st_ino)

    def _read(self) -> Reading:
        text = read_text(self.path)
        self._digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
        return read_config(
            text,
            base=self.path.parent,
            file_name=self.path.name,
            environ=self._environ,
            overrides=self._overrides,
            resolver=self._resolver,
        )

    def _take_over(self) -> None:
        """Read the changed file."""
        try:
            reading = self._read()
        except ConfigError as error:
            for problem in error.problems:
                logger.error("configuration not taken over: %s", problem)
            return
        before, after = self._reading.config, reading.config
        taken_over = {name: getattr(after, name) for name in _TAKEN_OVER}
        if dataclasses.replace(before, **taken_over) != after:
            logger.warning(
                "%s: what is not in [ae], [tls], [route], [processing], [printer], [poll] or [retention] changes at "
                "the next start",
                self.path.name,
            )
        self._reading = Reading(dataclasses.replace(before, **taken_over), reading.settings)
        logger.info("configuration read again: %d AEs", len(after.remotes))


def read_text(path: Path) -> str:
    """Return the text of a configuration file.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8") from None
