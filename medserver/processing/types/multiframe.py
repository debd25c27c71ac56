"""Classic single-frame series as one enhanced multi-frame object (PS3.3 A.70, A.71, A.72).

highdicom does it; pixels, places and times stay what they are, so that the object is not DERIVED, and each frame names
its source (Conversion Source Attributes). What it makes up anew each time is made of the work item here.
"""

from __future__ import annotations

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import correct_ambiguous_vr

from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import IncompleteObjectSet, ObjectNotReadable, ObjectTypeNotSupported
from medserver.processing.codes import CONVERSION_EQUIPMENT
from medserver.processing.pixels.images import PIXEL_DATA, Source, open_image
from medserver.processing.pixels.results import note_creation, processing_equipment, series_number, set_sequence
from medserver.processing.task import Task

_CONVERTED = {
    "1.2.840.10008.5.1.4.1.1.2": "LegacyConvertedEnhancedCTImage",
    "1.2.840.10008.5.1.4.1.1.4": "LegacyConvertedEnhancedMRImage",
    "1.2.840.10008.5.1.4.1.1.128": "LegacyConvertedEnhancedPETImage",
}
"""SOP Class of the slices -> class of highdicom."""

_READ_PART, _CONVERTED_PART = 0.3, 0.8
"""What part of the time has passed when the slices are read, and when they are one object."""


def multiframe(task: Task) -> None:
    """Write one enhanced object with all slices of a series as its frames."""
    slices = [source for source in task.sources if not source.is_localizer]
    if not slices:
        raise IncompleteObjectSet("there are localizers only")
    kinds = {source.sop_class_uid for source in slices}
    name = _CONVERTED.get(kinds.pop()) if len(kinds) == 1 else None
    if name is None:
        raise ObjectTypeNotSupported("multiframe takes CT, MR or PET images with one frame each, all of one kind")
    for number in task.numbers(1):
        task.write(number, _converted(task, name, _read(task, slices)))


def _read(task: Task, slices: list[Source]) -> list[Dataset]:
    read = []
    for source in slices:
        read.append(_with_pixels(task, source))
        task.reached(_READ_PART * len(read) / len(slices))
    return read


def _with_pixels(task: Task, source: Source) -> Dataset:
    with open_image(source, task.outputs) as image:
        if image.shape[0] > 1:
            raise ObjectTypeNotSupported(f"{source.name} has several frames")
        dataset = image.dataset
        dataset.add_new(PIXEL_DATA, "OW", image.pixels().tobytes())
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = EXPLICIT_VR_LITTLE_ENDIAN
    return dataset


def _converted(task: Task, name: str, slices: list[Dataset]) -> Dataset:
    from highdicom import legacy

    series = slices[0].SeriesInstanceUID
    try:
        made = getattr(legacy, name)(
            slices, task.uid("series", series), series_number(slices[0]), task.uid("instance", 1), 1
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ObjectNotReadable(f"the slices cannot become one object: {error}") from error
    task.reached(_CONVERTED_PART)
    dataset = Dataset(made)
    dataset.set_original_encoding(False, True, slices[0].original_character_set)
    _determine(task, dataset, series)
    return correct_ambiguous_vr(dataset, True)


def _determine(task: Task, dataset: Dataset, series: str) -> None:
    """Take the chance out of it: times of now, random UIDs; and name who did it."""
    organization = task.uid("dimension organization", series)
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(keyword) or ():
            item.DimensionOrganizationUID = organization
    set_sequence(dataset, "ContributingEquipmentSequence", [processing_equipment(task, CONVERSION_EQUIPMENT)])
    note_creation(task, dataset)
