"""The instances in files, folders, DICOMDIRs and zip archives that somebody wants sent.

Here: the walk, and what is found. `recognition` tells whether bytes are an instance, `media` follows a DICOMDIR and
`zip_archive` opens an archive.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from medserver.dicom.uids import MEDIA_STORAGE_DIRECTORY, is_valid_uid
from medserver.errors import CannotUnderstand, NotPart10, StoreFailure
from medserver.scu.media import referenced_files
from medserver.scu.recognition import HEAD_SIZE_BYTES, Recognised, recognise
from medserver.scu.storage import Outgoing
from medserver.scu.zip_archive import MEMBER_SIZE_MAX_BYTES, ZIP_PREFIXES, ZipArchive

DICOMDIR = "a DICOMDIR"


@dataclass(frozen=True, slots=True)
class Finding:
    """One file that was looked at.

    Parameters
    ----------
    name : str
        Its path; of a member of an archive, ``archive.zip:member``. May hold any characters.
    outgoing : Outgoing or None
        The instance. Its UIDs may be such that it can be read and not sent, which `problem` says.
    skipped : str
        Why there is nothing to send: it is not an instance. Empty if it is.
    problem : str
        Why it should be sent and cannot. Empty if it can.
    """

    name: str
    outgoing: Outgoing | None = None
    skipped: str = ""
    problem: str = ""

    @property
    def sendable(self) -> bool:
        """Whether there is an instance, and nothing that keeps it from being sent."""
        return self.outgoing is not None and not self.problem


def find_instances(
    paths: Iterable[Path], archives: ExitStack, *, member_size_max_bytes: int = MEMBER_SIZE_MAX_BYTES
) -> Iterator[Finding]:
    """Look at files one after the other, in the order of their names within a folder.

    A DICOMDIR and a zip archive are followed if they are named in `paths`, and passed over within a folder. Symbolic
    links to folders are not followed.

    Parameters
    ----------
    paths : iterable of Path
        Files and folders.
    archives : ExitStack
        Keeps zip archives open until the instances have been sent.
    member_size_max_bytes : int
        The longest member of an archive that is sent.
    """
    for path in paths:
        if path.is_dir():
            yield from _walk(path)
            continue
        try:
            head = _head(path)
        except OSError as error:
            yield Finding(str(path), problem=error.strerror or str(error))
            continue
        if head.startswith(ZIP_PREFIXES):
            yield from _in_archive(path, archives, member_size_max_bytes)
        elif _is_dicomdir(head):
            yield from _in_media(path)
        else:
            yield _look_at(path)


def _walk(folder: Path) -> Iterator[Finding]:
    """Look at every file below a folder; each level is read before it is gone into, so depth costs no recursion."""
    pending = [folder]
    while pending:
        path = pending.pop()
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield Finding(str(path), problem=error.strerror or str(error))
            continue
        pending += [Path(entry) for entry in reversed(found) if entry.is_dir(follow_symlinks=False)]
        for entry in found:
            if not entry.is_dir():
                yield _look_at(Path(entry))


def _look_at(path: Path) -> Finding:
    """Say what one file is."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return Finding(str(path), skipped="not a regular file")
        size_bytes = path.stat().st_size
        recognised = recognise(_head(path))
    except OSError as error:
        return Finding(str(path), problem=error.strerror or str(error))
    except NotPart10 as error:
        return Finding(str(path), skipped=str(error))
    offset = recognised.data_set_offset
    return _finding(str(path), recognised, size_bytes, lambda: _opened(path, offset))


def _finding(name: str, recognised: Recognised, size_bytes: int, open_data_set) -> Finding:
    if recognised.sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        return Finding(name, skipped=DICOMDIR)
    if not is_valid_uid(recognised.transfer_syntax_uid):
        return Finding(name, problem=recognised.problem)
    if size_bytes <= recognised.data_set_offset:
        return Finding(name, problem="there is no data set behind the file meta information")
    outgoing = Outgoing(
        recognised.sop_class_uid,
        recognised.sop_instance_uid,
        recognised.transfer_syntax_uid,
        size_bytes - recognised.data_set_offset,
        open_data_set,
    )
    return Finding(name, outgoing, problem=recognised.problem)


def _head(path: Path) -> bytes:
    if not stat.S_ISREG(path.stat().st_mode):
        return b""
    with path.open("rb", buffering=0) as file:
        return file.read(HEAD_SIZE_BYTES)


@contextmanager
def _opened(path: Path, offset: int) -> Iterator[BinaryIO]:
    """Open a file at its data set."""
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise StoreFailure(f"cannot be opened any more: {error.strerror}") from None
    with file:
        file.seek(offset)
        yield file


def _is_dicomdir(head: bytes) -> bool:
    try:
        return recognise(head).sop_class_uid == MEDIA_STORAGE_DIRECTORY
    except NotPart10:
        return False


def _in_media(path: Path) -> Iterator[Finding]:
    """Look at the files that a DICOMDIR refers to."""
    try:
        for name, referenced in referenced_files(path):
            if referenced is None:
                yield Finding(
                    f"{path}: {name}", problem="the DICOMDIR refers to a file that is not in its folder"
                )
            else:
                yield _look_at(referenced)
    except (NotPart10, CannotUnderstand) as error:
        yield Finding(str(path), problem=str(error))
    except OSError as error:
        yield Finding(str(path), problem=error.strerror or str(error))


def _in_archive(path: Path, archives: ExitStack, member_size_max_bytes: int) -> Iterator[Finding]:
    """Look at the members of a zip archive."""
    try:
        archive = archives.enter_context(ZipArchive(path, member_size_max_bytes))
    except StoreFailure as error:
        yield Finding(str(path), problem=str(error))
        return
    for member in archive.members():
        name = f"{path}:{member.name}"
        try:
            recognised = recognise(member.head(HEAD_SIZE_BYTES))
            if recognised.sop_class_uid != MEDIA_STORAGE_DIRECTORY:
                member.check()
        except NotPart10 as error:
            yield Finding(name, skipped=str(error))
        except StoreFailure as error:
            yield Finding(name, problem=str(error))
        else:
            yield _finding(name, recognised, member.size_bytes, member.opener(recognised.data_set_offset))
