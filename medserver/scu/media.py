"""The files that a DICOMDIR refers to (PS3.3 F, PS3.10 8), and none outside of its folder."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from medserver.dicom.character_sets import decode_text
from medserver.dicom.elements import BEHIND_ALL, ScannedElements, scan_elements, split_items
from medserver.dicom.part10 import read_file_meta
from medserver.dicom.uids import transfer_syntax
from medserver.errors import CannotUnderstand, TransferSyntaxNotSupported

SIZE_MAX_BYTES = 256 * 1024 * 1024
"""The longest DICOMDIR that is read; one record has about 500 bytes."""

_DIRECTORY_RECORD_SEQUENCE = 0x00041220
_RECORD_IN_USE_FLAG, _REFERENCED_FILE_ID = 0x00041410, 0x00041500
_REFERENCED_SOP_INSTANCE_UID_IN_FILE = 0x00041511
_OF_DIRECTORY = frozenset({_DIRECTORY_RECORD_SEQUENCE, BEHIND_ALL})
_OF_RECORD = frozenset({_RECORD_IN_USE_FLAG, _REFERENCED_FILE_ID, _REFERENCED_SOP_INSTANCE_UID_IN_FILE, BEHIND_ALL})
_INACTIVE = b"\x00\x00"
_VERSION = re.compile(r";[0-9]+$")


def referenced_files(dicomdir: Path) -> Iterator[tuple[str, Path | None]]:
    """Yield each file that a DICOMDIR refers to.

    Parameters
    ----------
    dicomdir : Path
        The DICOMDIR.

    Yields
    ------
    tuple of (str, Path or None)
        The File ID as it stands there with slashes between its components, and the file; None if there is no such
        file, or if it is not below the folder of the DICOMDIR.

    Raises
    ------
    NotPart10, CannotUnderstand
        It is not a DICOMDIR, or is damaged.
    OSError
        It cannot be read.
    """
    folders = _Folders(dicomdir.resolve().parent)
    for file_id in _file_ids(_content(dicomdir)):
        yield "/".join(file_id), folders.file(file_id)


def _content(dicomdir: Path) -> bytes:
    with dicomdir.open("rb") as file:
        content = file.read(SIZE_MAX_BYTES + 1)
    if len(content) > SIZE_MAX_BYTES:
        raise CannotUnderstand(f"a DICOMDIR of more than {SIZE_MAX_BYTES} bytes")
    return content


def _file_ids(content: bytes) -> Iterator[list[str]]:
    """Yield the Referenced File ID of each record in use that has one, as its components."""
    meta = read_file_meta(BytesIO(content))
    try:
        syntax = transfer_syntax(meta.transfer_syntax_uid)
    except TransferSyntaxNotSupported as error:
        raise CannotUnderstand(f"a DICOMDIR that cannot be read: {error}") from None
    data_set = memoryview(content)[meta.data_set_offset :]
    found = scan_elements(data_set, syntax, _OF_DIRECTORY)
    if _DIRECTORY_RECORD_SEQUENCE not in found.values:
        _check(found.problem or "there is no Directory Record Sequence")
    split = split_items(found.values[_DIRECTORY_RECORD_SEQUENCE][1], syntax)
    for record in split.items:
        yield from _file_id(scan_elements(record, syntax, _OF_RECORD))
    _check(split.problem)
    _check(found.problem)


def _file_id(record: ScannedElements) -> Iterator[list[str]]:
    """Yield the Referenced File ID of a record that is in use and has one."""
    values = record.values
    if _REFERENCED_FILE_ID in values and values.get(_RECORD_IN_USE_FLAG, ("", b""))[1] != _INACTIVE:
        file_id = decode_text(values[_REFERENCED_FILE_ID][1], "CS", ())
        if file_id:
            yield file_id.split("\\")
    elif _REFERENCED_SOP_INSTANCE_UID_IN_FILE in values and _REFERENCED_FILE_ID not in values:
        _check("a record refers to an instance and to no file")  # PS3.3 F.3.2.2: both or none
    _check(record.problem)


def _check(problem: str | None) -> None:
    if problem is not None:
        raise CannotUnderstand(f"a damaged DICOMDIR: {problem}")


class _Folders:
    """The folders of a medium, each of which is read once.

    Parameters
    ----------
    root : Path
        Below which all files are, resolved.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[Path, dict[str, str]] = {}

    def file(self, file_id: list[str]) -> Path | None:
        """Return the file with this ID; None if there is none, or if the ID or a symbolic link leads outside."""
        path = self._root
        for component in file_id:
            if component in ("", ".", "..") or "/" in component or not component.isprintable():
                return None
            found = self._child(path, component)
            if found is None:
                return None
            path = found
        try:
            resolved = path.resolve(strict=True)
            is_file = stat.S_ISREG(resolved.stat().st_mode)
        except (OSError, RuntimeError):  # RuntimeError: a loop of symbolic links
            return None
        return path if is_file and resolved.is_relative_to(self._root) else None

    def _child(self, folder: Path, name: str) -> Path | None:
        """Return an entry of a folder, under the name that it got on the medium or when it was copied from there."""
        path = folder / name
        with suppress(OSError, ValueError):
            path.lstat()
            return path
        if folder not in self._names:
            self._names[folder] = _entries(folder)
        found = self._names[folder].get(_plain_name(name))
        return None if found is None else folder / found


def _entries(folder: Path) -> dict[str, str]:
    """Return the names in a folder by what they are called in a File ID; of several the shortest."""
    try:
        names = os.listdir(folder)
    except (OSError, ValueError):
        return {}
    return {_plain_name(name): name for name in sorted(names, key=lambda name: (-len(name), name))}


def _plain_name(name: str) -> str:
    """Return a name as a File ID has it (PS3.10 8.5).

    ISO 9660 has a version behind it, and a point where there is no extension; some systems show lower case, and who
    copies images by hand likes to add an extension: ``im000001.;1`` or ``IM000001.dcm`` for ``IM000001``.
    """
    return _VERSION.sub("", name).rstrip(".").upper().removesuffix(".DCM")
