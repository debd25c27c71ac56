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
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import BaseTag, Tag

from medserver import __version__
from medserver.dicom.data_sets import write_element
from medserver.dicom.encodings import EXPLICIT_LITTLE
from medserver.dicom.contributing_equipment import MANUFACTURER
from medserver.dicom.transfer_syntaxes import TransferSyntax, transfer_syntax
from medserver.dicom.uids import IMPLEMENTATION_CLASS_UID
from medserver.dicom.undecoded import read_undecoded
from medserver.processing.codes import ACQUISITION_EQUIPMENT, PROCESSING_EQUIPMENT, SOURCE_IMAGE, Code
from medserver.processing.pixels.files import encoded_elements
from medserver.processing.pixels.images import Image, Source, copied, integer_of, text_of, texts_of
from medserver.processing.task import Task

_LONG_STRING_MAX, _SHORT_TEXT_MAX = 64, 1024
_SHORT_HEADER_BYTES, _SEQUENCE_HEADER_BYTES = 8, 12  # PS3.5 7.1.2
_MANUFACTURER = 0x00080070
_INTEGER_STRING_MAX = 2**31 - 1

_EQUIPMENT = tuple(
    int(tag_for_keyword(keyword) or 0)
    for keyword in (
        "Manufacturer", "InstitutionName", "InstitutionAddress", "StationName", "InstitutionalDepartmentName",
        "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "DeviceUID", "SpatialResolution",
        "DateOfLastCalibration", "TimeOfLastCalibration",
    )
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
    "AuthorizationEquipmentCertificationNumber", "InstanceCreationDate", "InstanceCreationTime",
    "ReferencedPerformedProcedureStepSequence", "PerformedProcedureStepID",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime", "PerformedProcedureStepDescription", "PerformedProtocolCodeSequence",
    "ReferencedImageEvidenceSequence", "SourceImageEvidenceSequence",
)  # fmt: skip
"""What was said of the pixels, the series or the procedure step of the source alone."""

_GONE = frozenset(int(tag_for_keyword(keyword) or 0) for keyword in (*_INVALID_NOW, *_OF_OTHER_EQUIPMENT))

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
        set_sequence(dataset, "SourceImageSequence", [reference(image.source, SOURCE_IMAGE, keeps_grid=True)])
    return dataset


def derived_series(task: Task, dataset: Dataset, derivation: Derivation, sources: Sequence[Source]) -> Dataset:
    """Make the header of one slice what all outputs have in common that are made of a whole series.

    Private attributes, overlays and what was said of that slice alone go.

    Parameters
    ----------
    task, derivation
        As for `derived_image`.
    dataset : Dataset
        The header of a slice, which is changed.
    sources : sequence of Source
        What it was made of, all of one series. Their purpose is not said: there may be thousands, in each output.

    Returns
    -------
    Dataset
        For `numbered`. Its elements are encoded: to write them again and again costs little.
    """
    for tag in [tag for tag in dataset.keys() if tag.is_private or tag.group >> 8 == 0x60]:
        del dataset[tag]
    for keyword in ("ImageComments", "ReferencedImageSequence", "SliceLocation", "TemporalPositionIndex"):
        if keyword in dataset:
            del dataset[keyword]
    _derive(task, 1, dataset, derivation, sources[0].series_instance_uid)
    set_sequence(dataset, "SourceImageSequence", [reference(source) for source in sources])
    return read_undecoded(BytesIO(b"".join(encoded_elements(dataset))), EXPLICIT_LITTLE)


def derived_capture(
    task: Task, number: int, dataset: Dataset, derivation: Derivation, sources: Sequence[bytes], series: str
) -> Dataset:
    """Make the header of another object out of what `captures.capture_header` takes from its source.

    Parameters
    ----------
    task, number, derivation
        As for `derived_image`.
    dataset : Dataset
        The header, which is changed and returned.
    sources : sequence of bytes
        Items of the Source Image Sequence: see `reference`.
    series : str
        The Series Instance UID of the source.
    """
    _derive(task, number, dataset, derivation, series)
    dataset.InstanceNumber = number
    set_sequence(dataset, "SourceImageSequence", sources)
    return dataset


def numbered(task: Task, common: Dataset, number: int) -> Dataset:
    """Return the header of an output, from what it has in common with the others of its series."""
    dataset = copied(common)
    set_text(dataset, "SOPInstanceUID", task.uid("instance", number))
    set_text(dataset, "InstanceNumber", str(number))
    return dataset


def reference(
    source: Source, purpose: Code | None = None, *, keeps_grid: bool | None = None, frame_number: int = 0
) -> bytes:
    """Return an item of the Source Image Sequence, encoded (PS3.3 C.7.6.1).

    Parameters
    ----------
    source : Source
        What is referred to.
    purpose : Code, optional
        What it is to the image that refers to it.
    keeps_grid : bool, optional
        Whether the pixels of both lie in the same places.
    frame_number : int
        Which of the frames that went in; 0: all of them.
    """
    encode = EXPLICIT_LITTLE
    item = _instance(source)
    numbers: Sequence[int] = source.frame_numbers
    if frame_number:
        numbers = [numbers[frame_number - 1] if numbers else frame_number]
    if numbers:
        item += encode.text(0x00081160, "IS", "\\".join(map(str, numbers)))
    if keeps_grid is not None:
        item += encode.text(0x0028135A, "CS", "YES" if keeps_grid else "NO")
    if purpose is not None:
        item += encode.sequence(0x0040A170, [code_item(purpose)])
    return item


def _instance(source: Source) -> bytes:
    encode = EXPLICIT_LITTLE
    return encode.text(0x00081150, "UI", source.sop_class_uid) + encode.text(0x00081155, "UI", source.sop_instance_uid)


@cache
def code_item(code: Code) -> bytes:
    """Return a code as an encoded item (PS3.3 8.8)."""
    elements = ((0x00080100, "SH", code.value), (0x00080102, "SH", code.scheme), (0x00080104, "LO", code.meaning))
    return b"".join(EXPLICIT_LITTLE.text(*element) for element in elements)


def set_sequence(dataset: Dataset, keyword: str, items: Iterable[bytes]) -> None:
    """Put a sequence of encoded items into a data set, which is written as it is: thousands of items cost nothing."""
    tag = Tag(tag_for_keyword(keyword))
    value = EXPLICIT_LITTLE.sequence(tag, items)[_SEQUENCE_HEADER_BYTES:]
    dataset[tag] = RawDataElement(tag, "SQ", len(value), value, 0, False, True)


def set_text(dataset: Dataset, keyword: str, text: str) -> None:
    """Set an element whose value is text, several values with a backslash between them.

    It is encoded here and written as it is: what pydicom does with it takes ten times as long. Every character set has
    the characters of ASCII where it has them; others are encoded when they are written.
    """
    if not text.isascii():
        setattr(dataset, keyword, text)
        return
    tag, vr = _element_of(keyword)
    value = text.encode("ascii")
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


@cache
def _element_of(keyword: str) -> tuple[BaseTag, str]:
    tag = Tag(tag_for_keyword(keyword))
    return tag, dictionary_VR(tag)


def items_of(dataset: Dataset, keyword: str) -> list[bytes]:
    """Return the items of a sequence, encoded."""
    return [_encoded(item, dataset.original_character_set) for item in dataset.get(keyword) or ()]


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
    contributors = [*items_of(dataset, "ContributingEquipmentSequence"), _acquisition_equipment(dataset)]
    for tag in [tag for tag in dataset.keys() if tag in _GONE]:
        del dataset[tag]
    set_text(dataset, "SOPInstanceUID", task.uid("instance", number))
    set_text(dataset, "SeriesInstanceUID", task.uid("series", series_instance_uid))
    set_text(dataset, "SeriesNumber", str(series_number(dataset)))
    set_text(dataset, "SeriesDescription", _series_description(dataset, derivation))
    if "InstanceNumber" not in dataset:
        set_text(dataset, "InstanceNumber", str(number))
    _describe(dataset, derivation)
    set_sequence(dataset, "ContributingEquipmentSequence", [*contributors, processing_equipment(task)])
    _equip(dataset)
    note_creation(task, dataset)


def note_creation(task: Task, dataset: Dataset) -> None:
    """Say when and by what an instance was made; without a `moment` not when."""
    set_text(dataset, "InstanceCreatorUID", IMPLEMENTATION_CLASS_UID)
    for keyword, value in (("InstanceCreationDate", task.moment[:8]), ("InstanceCreationTime", task.moment[8:])):
        if value:
            set_text(dataset, keyword, value)
        elif keyword in dataset:
            del dataset[keyword]


def _describe(dataset: Dataset, derivation: Derivation) -> None:
    image_type = texts_of(dataset, "ImageType")[1:] or ["PRIMARY"]
    set_text(dataset, "ImageType", "\\".join(["DERIVED", *image_type]))
    before = text_of(dataset, "DerivationDescription")
    description = "; ".join(filter(None, (before, derivation.description)))[-_SHORT_TEXT_MAX:]
    set_text(dataset, "DerivationDescription", description)
    codes = [*items_of(dataset, "DerivationCodeSequence"), *map(code_item, derivation.codes)]
    if codes:
        set_sequence(dataset, "DerivationCodeSequence", codes)


def _equip(dataset: Dataset) -> None:
    """Name this software in General Equipment (PS3.3 C.12.1.1.5, note 1)."""
    set_text(dataset, "Manufacturer", MANUFACTURER)
    set_text(dataset, "ManufacturerModelName", MANUFACTURER)
    set_text(dataset, "SoftwareVersions", __version__)
    if "SharedFunctionalGroupsSequence" in dataset:
        dataset.DeviceSerialNumber = __version__  # PS3.3 C.7.5.2: Type 1, and software has none


def _acquisition_equipment(dataset: Dataset) -> bytes:
    """Return what General Equipment says of who made the source, as it is encoded."""
    elements = []
    for tag in _EQUIPMENT:
        if tag in dataset:
            element = dataset.get_item(tag)
            if not isinstance(element, RawDataElement) or element.VR is None:
                element = dataset[tag]
            elements.append((tag, element.VR, _encoded_value(element, dataset.original_character_set)))
    if not any(tag == _MANUFACTURER for tag, _, _ in elements):
        elements.insert(0, (_MANUFACTURER, "LO", b""))
    made_here = dict((tag, value) for tag, _, value in elements)[_MANUFACTURER].strip() == MANUFACTURER.encode()
    purpose = PROCESSING_EQUIPMENT if made_here else ACQUISITION_EQUIPMENT
    item = b"".join(EXPLICIT_LITTLE.element(*element) for element in sorted(elements))
    return item + EXPLICIT_LITTLE.sequence(0x0040A170, [code_item(purpose)])


def processing_equipment(task: Task, purpose: Code = PROCESSING_EQUIPMENT) -> bytes:
    """Return what is said of this software: an item of the Contributing Equipment Sequence, with all parameters."""
    parameters = json.dumps(task.parameters, separators=(",", ":"))
    software = f"{__version__}\\{task.kind.name} {task.kind.version}"
    encode = EXPLICIT_LITTLE
    item = encode.text(_MANUFACTURER, "LO", MANUFACTURER) + encode.text(0x00081090, "LO", MANUFACTURER)
    item += encode.text(0x00181020, "LO", software)
    if task.moment:
        item += encode.text(0x0018A002, "DT", task.moment)
    item += encode.text(0x0018A003, "ST", f"{task.kind.name} {parameters}"[:_SHORT_TEXT_MAX])
    return item + encode.sequence(0x0040A170, [code_item(purpose)])


def _encoded(item: Dataset, codecs: str | list[str]) -> bytes:
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    write_dataset(file, item, codecs)
    return file.getvalue()


def _encoded_value(element: RawDataElement | DataElement, codecs: str | list[str]) -> bytes:
    if isinstance(element, RawDataElement):
        return element.value or b""
    whole = write_element(element, EXPLICIT_LITTLE, [codecs] if isinstance(codecs, str) else codecs)
    return whole[_SHORT_HEADER_BYTES:]


def series_number(dataset: Dataset) -> int:
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
        source_image = reference(source, SOURCE_IMAGE, keeps_grid=True, frame_number=frame_number)
        derivation_image = EXPLICIT_LITTLE.text(0x00082111, "ST", derivation.description)
        derivation_image += EXPLICIT_LITTLE.sequence(0x00082112, [source_image])
        derivation_image += EXPLICIT_LITTLE.sequence(0x00089215, map(code_item, derivation.codes))
        set_sequence(group, "DerivationImageSequence", [derivation_image])
    set_sequence(dataset, "SourceImageEvidenceSequence", [_evidence(dataset, source)])
    for frame_type in _frame_types([shared, *groups]):
        frame_type.FrameType = ["DERIVED", *(texts_of(frame_type, "FrameType")[1:] or ["PRIMARY"])]


def _evidence(dataset: Dataset, source: Source) -> bytes:
    """Return an item of the Source Image Evidence Sequence (PS3.3 C.8.15.2): which series of which study it is of."""
    encode = EXPLICIT_LITTLE
    series = encode.sequence(0x00081199, [_instance(source)])
    series += encode.text(0x0020000E, "UI", source.series_instance_uid)
    study = encode.sequence(0x00081115, [series])
    return study + encode.text(0x0020000D, "UI", text_of(dataset, "StudyInstanceUID"))


def _frame_types(groups: Iterable[Dataset]) -> Iterator[Dataset]:
    for group in groups:
        for element in group:
            if element.VR == "SQ":
                yield from (item for item in element.value or () if "FrameType" in item)
