"""What stands in the header of an image that was made of others: where it is from, how it was made, and by what.

One function, `derived`, that all types use. Runs in worker processes only.

References
----------
PS3.3 C.7.5.1 (General Equipment), C.7.6.1.1 (General Image), C.7.6.16.2.6 (Derivation Image), C.12.1.1.5 (Contributing
Equipment)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from medserver import __version__
from medserver.dicom.transfer_syntaxes import TransferSyntax, transfer_syntax
from medserver.dicom.uids import IMPLEMENTATION_CLASS_UID
from medserver.processing.codes import ACQUISITION_EQUIPMENT, PROCESSING_EQUIPMENT, SOURCE_IMAGE, Code
from medserver.processing.images import Image, Source, integer_of, number_of, text_of, texts_of
from medserver.processing.task import Task

MANUFACTURER = "medserver"

_LONG_STRING_MAX, _SHORT_TEXT_MAX = 64, 1024
_INTEGER_STRING_MAX = 2**31 - 1

_EQUIPMENT = (
    "Manufacturer", "InstitutionName", "InstitutionAddress", "StationName", "InstitutionalDepartmentName",
    "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "DeviceUID", "SpatialResolution",
    "DateOfLastCalibration", "TimeOfLastCalibration",
)  # fmt: skip
"""What General Equipment and an item of the Contributing Equipment Sequence both have."""

_OF_OTHER_EQUIPMENT = (
    "StationName", "DeviceUID", "GantryID", "UDISequence", "SpatialResolution", "DateOfLastCalibration",
    "TimeOfLastCalibration", "DeviceSerialNumber",
)  # fmt: skip

_INVALID_NOW = (
    "MACParametersSequence", "SmallestImagePixelValue", "LargestImagePixelValue", "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries", "IconImageSequence", "PixelDataProviderURL", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths", "SOPInstanceStatus", "SOPAuthorizationDateTime", "SOPAuthorizationComment",
    "AuthorizationEquipmentCertificationNumber", "InstanceCreationDate", "InstanceCreationTime", "SeriesDate",
    "SeriesTime", "ReferencedPerformedProcedureStepSequence", "PerformedProcedureStepID",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime", "PerformedProcedureStepDescription", "PerformedProtocolCodeSequence",
    "ReferencedImageEvidenceSequence", "SourceImageEvidenceSequence",
)  # fmt: skip
"""What was said of the pixels, the series or the procedure step of the source alone."""

_METHODS = {"JPEG 2000": "ISO_15444_1", "HTJ2K": "ISO_15444_15", "JPEG-LS": "ISO_14495_1", "JPEG XL": "ISO_18181_1"}


@dataclass(frozen=True, slots=True)
class Derivation:
    """What was done to images.

    Parameters
    ----------
    description : str
        In words, with the values of the parameters that count.
    codes : tuple of Code
        The same as codes of PS3.16 CID 7203.
    label : str
        What the Series Description says of it.
    keeps_grid : bool
        Each output has one source, and its pixels lie where those of the source do.
    """

    description: str
    codes: tuple[Code, ...]
    label: str
    keeps_grid: bool = True


def derived_image(task: Task, number: int, image: Image, derivation: Derivation) -> Dataset:
    """Make the header of an image the header of what was made of it, pixel by pixel.

    Parameters
    ----------
    task : Task
        The task.
    number : int
        The number of the output.
    image : Image
        The one that it was made of. Its data set is changed and returned.
    derivation : Derivation
        What was done to it.
    """
    dataset = image.dataset
    frame_count = image.shape[0] if "PerFrameFunctionalGroupsSequence" in dataset else 0
    for tag in [tag for tag in dataset.keys() if _is_overlay_in_pixels(dataset, tag)]:
        del dataset[tag]
    note_lossy_compression(dataset, image)
    _derive(task, number, dataset, derivation, image.source.series_instance_uid)
    if frame_count:
        _reference_frames(dataset, image.source, frame_count, derivation)
    else:
        dataset.SourceImageSequence = [reference(image.source, SOURCE_IMAGE, keeps_grid=True)]
    return dataset


def derived_stack(
    task: Task, number: int, dataset: Dataset, derivation: Derivation, sources: Sequence[Source]
) -> Dataset:
    """Make the header of one slice the header of what was made of many.

    Private attributes, overlays and what was said of that slice alone go.

    Parameters
    ----------
    task, number, derivation
        As for `derived_image`.
    dataset : Dataset
        The header of a slice, which is changed and returned.
    sources : sequence of Source
        What it was made of, all of one series.
    """
    for tag in [tag for tag in dataset.keys() if tag.is_private or tag.group >> 8 == 0x60]:
        del dataset[tag]
    for keyword in ("ImageComments", "ReferencedImageSequence", "SliceLocation", "TemporalPositionIndex"):
        if keyword in dataset:
            del dataset[keyword]
    _derive(task, number, dataset, derivation, sources[0].series_instance_uid)
    dataset.InstanceNumber = number
    dataset.SourceImageSequence = [reference(source) for source in sources]
    return dataset


def reference(source: Source, purpose: Code | None = None, *, keeps_grid: bool | None = None) -> Dataset:
    """Return an item of the Source Image Sequence (PS3.3 C.7.6.1)."""
    item = Dataset()
    item.ReferencedSOPClassUID = source.sop_class_uid
    item.ReferencedSOPInstanceUID = source.sop_instance_uid
    if keeps_grid is not None:
        item.SpatialLocationsPreserved = "YES" if keeps_grid else "NO"
    if purpose is not None:
        item.PurposeOfReferenceCodeSequence = [code_item(purpose)]
    return item


def code_item(code: Code) -> Dataset:
    """Return a code as an item (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item


def note_lossy_compression(dataset: Dataset, image: Image) -> None:
    """Say of an image that it was compressed with loss, if its file was and does not say it (PS3.3 C.7.6.1.1.5)."""
    syntax = transfer_syntax(image.source.meta.transfer_syntax_uid)
    if not syntax.lossy or text_of(dataset, "LossyImageCompression") == "01":
        return
    frames, rows, columns, samples = image.shape
    native_size_bytes = frames * rows * columns * samples * image.dtype.itemsize
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionRatio = f"{native_size_bytes / image.source.path.stat().st_size:.4g}"
    dataset.LossyImageCompressionMethod = _method(syntax)


def _method(syntax: TransferSyntax) -> str:
    return next((method for name, method in _METHODS.items() if syntax.name.startswith(name)), "ISO_10918_1")


def _derive(task: Task, number: int, dataset: Dataset, derivation: Derivation, series_instance_uid: str) -> None:
    """Make another instance in another series of it, which says how it was made and by whom."""
    contributors = [*(dataset.get("ContributingEquipmentSequence") or ()), _acquisition_equipment(dataset)]
    for keyword in (*_INVALID_NOW, *_OF_OTHER_EQUIPMENT):
        if keyword in dataset:
            del dataset[keyword]
    dataset.SOPInstanceUID = task.uid("instance", number)
    dataset.SeriesInstanceUID = task.uid("series", series_instance_uid)
    dataset.SeriesNumber = _series_number(dataset)
    dataset.SeriesDescription = _series_description(dataset, derivation)
    if "InstanceNumber" not in dataset:
        dataset.InstanceNumber = number
    _describe(dataset, derivation)
    dataset.ContributingEquipmentSequence = [*contributors, _processing_equipment(task)]
    _equip(dataset)
    if task.moment:
        date, time = task.moment[:8], task.moment[8:]
        dataset.SeriesDate, dataset.SeriesTime = date, time
        dataset.InstanceCreationDate, dataset.InstanceCreationTime = date, time
    dataset.InstanceCreatorUID = IMPLEMENTATION_CLASS_UID


def _describe(dataset: Dataset, derivation: Derivation) -> None:
    image_type = texts_of(dataset, "ImageType")[1:] or ["PRIMARY"]
    dataset.ImageType = ["DERIVED", *image_type]
    before = text_of(dataset, "DerivationDescription")
    dataset.DerivationDescription = "; ".join(filter(None, (before, derivation.description)))[-_SHORT_TEXT_MAX:]
    codes = [*(dataset.get("DerivationCodeSequence") or ()), *map(code_item, derivation.codes)]
    if codes:
        dataset.DerivationCodeSequence = codes


def _equip(dataset: Dataset) -> None:
    """Name this software in General Equipment (PS3.3 C.12.1.1.5, note 1)."""
    dataset.Manufacturer, dataset.ManufacturerModelName = MANUFACTURER, MANUFACTURER
    dataset.SoftwareVersions = __version__
    if "SharedFunctionalGroupsSequence" in dataset:
        dataset.DeviceSerialNumber = __version__  # PS3.3 C.7.5.2: Type 1, and software has none


def _acquisition_equipment(dataset: Dataset) -> Dataset:
    """Return what General Equipment says of who made the source, as it is encoded."""
    item = Dataset()
    for keyword in _EQUIPMENT:
        if keyword in dataset:
            tag = tag_for_keyword(keyword)
            item[tag] = deepcopy(dataset.get_item(tag))
    if "Manufacturer" not in item:
        item.Manufacturer = ""
    made_here = text_of(item, "Manufacturer") == MANUFACTURER
    item.PurposeOfReferenceCodeSequence = [code_item(PROCESSING_EQUIPMENT if made_here else ACQUISITION_EQUIPMENT)]
    return item


def _processing_equipment(task: Task) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(PROCESSING_EQUIPMENT)]
    item.Manufacturer, item.ManufacturerModelName = MANUFACTURER, MANUFACTURER
    item.SoftwareVersions = [__version__, f"{task.kind.name} {task.kind.version}"]
    parameters = json.dumps(task.parameters, separators=(",", ":"))
    item.ContributionDescription = f"{task.kind.name} {parameters}"[:_SHORT_TEXT_MAX]
    if task.moment:
        item.ContributionDateTime = task.moment
    return item


def _series_number(dataset: Dataset) -> int:
    """Return a hundred times the number of the source, and one: no modality has it, and people see whose it is."""
    number = integer_of(dataset, "SeriesNumber", 0) * 100 + 1
    return number if 0 < number <= _INTEGER_STRING_MAX else 1


def _series_description(dataset: Dataset, derivation: Derivation) -> str:
    before = text_of(dataset, "SeriesDescription")
    room = _LONG_STRING_MAX - len(derivation.label) - 2
    return f"{before[:room].rstrip()}, {derivation.label}" if before and room > 0 else derivation.label


def _is_overlay_in_pixels(dataset: Dataset, tag) -> bool:
    """Tell whether an element belongs to an overlay that lies in bits of the pixels, which are gone."""
    return tag.group >> 8 == 0x60 and (tag.group, 0x3000) not in dataset


def _reference_frames(dataset: Dataset, source: Source, frame_count: int, derivation: Derivation) -> None:
    """Say of each frame which frame it was made of (PS3.3 C.7.6.16.2.6), and that it is derived."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    if "DerivationImageSequence" in shared:
        del shared["DerivationImageSequence"]
    groups = dataset.PerFrameFunctionalGroupsSequence
    for frame_number, group in enumerate(groups[:frame_count], 1):
        item = reference(source, SOURCE_IMAGE, keeps_grid=True)
        item.ReferencedFrameNumber = frame_number
        derivation_image = Dataset()
        derivation_image.DerivationDescription = derivation.description
        derivation_image.DerivationCodeSequence = [*map(code_item, derivation.codes)]
        derivation_image.SourceImageSequence = [item]
        group.DerivationImageSequence = [derivation_image]
    for frame_type in _frame_types([shared, *groups]):
        frame_type.FrameType = ["DERIVED", *(texts_of(frame_type, "FrameType")[1:] or ["PRIMARY"])]


def _frame_types(groups: Iterable[Dataset]) -> Iterator[Dataset]:
    for group in groups:
        for element in group:
            if element.VR == "SQ":
                yield from (item for item in element.value or () if "FrameType" in item)


def source_number(source: Source, keyword: str, default: float) -> float:
    """Return a number of a source, also where it stands in the functional groups (PS3.3 C.7.6.16.2.9)."""
    if keyword in source.facts:
        return number_of(source.facts, keyword, default)
    for group in source.facts.get("SharedFunctionalGroupsSequence") or ():
        for item in group.get("PixelValueTransformationSequence") or ():
            return number_of(item, keyword, default)
    return default
