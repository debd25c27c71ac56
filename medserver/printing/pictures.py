"""What is to be printed, looked up in the index: images in their order, and what the heading of a sheet says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydicom.dataset import Dataset

from medserver.archive import read_header
from medserver.dicom.conditions import SingleValue, UIDList
from medserver.dicom.dataset_values import value_of
from medserver.dicom.matching import Condition
from medserver.errors import (
    DamagedObject,
    IncompleteObjectSet,
    ObjectNotReadable,
    ObjectTypeNotSupported,
    TooLargeToProcess,
)
from medserver.index import Query
from medserver.node import Node
from medserver.processing.requests import FRAME_NUMBER, Reference

IMAGES_MAX = 20_000
"""So many frames are printed by one request."""

STRUCTURED_DISPLAY = "1.2.840.10008.5.1.4.1.1.131"
"""Basic Structured Display Storage."""

_PRESENTATION_STATES = "1.2.840.10008.5.1.4.1.1.11."
"""With what the SOP Class UIDs of presentation states begin."""

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


@dataclass(slots=True)
class Subject:
    """What is to be printed.

    Parameters
    ----------
    pictures : list of Picture
        The images, in their order.
    displays : list of StoredImage
        Basic Structured Displays, which have a layout of their own.
    """

    pictures: list[Picture] = field(default_factory=list)
    displays: list[StoredImage] = field(default_factory=list)


def subject_of(node: Node, references: Iterable[Reference]) -> Subject:
    """Return what is meant, in the order in which it is named; of a series or study in the order of its numbers.

    Of a series or study the images are meant, and other objects only where they are named by their UIDs. A presentation
    state is applied to those images that it refers to.

    Raises
    ------
    IncompleteObjectSet
        Nothing is named, or nothing is stored of a series or study.
    ObjectTypeNotSupported
        What is named is no image, or has no such frame.
    TooLargeToProcess
        It is more than `IMAGES_MAX`.
    ObjectNotReadable
        A presentation state is damaged, or names frames that there cannot be.
    StoreFailure
        A presentation state cannot be read.
    """
    found, states = Subject(), []
    for reference in references:
        for one in _of(node, reference):
            if isinstance(one, Picture):
                found.pictures.append(one)
            else:
                (found.displays if one.sop_class_uid == STRUCTURED_DISPLAY else states).append(one)
        if len(found.pictures) > IMAGES_MAX:
            raise TooLargeToProcess(f"more than {IMAGES_MAX} images are to be printed")
    if not found.pictures and not found.displays:
        raise IncompleteObjectSet("no images are named")
    for state in states:
        found.pictures = _presented(node, found.pictures, state)
    return found


def _presented(node: Node, pictures: Sequence[Picture], state: StoredImage) -> list[Picture]:
    """Return images with a presentation state, those that it refers to."""
    referenced: dict[str, list[list[int]]] = {}
    for series in items_of(header_of(node, state.sop_instance_uid), "ReferencedSeriesSequence"):
        for image in items_of(series, "ReferencedImageSequence"):
            named = referenced.setdefault(str(value_of(image, "ReferencedSOPInstanceUID")), [])
            named.append(frame_numbers_of(image))

    def is_meant(one: Picture) -> bool:
        # Where an image is named several times, what is meant is all that is named.
        named = referenced.get(one.sop_instance_uid, ())
        return any(not frames or one.frame_number in frames for frames in named)

    uid = state.sop_instance_uid
    return [replace(one, presentation_state_uid=uid) if is_meant(one) else one for one in pictures]


def header_of(node: Node, sop_instance_uid: str) -> Dataset:
    """Return the attributes of a stored instance, without pixels.

    Raises
    ------
    IncompleteObjectSet
        It is not stored here.
    ObjectNotReadable
        It is damaged, and there is no good copy of it.
    StoreFailure
        It cannot be read.
    """
    copy = node.index.instances([sop_instance_uid]).get(sop_instance_uid)
    if copy is None:
        raise IncompleteObjectSet(f"instance {sop_instance_uid} is not stored here")
    try:
        return read_header(node, copy)
    except DamagedObject as error:
        raise ObjectNotReadable(f"instance {sop_instance_uid}: {error}") from error


def items_of(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """Return the items of a sequence; none if it is something else."""
    element = dataset[keyword] if keyword in dataset else None
    return element.value or () if element is not None and element.VR == "SQ" else ()


def numbers_of(dataset: Dataset, keyword: str) -> list[float]:
    """Return the numbers of an attribute; none if it has others."""
    try:
        return [float(each) for each in _texts_of(dataset, keyword)]
    except (TypeError, ValueError):
        return []


def frame_numbers_of(reference: Dataset) -> list[int]:
    """Return the numbers of the frames that a reference to an image names; none: all are meant.

    Raises
    ------
    ObjectNotReadable
        One is no number from 1. Another frame than the one that is meant must not be shown for it.
    """
    texts = [text.strip() for text in _texts_of(reference, "ReferencedFrameNumber") if text.strip()]
    for text in texts:
        if not FRAME_NUMBER.fullmatch(text) or not int(text):
            raise ObjectNotReadable(f"Referenced Frame Number: {text[:32]!r} is no number from 1")
    return [int(text) for text in texts]


def _texts_of(dataset: Dataset, keyword: str) -> list[str]:
    value = value_of(dataset, keyword)
    return [str(each) for each in value] if isinstance(value, list) else [] if value is None else [value]


def check_shown(one: StoredImage, frame_number: int = 1) -> None:
    """Check that there is a picture to be printed.

    Raises
    ------
    ObjectTypeNotSupported
        The object is no image, or has no such frame.
    """
    if not one.is_image:
        raise ObjectTypeNotSupported(f"instance {one.sop_instance_uid} is no image")
    if not 1 <= frame_number <= one.frames:
        raise ObjectTypeNotSupported(f"instance {one.sop_instance_uid} has no frame {frame_number}")


def stored_images(node: Node, uids: Sequence[str]) -> dict[str, StoredImage]:
    """Return what the index has of instances, by SOP Instance UID."""
    found: dict[str, StoredImage] = {}
    for first in range(0, len(uids), _UIDS_AT_A_TIME):
        page = UIDList("SOPInstanceUID", tuple(uids[first : first + _UIDS_AT_A_TIME]))
        found |= {one.sop_instance_uid: one for one in _select(node, [page])}
    return found


def _of(node: Node, reference: Reference) -> Iterator[Picture | StoredImage]:
    if not reference.instances:
        stored = [one for one in _whole(node, reference) if one.is_image]
        if not stored:
            raise ObjectTypeNotSupported("there are no images in what is to be printed")
        for one in stored:
            yield from _frames_of(one)
        return
    frames = dict(reference.frames)
    uids = [sop_instance_uid for _, sop_instance_uid in reference.instances]
    known = stored_images(node, uids)
    for uid in uids:
        one = known.get(uid)
        if one is not None and reference.study_instance_uid not in ("", one.study_instance_uid):
            raise IncompleteObjectSet(f"instance {uid} is not of the study that is named with it")
        if one is None:
            yield from (Picture(uid, frame_number=number) for number in frames.get(uid) or (1,))
        elif one.is_image:
            yield from _frames_of(one, frames.get(uid, ()))
        elif one.sop_class_uid == STRUCTURED_DISPLAY or one.sop_class_uid.startswith(_PRESENTATION_STATES):
            yield one
        else:
            check_shown(one)


def _frames_of(one: StoredImage, numbers: Sequence[int] = ()) -> Iterator[Picture]:
    for number in numbers or range(1, min(one.frames, IMAGES_MAX + 1) + 1):
        check_shown(one, number)
        yield Picture(one.sop_instance_uid, one, number)


def _whole(node: Node, reference: Reference) -> list[StoredImage]:
    conditions = [SingleValue("StudyInstanceUID", reference.study_instance_uid)] if reference.study_instance_uid else []
    if reference.series_instance_uid:
        conditions.append(SingleValue("SeriesInstanceUID", reference.series_instance_uid))
    found = list(_select(node, conditions)) if conditions else []
    if not found:
        what = reference.series_instance_uid or reference.study_instance_uid or "a study without a UID"
        raise IncompleteObjectSet(f"nothing of {what} is stored here")
    return sorted(found, key=in_order)


def _select(node: Node, conditions: Sequence[Condition]) -> Iterator[StoredImage]:
    query = Query("IMAGE", tuple(conditions), tuple(_OF_IMAGE.values()))
    for row in list(node.index.find(query)):
        yield StoredImage(**{name: _text(row.get(keyword)) for name, keyword in _OF_IMAGE.items()})


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def in_order(one: StoredImage) -> tuple[str, int, str, int, str]:
    """Return by what the images of a study are ordered: date, series, and their numbers."""
    series = _number(one.series_number, 0)
    return one.study_date, series, one.series_instance_uid, _number(one.instance_number, 0), one.sop_instance_uid


def _number(text: str, default: int) -> int:
    try:
        return int(text)
    except ValueError:
        return default
