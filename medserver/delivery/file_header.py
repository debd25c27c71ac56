"""The attributes of a file that is not stored here, as a rule sees them."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.errors import NotPart10


def header_of_file(path: Path) -> Dataset:
    """Return the attributes of a file that stand before its pixels.

    Raises
    ------
    NotPart10
        It is no DICOM file.
    """
    try:
        return dcmread(path, stop_before_pixels=True)
    except InvalidDicomError as error:
        raise NotPart10(f"{path.name} is not a DICOM file: no DICM prefix after 128 bytes of preamble") from error
    except (EOFError, *PYDICOM_ERRORS) as error:
        raise NotPart10(f"{path.name}: {error}") from error
