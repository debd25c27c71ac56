"""What is to be printed, looked up in the index: images, in their order, and what the heading of a sheet says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medserver.dicom.conditions import SingleValue, UIDList
from medserver.dicom.matching import Condition
from medserver.errors import IncompleteObjectSet, ObjectTypeNotSupported, TooLargeToProcess
from medserver.index import Query
from medserver.node import Node
from medserver.processing.requests import Reference

IMAGES_MAX = 20_000
"""So many frames are printed by one request."""

_UIDS_AT_A_TIME = 500

_OF_IMAGE = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "patient_birth_date": "PatientBirthDate",
    "study_instance_uid": "StudyInstanceUID",
    "study_date": "StudyDate",
    "study_description": "StudyDescription",
    "accession_number": "AccessionNumber",
    "series_instance_uid": "SeriesInstanceUID",
    "series_number": "SeriesNumber",
    "modality": "Modality",
    "sop_instance_uid": "SOPInstanceUID",
    "sop_class_uid": "SOPClassUID",
    "instance_number": "InstanceNumber",
    "rows": "Rows",
    "number_of_frames": "NumberOfFrames",
    "photometric_interpretation": "PhotometricInterpretation",
}

_COLOURS = ("RGB", "YBR", "PALETTE")


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An instance, as the index has it; texts are empty where it has nothing."""

    patient_name: str = ""
    patient_id: str = ""
    patient_birth_date: str = ""
    study_instance_uid: str = ""
    study_date: str = ""
    study_description: str = ""
    accession_number: str = ""
    series_instance_uid: str = ""
    series_number: str = ""
    modality: str = ""
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    instance_number: str = ""
    rows: str = ""
    number_of_frames: str = ""
    photometric_interpretation: str = ""

    @property
    def is_image(self) -> bool:
        """Whether it has pixels."""
        return bool(self.rows)

    @property
    def is_colour(self) -> bool:
        """Whether it may have colours."""
        return self.photometric_interpretation.startswith(_COLOURS)

    @property
    def frames(self) -> int:
        """How many frames it has, one if it does not say."""
        return max(1, _number(self.number_of_frames, 1))

    @property
    def patient(self) -> tuple[str, str]:
        """What tells patients apart."""
        return self.patient_id, self.patient_name


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a film.

    Parameters
    ----------
    sop_instance_uid : str
        Which.
    stored : StoredImage or None
        None: it is missing.
    frame_number : int
        From 1.
    presentation_state_uid : str
        Empty: as its own attributes say.
    """

    sop_instance_uid: str
    stored: StoredImage | None = None
    frame_number: int = 1
    presentation_state_uid: str = ""


Frames = Mapping[str, Sequence[int]]
"""SOP Instance UID -> numbers of the frames that are wanted; of others all are."""


def pictures_of(node: Node, references: Iterable[Reference], frames: Frames) -> list[Picture]:
    """Return what is meant, in the order in which it is named; of a series or study in the order of its numbers.

    Of a series or study the images are meant, and presentation states only where they are named by their UIDs.

    Raises
    ------
    IncompleteObjectSet
        Nothing is named, or nothing is stored of a series or study.
    ObjectTypeNotSupported
        What is named is no image, or has no such frame.
    TooLargeToProcess
        It is more than `IMAGES_MAX`.
    """
    found: list[Picture] = []
    for reference in references:
        found.extend(_of(node, reference, frames))
        if len(found) > IMAGES_MAX:
            raise TooLargeToProcess(f"more than {IMAGES_MAX} images are to be printed")
    if not found:
        raise IncompleteObjectSet("no images are named")
    return found


def stored_images(node: Node, uids: Sequence[str]) -> dict[str, StoredImage]:
    """Return what the index has of instances, by SOP Instance UID."""
    found: dict[str, StoredImage] = {}
    for first in range(0, len(uids), _UIDS_AT_A_TIME):
        page = UIDList("SOPInstanceUID", tuple(uids[first : first + _UIDS_AT_A_TIME]))
        found |= {one.sop_instance_uid: one for one in _select(node, [page])}
    return found


def _of(node: Node, reference: Reference, frames: Frames) -> Iterator[Picture]:
    if not reference.instances:
        stored = [one for one in _whole(node, reference) if one.is_image]
        if not stored:
            raise ObjectTypeNotSupported("there are no images in what is to be printed")
        for one in stored:
            yield from _frames_of(one, frames)
        return
    uids = [sop_instance_uid for _, sop_instance_uid in reference.instances]
    known = stored_images(node, uids)
    for uid in uids:
        one = known.get(uid)
        if one is not None and reference.study_instance_uid not in ("", one.study_instance_uid):
            raise IncompleteObjectSet(f"instance {uid} is not of the study that is named with it")
        if one is None:
            yield from (Picture(uid, frame_number=number) for number in frames.get(uid) or (1,))
        elif one.is_image:
            yield from _frames_of(one, frames)
        else:
            raise ObjectTypeNotSupported(f"instance {uid} is no image")


def _frames_of(one: StoredImage, frames: Frames) -> Iterator[Picture]:
    for number in frames.get(one.sop_instance_uid) or range(1, min(one.frames, IMAGES_MAX + 1) + 1):
        if not 1 <= number <= one.frames:
            raise ObjectTypeNotSupported(f"instance {one.sop_instance_uid} has no frame {number}")
        yield Picture(one.sop_instance_uid, one, number)


def _whole(node: Node, reference: Reference) -> list[StoredImage]:
    conditions = [SingleValue("StudyInstanceUID", reference.study_instance_uid)] if reference.study_instance_uid else []
    if reference.series_instance_uid:
        conditions.append(SingleValue("SeriesInstanceUID", reference.series_instance_uid))
    found = list(_select(node, conditions)) if conditions else []
    if not found:
        what = reference.series_instance_uid or reference.study_instance_uid or "a study without a UID"
        raise IncompleteObjectSet(f"nothing of {what} is stored here")
    return sorted(found, key=_in_order)


def _select(node: Node, conditions: Sequence[Condition]) -> Iterator[StoredImage]:
    query = Query("IMAGE", tuple(conditions), tuple(_OF_IMAGE.values()))
    for row in list(node.index.find(query)):
        yield StoredImage(**{name: _text(row.get(keyword)) for name, keyword in _OF_IMAGE.items()})


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _in_order(one: StoredImage) -> tuple[str, int, str, int, str]:
    series = _number(one.series_number, 0)
    return one.study_date, series, one.series_instance_uid, _number(one.instance_number, 0), one.sop_instance_uid


def _number(text: str, default: int) -> int:
    try:
        return int(text)
    except ValueError:
        return default
