"""Log lines: one line an event, ``time LEVEL association event key=value ...``, on standard error.

Text that a peer sent is never written as it came: `escaped` makes it harmless, `Event` does so by itself. As
the last line of defence the formatter escapes what a message still holds, so that no peer writes a line.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TextIO

TEXT_LENGTH_MAX = 64
WHOLE_LENGTH_MAX = 1024
MESSAGE_LENGTH_MAX = 4096
NO_ASSOCIATION = "-"

_ELLIPSIS = "..."

# Libraries that say at INFO and below, or in warnings, what they read: that is patient data.
_TALKATIVE_LOGGERS = {
    "pynetdicom": logging.CRITICAL,  # lines for each request that is malformed: anybody can send them at full speed
    "peewee": logging.WARNING,
    "huey": logging.WARNING,
    "pydicom": logging.ERROR,
    "py.warnings": logging.ERROR,
}

_association_id: ContextVar[str] = ContextVar("association_id", default=NO_ASSOCIATION)


def escaped(text: str | bytes | None, length_max: int = TEXT_LENGTH_MAX) -> str:
    r"""Return text of a peer so that it can do no harm in a log, a terminal or a table.

    Control characters (line ends, ANSI sequences), Unicode format characters (bidirectional overrides),
    backslashes and double quotes become ``\n``, ``\x1b``, ``\u202e``, ``\\``, ``\"``.

    Parameters
    ----------
    text : str, bytes or None
        The text. Bytes are taken as Latin-1, None as empty.
    length_max : int
        The greatest length of what is returned [characters]; ``...`` at its end shows that text is missing.
    """
    if text is None:
        return ""
    if isinstance(text, bytes):
        text = text[: length_max + 1].decode("latin-1")
    pieces: list[str] = []
    length = 0
    for character in text[: length_max + 1]:
        piece = _escaped_character(character)
        length += len(piece)
        pieces.append(piece)
        if length > length_max:
            return _shortened(pieces, length_max)
    return "".join(pieces)


def _escaped_character(character: str) -> str:
    if character in '\\"':
        return f"\\{character}"
    if character.isprintable():  # not so: controls, format characters, line ends, spaces other than U+0020
        return character
    return character.encode("unicode_escape").decode("ascii")


def _shortened(pieces: list[str], length_max: int) -> str:
    """Join as many pieces as leave room for the ellipsis; no piece is cut in two."""
    if length_max <= len(_ELLIPSIS):
        return _ELLIPSIS[:length_max]
    room = length_max - len(_ELLIPSIS)
    while sum(map(len, pieces)) > room:
        pieces.pop()
    return "".join(pieces) + _ELLIPSIS


def quoted(text: str | bytes | None, length_max: int = TEXT_LENGTH_MAX) -> str:
    """Return `escaped` text, in double quotes unless it is plainly one word."""
    harmless = escaped(text, length_max)
    return harmless if harmless and not any(sign in harmless for sign in ' ="') else f'"{harmless}"'


class Whole(str):
    """A text of our own, as a field of an `Event`: cut to `WHOLE_LENGTH_MAX`, not as early as what a peer sent."""

    __slots__ = ()


class Event:
    """What happened, with its particulars, as a message: ``logger.info(Event("stored", size_bytes=9))``.

    Parameters
    ----------
    name : str
        What happened, in our own words.
    **fields
        Particulars. Texts are escaped and cut to `TEXT_LENGTH_MAX`, a `Whole` later; numbers are written as
        they are, None is left out.
    """

    __slots__ = ("fields", "name")

    def __init__(self, name: str, **fields: object) -> None:
        self.name = name
        self.fields = fields

    def __str__(self) -> str:
        """Return ``name key=value ...``."""
        pairs = [f"{key}={_field(value)}" for key, value in self.fields.items() if value is not None]
        return " ".join([self.name, *pairs])


def _field(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Whole):
        return quoted(value, WHOLE_LENGTH_MAX)
    return quoted(value if isinstance(value, bytes) else str(value))


@contextlib.contextmanager
def in_association(association_id: str) -> Iterator[None]:
    """Name the association that all lines logged inside belong to; a thread starts without one."""
    token = _association_id.set(association_id)
    try:
        yield
    finally:
        _association_id.reset(token)


def association_id() -> str:
    """Return the association that lines logged now belong to, ``-`` if none."""
    return _association_id.get()


class EventHandler(logging.StreamHandler):
    """Writes lines to a stream; when nobody can read it any more, the node goes on without a log."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is that of the library
        """Write to nowhere from now on, if the terminal was closed or the reader of the pipe has ended.

        What could not be written stays in the buffer of the stream: it would fail again at the end of the process, and
        make the exit code of one that was stopped properly 120.
        """
        error = sys.exception()
        if not isinstance(error, OSError) or error.errno not in (errno.EIO, errno.EPIPE):
            super().handleError(record)
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


class EventFormatter(logging.Formatter):
    """Writes a record as one line; a traceback follows in lines that cannot pass for events."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        message = without_controls(record.getMessage())
        line = f"{moment}.{int(record.msecs):03d}Z {record.levelname} {association_id()} {message}"
        if not record.exc_info:
            return line
        traceback = self.formatException(record.exc_info).splitlines()
        return "\n".join([line, *(f"    | {without_controls(text)}" for text in traceback)])


def without_controls(text: str) -> str:
    """Escape what is harmful, but keep quotes and backslashes: these may be ours."""
    if len(text) > MESSAGE_LENGTH_MAX:
        text = text[:MESSAGE_LENGTH_MAX] + _ELLIPSIS
    if text.isprintable():
        return text
    return "".join(one if one in '\\"' else _escaped_character(one) for one in text)


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Send the log of this process to a stream.

    Parameters
    ----------
    level : str
        ``debug``, ``info``, ``warning`` or ``error``.
    stream : text file, optional
        Default: standard error.
    """
    handler = EventHandler(stream or sys.stderr)
    handler.setFormatter(EventFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    for name, least in _TALKATIVE_LOGGERS.items():
        logging.getLogger(name).setLevel(least)
