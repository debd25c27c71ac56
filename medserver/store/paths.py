"""The paths of objects: the only place where one is built or judged.

A path is ``YYYY/MM/DD/HHMM/<sha256>[-n].dcm``: the minute (UTC) in which the object was sealed, and the
digest of its data set. Nothing that a peer sent as text is ever part of it. Sorted paths are in the order of
receipt, to the minute.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DIRECTORY = r"\d{4}/(?:0[1-9]|1[0-2])/(?:0[1-9]|[12]\d|3[01])/(?:[01]\d|2[0-3])[0-5]\d"
_FILE = r"[0-9a-f]{64}(?:-[1-9]\d{0,18})?\.dcm"
_PATH = re.compile(f"({_DIRECTORY})/({_FILE})", re.ASCII)
_SUFFIX = re.compile(r"-(\d+)\.dcm$", re.ASCII)

# The depth of an object below the root of its volume, and what the names on the way down look like: a walk
# enters nothing else, so that a lost+found or a snapshot directory does not disturb it.
COMPONENTS = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (r"\d{4}", r"0[1-9]|1[0-2]", r"0[1-9]|[12]\d|3[01]", r"(?:[01]\d|2[0-3])[0-5]\d", _FILE)
)


TEMPORARY = "incoming"
"""Where a bucket holds objects that are not placed yet."""


def temporary_name(word: str) -> str:
    """Return the name of an object of a bucket that is not placed yet; `word` is a random one."""
    return f"{TEMPORARY}/{word}.part"


def minute_directory(sealed_at: datetime) -> str:
    """Return the directory of what is sealed at this time.

    Parameters
    ----------
    sealed_at : datetime
        Aware; brought to UTC here.

    Raises
    ------
    ValueError
        The time has no zone.
    """
    if sealed_at.tzinfo is None:
        raise ValueError("a path is made from a time with a zone")
    utc = sealed_at.astimezone(UTC)
    return f"{utc.year:04}/{utc.month:02}/{utc.day:02}/{utc.hour:02}{utc.minute:02}"


def file_name(digest: str, suffix: int = 0) -> str:
    """Return the name of the file for a data set.

    Parameters
    ----------
    digest : str
        SHA-256 of the data set, 64 hexadecimal digits in lower case.
    suffix : int
        0, or the number that keeps apart objects with the same data set and minute, also those that were removed.
    """
    name = f"{digest}-{suffix}.dcm" if suffix else f"{digest}.dcm"
    if COMPONENTS[-1].fullmatch(name) is None:
        raise ValueError("an object is named after 64 hexadecimal digits and a small number")
    return name


def is_object_path(path: str) -> bool:
    """Tell whether the text is exactly a path as this module builds it."""
    return _PATH.fullmatch(path) is not None


def checked(path: str) -> str:
    """Return the path if it is one that this module builds.

    Raises
    ------
    ValueError
        It is not: absolute, leading elsewhere, or of another shape.
    """
    if not is_object_path(path):
        raise ValueError(f"not the path of an object: {path!r:.120}")
    return path


def directory_of(path: str) -> str:
    """Return the minute directory of an object."""
    return checked(path).rpartition("/")[0]


def beside(path: str, digest: str) -> str:
    """Return the path of another data set in the minute directory of an object, always the same one.

    Its number is made from that of the object, which no other file ever has: of what is deleted, received again within
    a minute and made again, neither a tombstone nor a job that removes must mean the new file.
    """
    number = _SUFFIX.search(checked(path))
    return f"{directory_of(path)}/{file_name(digest, (int(number[1]) if number else 0) + 1)}"


def digest_of(path: str) -> str:
    """Return the SHA-256 of the data set of an object, as its name tells."""
    return checked(path).rpartition("/")[2][:64]


def sealed_minute(path: str) -> datetime:
    """Return the minute in which an object was sealed (UTC)."""
    digits = directory_of(path).replace("/", "")
    return datetime.strptime(digits, "%Y%m%d%H%M").replace(tzinfo=UTC)
