"""Which instances the objects of a folder refer to. A job of worker processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from medserver.errors import ObjectNotReadable

_OF_NO_INSTANCES = frozenset((
    "ReferencedStudySequence", "ReferencedPatientSequence", "ReferencedVisitSequence",
    "ReferencedPerformedProcedureStepSequence", "ReferencedGeneralPurposeScheduledProcedureStepSequence",
))  # fmt: skip
"""Sequences whose items have a Referenced SOP Instance UID of something that is not stored."""


def find_references(folder: str, names: str, found: str) -> int:
    """Write to a file, as a list of JSON, which SOP Instance UIDs some files refer to.

    Parameters
    ----------
    folder : str
        The folder.
    names : str
        A file with a list of JSON: the names of the files below the folder.
    found : str
        The file that is written.

    Returns
    -------
    int
        How many there are.

    Raises
    ------
    ObjectNotReadable
        One cannot be read.
    """
    references: set[str] = set()
    for name in json.loads(Path(names).read_text(encoding="utf-8")):
        try:
            references.update(references_in(dcmread(Path(folder, name), stop_before_pixels=True)))
        except MemoryError:
            raise
        except Exception as error:  # pydicom raises anything for what is not DICOM
            raise ObjectNotReadable(f"{Path(name).name}: {error}") from error
    Path(found).write_text(json.dumps(sorted(references)), encoding="ascii", errors="replace")
    return len(references)


def references_in(dataset: Dataset) -> Iterator[str]:
    """Yield the SOP Instance UIDs of the instances that a data set refers to, at any depth."""
    for element in dataset:
        if element.keyword == "ReferencedSOPInstanceUID":
            yield str(element.value)
        elif element.VR == "SQ" and element.keyword not in _OF_NO_INSTANCES:
            for item in element.value or ():
                yield from references_in(item)
