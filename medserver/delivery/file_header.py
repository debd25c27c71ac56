"""The attributes of a file that is not stored here, as a rule sees them."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset

from medserver import archive
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.dicom.undecoded import undecoded
from medserver.errors import NotPart10
from medserver.scu.recognition import HEAD_SIZE_BYTES, recognise


def header_of_file(path: Path) -> Dataset:
    """Return the attributes of a file that stand before its pixels, read as those of what is stored.

    Raises
    ------
    NotPart10
        It is no DICOM file.
    TransferSyntaxNotSupported
        It is in a transfer syntax that is not known.
    """
    with path.open("rb") as file:
        try:
            recognised = recognise(file.read(HEAD_SIZE_BYTES))
        except NotPart10 as error:
            raise NotPart10(f"{path.name} is not a DICOM file: {error}") from None
        syntax = transfer_syntax(recognised.transfer_syntax_uid)
        size_bytes = path.stat().st_size - file.seek(recognised.data_set_offset)
        return undecoded(archive.scan_header(file, syntax, size_bytes), syntax)
