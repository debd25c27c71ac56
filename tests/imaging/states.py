"""Presentation states that tests make."""

from __future__ import annotations

from pydicom.dataset import Dataset

from tests.imaging.images import SOP_CLASS_UID, SOP_INSTANCE_UID, item, new_dataset

GRAYSCALE = "1.2.840.10008.5.1.4.1.1.11.1"


def reference(frames: list[int] | None = None, sop_instance_uid: str = SOP_INSTANCE_UID) -> Dataset:
    """Return an item of a Referenced Image Sequence."""
    made = item(ReferencedSOPClassUID=SOP_CLASS_UID, ReferencedSOPInstanceUID=sop_instance_uid)
    if frames:
        made.ReferencedFrameNumber = frames
    return made


def area(first: tuple[int, int], last: tuple[int, int], mode: str = "SCALE TO FIT", **others: object) -> Dataset:
    """Return an item of a Displayed Area Selection Sequence: corners are column and row, from 1."""
    made = item(PresentationSizeMode=mode)
    made.DisplayedAreaTopLeftHandCorner, made.DisplayedAreaBottomRightHandCorner = list(first), list(last)
    made.PresentationPixelAspectRatio = others.pop("PresentationPixelAspectRatio", [1, 1])
    for keyword, value in others.items():
        setattr(made, keyword, value)
    return made


def state(dataset: Dataset, **attributes: object) -> Dataset:
    """Return a Grayscale Softcopy Presentation State of an image, which shows all of it as it is."""
    made = new_dataset(GRAYSCALE, "2.25.8")
    made.Modality, made.SeriesInstanceUID = "PR", "2.25.9"
    made.StudyDate = made.StudyTime = made.AccessionNumber = made.StudyID = made.ReferringPhysicianName = ""
    made.PatientBirthDate = made.PatientSex = made.Manufacturer = ""
    made.SeriesNumber, made.InstanceNumber = 1, 1
    made.ContentLabel, made.ContentDescription, made.ContentCreatorName = "TEST", "", ""
    made.PresentationCreationDate, made.PresentationCreationTime = "20261129", "120000"
    images = item(SeriesInstanceUID=dataset.SeriesInstanceUID, ReferencedImageSequence=[reference()])
    made.ReferencedSeriesSequence = [images]
    made.DisplayedAreaSelectionSequence = [area((1, 1), (dataset.Columns, dataset.Rows))]
    if "PresentationLUTSequence" not in attributes:
        made.PresentationLUTShape = "IDENTITY"
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made
