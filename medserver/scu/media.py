"""The files that a DICOMDIR refers to (PS3.3 F, PS3.10 8), and none outside of its folder."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from medserver.dicom.character_sets import decode_text
from medserver.dicom.elements import scan_elements, split_items
from medserver.dicom.part10 import read_file_meta
from medserver.dicom.uids import transfer_syntax
from medserver.errors import CannotUnderstand, TransferSyntaxNotSupported

SIZE_MAX_BYTES = 256 * 1024 * 1024
"""The longest DICOMDIR that is read; one record has about 500 bytes."""

_DIRECTORY_RECORD_SEQUENCE = 0x00041220
_RECORD_IN_USE_FLAG, _REFERENCED_FILE_ID = 0x00041410, 0x00041500
_INACTIVE = b"\x00\x00"


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
    root = dicomdir.resolve().parent
    for file_id in _file_ids(_content(dicomdir)):
        yield "/".join(file_id), _file_below(root, file_id)


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
    found = scan_elements(data_set, syntax, frozenset({_DIRECTORY_RECORD_SEQUENCE}))
    if found.problem is not None:
        raise CannotUnderstand(f"a damaged DICOMDIR: {found.problem}")
    _, sequence = found.values.get(_DIRECTORY_RECORD_SEQUENCE, ("SQ", b""))
    for record in split_items(sequence, syntax):
        values = scan_elements(record, syntax, frozenset({_RECORD_IN_USE_FLAG, _REFERENCED_FILE_ID})).values
        if _REFERENCED_FILE_ID in values and values.get(_RECORD_IN_USE_FLAG, ("", b""))[1] != _INACTIVE:
            file_id = decode_text(values[_REFERENCED_FILE_ID][1], "CS", ())
            if file_id:
                yield file_id.split("\\")


def _file_below(root: Path, file_id: list[str]) -> Path | None:
    """Return the file with this ID; None if there is none, or if the ID or a symbolic link leads outside."""
    path = root
    for component in file_id:
        if component in ("", ".", "..") or "/" in component or not component.isprintable():
            return None
        found = _child(path, component)
        if found is None:
            return None
        path = found
    try:
        resolved = path.resolve(strict=True)
        is_file = stat.S_ISREG(resolved.stat().st_mode)
    except (OSError, RuntimeError):  # RuntimeError: a loop of symbolic links
        return None
    return path if is_file and resolved.is_relative_to(root) else None


def _child(folder: Path, name: str) -> Path | None:
    """Return an entry of a folder, in whatever case it was copied from the medium."""
    for candidate in (name, name.lower(), name.upper()):
        path = folder / candidate
        try:
            path.lstat()
        except (OSError, ValueError):
            continue
        return path
    return None
