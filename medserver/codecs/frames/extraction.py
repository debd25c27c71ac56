"""Make a new instance of some frames of another one (PS3.4 Y.3.3). The job that worker processes do.

The object is walked over once; what is copied are ranges of its bytes. Neither the frames that were not chosen nor what
is said of them is read, and no frame is decoded.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from medserver.codecs.conversion import limit_file_size
from medserver.codecs.data_sets.deflation import Deflater
from medserver.codecs.data_sets.inflation import plain_data_set
from medserver.codecs.data_sets.writing import encoded_elements
from medserver.codecs.frames import attributes, cine, masks, nuclear, overlays, tiles
from medserver.codecs.frames.chosen import Chosen
from medserver.codecs.frames.layout import PER_FRAME_GROUPS, Layout
from medserver.codecs.frames.pixels import PIXEL_ELEMENTS, pixels_of
from medserver.codecs.frames.times import frame_times_s, number_of, pointers
from medserver.dicom.character_sets import SPECIFIC_CHARACTER_SET
from medserver.dicom.encodings import encoding_of
from medserver.dicom.frame_lists import FrameKeys
from medserver.dicom.representations import STRING_VRS, representation_of
from medserver.dicom.uids import name_based_uid, transfer_syntax
from medserver.errors import CannotTranscode, NotMultiFrame
from medserver.region import open_region

PURPOSE = ("109105", "DCM", "Frame Extracting Equipment")
"""PS3.4 Y.3.3, PS3.16 CID 7005."""

BUFFER_SIZE_BYTES = 1024
"""Between two fragments, which are passed over, a header is read: more would be read in vain."""

_NOT_BY_FRAME = ("1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93")
"""JPEG 2000 Part 2 Multi-component: a fragment may be part of several frames (PS3.5 8.2.4)."""

_ENHANCED_US_VOLUME = "1.2.840.10008.5.1.4.1.1.6.2"

_IMAGE_PIXEL = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PhotometricInterpretation")
_TIMES = ("ContentDate", "ContentTime", "TimezoneOffsetFromUTC")
_NEW = ("SOPClassUID", "SOPInstanceUID", "FrameExtractionSequence", "ContributingEquipmentSequence")

_WANTED = frozenset(
    (
        SPECIFIC_CHARACTER_SET,
        *overlays.WANTED,
        *(
            tag_for_keyword(keyword)
            for keyword in (
                *_NEW, *_IMAGE_PIXEL, *_TIMES, *attributes.WANTED, *cine.WANTED, *masks.WANTED, *nuclear.WANTED,
                tiles.TYPE,
            )  # fmt: skip
        ),
    )
)
_OF_SLIDES = frozenset(map(tag_for_keyword, tiles.WANTED))
_LEFT_OUT = frozenset(map(tag_for_keyword, attributes.LEFT_OUT))
_CURVES = range(0x5000, 0x5100)


def extract(
    source_descriptor: int,
    output_descriptor: int,
    request_descriptor: int,
    offset: int,
    size_bytes: int,
    transfer_syntax_uid: str,
    directory: str,
    size_max_bytes: int,
) -> str:
    """Write a new instance with some of the frames, in the transfer syntax of the object; return its SOP Instance UID.

    Parameters
    ----------
    source_descriptor, output_descriptor, offset, size_bytes, directory, size_max_bytes
        As for `conversion.convert`.
    transfer_syntax_uid : str
        How the object is encoded.
    request_descriptor : int
        A file with what is asked for, in JSON. ``keyword`` and ``values``: the frames, as `FrameKeys` has them.
        ``digest``: the SHA-256 of the data set, hexadecimal. ``equipment``: who makes the instance, keyword -> value of
        an item of Contributing Equipment Sequence. Of these and the UID of the source comes the new UID, so that the
        same again becomes the same instance.

    Raises
    ------
    NotMultiFrame, NoSuchFrames, NoFrameTimes
        There can be no such instance.
    CannotTranscode
        The data set is damaged, or its parts contradict each other.
    """
    limit_file_size(size_max_bytes)
    with os.fdopen(os.dup(request_descriptor), "rb") as written:
        written.seek(0)
        request = json.load(written)
    keys = FrameKeys(request["keyword"], tuple(request["values"]))
    syntax, encoding = transfer_syntax(transfer_syntax_uid), encoding_of(transfer_syntax_uid)
    if syntax.video or syntax.uid in _NOT_BY_FRAME:
        raise CannotTranscode(f"the frames of {syntax.name} depend on each other")
    with ExitStack() as files:
        source = open_region(source_descriptor, offset, size_bytes, BUFFER_SIZE_BYTES)
        stream, size_bytes = files.enter_context(plain_data_set(source, size_bytes, syntax, directory, size_max_bytes))
        layout = Layout(stream, size_bytes, encoding, syntax.encapsulated)
        dataset = _read(layout, _WANTED)
        others = {*_pointed_to(dataset, layout), *(_OF_SLIDES if tiles.is_full(dataset) else ())} - _WANTED
        if others:
            dataset = _read(layout, _WANTED | others)
        chosen = _choose(dataset, layout, keys)
        elements = dict(pixels_of(layout, dataset, chosen, transfer_syntax_uid))
        _identify(dataset, keys, request["digest"], request["equipment"])
        elements |= _reduce(dataset, layout, chosen)
        output = files.enter_context(os.fdopen(output_descriptor, "wb", closefd=False))
        deflater = Deflater(output) if syntax.deflated else None
        left_out = _Left(_WANTED | others, elements)
        layout.write(deflater or output, left_out, encoded_elements(dataset, layout.encoding) | elements)
        if deflater:
            deflater.finish()
    return str(dataset.SOPInstanceUID)


def _pointed_to(dataset: Dataset, layout: Layout) -> set[int]:
    """Return what Frame Increment Pointer names, if that can be a vector: no private attribute, no pixels."""
    return {tag for tag in pointers(dataset) if tag in layout.values and tag < PER_FRAME_GROUPS and not tag >> 16 & 1}


def _read(layout: Layout, tags: frozenset[int]) -> Dataset:
    """Read elements; a text as UN, which is too long for the 16-bit length of its VR, as what it is (PS3.5 6.2.2)."""
    dataset = layout.read(tags)
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        if raw.VR == "UN" and isinstance(raw, RawDataElement) and representation_of(int(tag)) in STRING_VRS:
            dataset[tag] = raw._replace(VR=representation_of(int(tag)))
    return dataset


class _Left:
    """The tags of what is not copied.

    Parameters
    ----------
    read : frozenset of int
        What was read, and is written anew.
    elements : Mapping of int to Iterable of bytes
        What is written in the place of others.
    """

    def __init__(self, read: frozenset[int] | set[int], elements: Mapping[int, Iterable[bytes]]) -> None:
        self._tags = read | elements.keys() | _LEFT_OUT | {*PIXEL_ELEMENTS, PER_FRAME_GROUPS}

    def __contains__(self, tag: int) -> bool:
        """Tell whether an element is not copied.

        Private ones are not, for nobody knows what they say of frames (PS3.4 Y.3.3), nor are curves, with their audio,
        whose relation to the frames would be lost.
        """
        return tag in self._tags or bool(tag >> 16 & 1) or tag >> 16 in _CURVES


def _choose(dataset: Dataset, layout: Layout, keys: FrameKeys) -> Chosen:
    """Find out which frames are meant.

    Raises
    ------
    NotMultiFrame
        The object is no multi-frame image.
    CannotTranscode
        The functional groups are not those of so many frames.
    """
    number_of_frames = int(number_of(dataset, "NumberOfFrames") or 0)
    if number_of_frames < 1:
        raise NotMultiFrame("the object is no multi-frame image")
    if layout.groups and len(layout.groups) != number_of_frames:
        raise CannotTranscode(
            f"Number of Frames is {number_of_frames}, but {len(layout.groups)} by the functional groups"
        )
    if PER_FRAME_GROUPS in layout.values:
        raise CannotTranscode("the functional groups of the frames are encoded as UN")
    times = frame_times_s(dataset, number_of_frames, layout.date_times) if keys.is_by_time else None
    return Chosen(keys.numbers(number_of_frames, times), number_of_frames)


def _identify(dataset: Dataset, keys: FrameKeys, digest: str, equipment: Mapping[str, str]) -> None:
    """Make it another instance, which says what it was made of, and by whom (PS3.4 Y.3.3, PS3.3 C.12.3)."""
    source_uid = str(dataset.get("SOPInstanceUID") or "")
    extraction = Dataset()
    extraction.MultiFrameSourceSOPInstanceUID = source_uid
    setattr(extraction, keys.keyword, list(keys.values))
    dataset.FrameExtractionSequence = [*(dataset.get("FrameExtractionSequence") or ()), extraction]
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = PURPOSE
    contribution = Dataset()
    contribution.PurposeOfReferenceCodeSequence = [purpose]
    for keyword, value in equipment.items():
        setattr(contribution, keyword, value)
    dataset.ContributingEquipmentSequence = [*(dataset.get("ContributingEquipmentSequence") or ()), contribution]
    made_of = [source_uid, digest, keys.keyword, *map(str, keys.values), *equipment.values()]
    dataset.SOPInstanceUID = name_based_uid(uuid.NAMESPACE_OID, chr(0).join(made_of))


def _reduce(dataset: Dataset, layout: Layout, chosen: Chosen) -> dict[int, Iterable[bytes]]:
    """Change what is said of the frames; return what is written that was not read."""
    elements, groups = overlays.reduce(dataset, layout, chosen)
    for tag in (*layout.values, *dataset.keys()):
        if tag >> 16 in groups:
            elements[int(tag)] = b""
            attributes.drop(dataset, tag)
    _reduce_dimensions(dataset, chosen)
    described = tiles.spell_out(dataset, layout, chosen, str(dataset.SOPInstanceUID))
    if described is None and layout.groups:
        described = layout.groups_of(chosen.numbers)
    if described is not None:
        elements[PER_FRAME_GROUPS] = described
    cine.reduce(dataset, chosen)
    nuclear.reduce_offsets(dataset, chosen)
    attributes.reduce(dataset, chosen)
    nuclear.reduce_counts(dataset, chosen)
    nuclear.reduce_numbers(dataset)
    masks.reduce(dataset, chosen)
    attributes.drop(dataset, *attributes.LEFT_OUT)
    return elements


def _reduce_dimensions(dataset: Dataset, chosen: Chosen) -> None:
    """Do not claim planes at equal distances that are not there any more (PS3.3 C.7.6.17)."""
    organization = str(dataset.get(tiles.TYPE) or "").strip()
    is_kept = chosen.count == chosen.of or (organization == "3D" and chosen.step == 1)
    if not organization.startswith("3D") or is_kept:
        return
    if dataset.get("SOPClassUID") == _ENHANCED_US_VOLUME:  # Type 1 there
        raise NotMultiFrame("the frames are no volume any more")
    attributes.drop(dataset, tiles.TYPE)
