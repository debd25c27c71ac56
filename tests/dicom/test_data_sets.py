"""Small data sets: what is read of real ones is what pydicom reads, and hostile ones cost next to nothing."""

from __future__ import annotations

import time
import tracemalloc
from contextlib import nullcontext

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

from medserver.dicom.data_sets import read_data_set, write_element
from medserver.dicom.elements import scan_elements
from medserver.dicom.encodings import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from medserver.dicom.representations import BINARY_NUMBERS, BULK_VRS, VALID
from medserver.dicom.uids import EXPLICIT_VR_BIG_ENDIAN, transfer_syntax
from medserver.errors import CannotUnderstand
from tests.attacks import hostile
from tests.attacks.hostile import EXPLICIT, IMPLICIT
from tests.failures import Failures
from tests.peers import files
from tests.samples import oddity

LIMITS = {"elements_max": 2000, "depth_max": 16}
SECONDS_MAX = 0.5  # of CPU time: what else runs here is no fault
MEMORY_MAX_BYTES = 16 * 1024 * 1024


def encode(dataset: Dataset, syntax_uid: str) -> bytes:
    syntax = transfer_syntax(syntax_uid)
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax.implicit_vr, syntax.little_endian
    write_dataset(stream, dataset)
    return stream.getvalue()


# -- real data sets ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # pydicom warns of what is odd in its test files
def test_real_headers_are_read_as_pydicom_reads_them() -> None:
    with Failures() as failures:
        for sample in files.samples():
            with failures.of(sample.path.name):
                refusal = oddity(sample.path.name).data_set
                with pytest.raises(CannotUnderstand, match=f"^{refusal}$") if refusal else nullcontext():
                    header_is_read_as_pydicom_reads_it(sample)


def header_is_read_as_pydicom_reads_it(sample: files.Sample) -> None:
    expected = dcmread(sample.path, stop_before_pixels=True)
    encoded = header_of(sample)
    read = read_data_set(encoded, sample.transfer_syntax_uid, elements_max=100_000, depth_max=64)
    tags = [tag for tag in expected.keys() if tag.element]  # without group lengths
    assert list(read.keys()) == tags
    for tag in tags:
        # pydicom knows the VRs of some makers' elements, and which of two VRs it is by Pixel Representation: both are
        # bytes here.
        if not tag.is_private and read[tag].VR != "US or SS":
            assert read[tag] == expected[tag], tag


def header_of(sample: files.Sample) -> bytes:
    """Return the bytes of a sample before its pixel data."""
    syntax = transfer_syntax(sample.transfer_syntax_uid)
    raw = hostile.inflated(sample.data_set()) if syntax.deflated else sample.data_set()
    return raw[: scan_elements(raw, syntax, frozenset({0x7FE00007})).end]


@pytest.mark.parametrize("encoding", [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG])
def test_sequences_are_written_as_they_were_read(encoding: Encoding) -> None:
    inner = Dataset()
    inner.CodeMeaning, inner.Rows, inner.PixelSpacing = "頭部", 5, [0.5, 0.25]
    item = Dataset()
    item.SpecificCharacterSet, item.PatientName = "ISO_IR 100", "Größe^Jörg"
    item.RequestedProcedureCodeSequence = Sequence([inner, Dataset()])
    outer = Dataset()
    outer.SpecificCharacterSet, outer.ReferencedRequestSequence = "ISO_IR 192", Sequence([item])
    inner.SpecificCharacterSet = "ISO_IR 192"
    read = read_data_set(encode(outer, EXPLICIT), EXPLICIT, **LIMITS)
    written = write_element(read["ReferencedRequestSequence"], encoding, ["utf-8"])
    uid = {EXPLICIT_LITTLE: EXPLICIT, IMPLICIT_LITTLE: IMPLICIT, EXPLICIT_BIG: EXPLICIT_VR_BIG_ENDIAN}[encoding]
    again = read_data_set(written, uid, **LIMITS)
    assert again["ReferencedRequestSequence"] == outer["ReferencedRequestSequence"]


@pytest.mark.parametrize("encoding", [EXPLICIT_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE])
@pytest.mark.parametrize("vr", sorted(VALID - BINARY_NUMBERS.keys() - {"AT", "SQ"}))
def test_values_of_odd_length_are_padded(encoding: Encoding, vr: str) -> None:
    """PS3.5 7.1.1. A fragment of odd length makes DCMTK end the association."""
    for value in (b"1", b"1.2", b"12345"):
        text = PersonName(value.decode()) if vr == "PN" else value.decode()
        element = DataElement(0x00091001, vr, value if vr in BULK_VRS else text, already_converted=True)
        written = write_element(element, encoding, ["iso8859"])
        assert len(written) % 2 == 0 and value in written


def test_explicit_vr_where_it_should_be_implicit() -> None:
    dataset = Dataset()
    dataset.PatientID, dataset.Rows = "P1", 5
    assert read_data_set(encode(dataset, EXPLICIT), IMPLICIT, **LIMITS) == dataset


@pytest.mark.parametrize("term", ["ISO_IR 100", "iso-ir 100", "ISO IR 100"])
def test_character_sets_that_are_known(term: str) -> None:
    raw = hostile.element(0x00080005, "CS", term.encode()) + hostile.element(0x00100020, "LO", b"Gr\xf6\xdfe ")
    assert read_data_set(raw, EXPLICIT, **LIMITS).PatientID == "Größe"


# -- hostile ones ------------------------------------------------------------------------------------------------


def deep(syntax: str, depth: int, defined: bool, innermost: bytes = b"") -> bytes:
    return hostile.nested(depth, defined=defined, innermost=innermost, syntax=syntax)


HOSTILE = {
    "deep": lambda: deep(EXPLICIT, 5000, True),
    "deep, undefined lengths": lambda: deep(EXPLICIT, 5000, False),
    "a wrong length inside": lambda: deep(EXPLICIT, 16, False, hostile.element(hostile.ROWS, "US", b"abc")),
    "many items": lambda: hostile.element(hostile.REQUEST_ATTRIBUTES_SEQUENCE, "SQ", hostile.item(b"") * 130_000),
    "many elements": lambda: b"".join(hostile.element(0x00110010 + n, "LO", b"") for n in range(60_000)),
    "many values": lambda: hostile.element(0x00100020, "LO", b"\\" * 60_000),
    "UN that is a sequence": lambda: hostile.element(hostile.CONTENT_SEQUENCE, "UN", hostile.nested(1000)),
    "encapsulated pixels": lambda: (
        hostile.element(hostile.PIXEL_DATA, "OB", hostile.item(b""), hostile.UNDEFINED_LENGTH) + hostile.SEQUENCE_END
    ),
}


REASONS = {
    "deep": "items are nested more than 16 deep",
    "deep, undefined lengths": "items are nested more than 16 deep",
    "a wrong length inside": "a value cannot be read: BytesLengthException",
    "many items": "there are too many elements",
    "many elements": "there are too many elements",
    "many values": "there are too many elements",
    "UN that is a sequence": "a sequence as UN with a defined length",
    "encapsulated pixels": "encapsulated Pixel Data",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_data_sets_are_refused_soon(name: str) -> None:
    raw = HOSTILE[name]()
    tracemalloc.start()
    began_at = time.thread_time()
    try:
        with pytest.raises(CannotUnderstand, match=f"{REASONS[name]}$"):
            read_data_set(raw, EXPLICIT, **LIMITS)
        assert time.thread_time() - began_at < SECONDS_MAX
        assert tracemalloc.get_traced_memory()[1] < MEMORY_MAX_BYTES
    finally:
        tracemalloc.stop()


def test_values_longer_than_explicit_vr_allows() -> None:
    uids = b"1.2.3.4\\" * 20_000
    long_list = hostile.element(hostile.STUDY_INSTANCE_UID, "UI", uids, syntax=IMPLICIT)
    assert read_data_set(long_list, IMPLICIT, **LIMITS)["StudyInstanceUID"].VM == 20_001
    with pytest.raises(CannotUnderstand, match="a value of VR PN has 160000 bytes$"):
        read_data_set(hostile.element(hostile.PATIENT_NAME, "PN", uids, syntax=IMPLICIT), IMPLICIT, **LIMITS)


@pytest.mark.parametrize("codec", ["punycode", "idna", "unicode_escape", "zip", "utf-7"])
def test_codecs_of_python_are_no_character_sets(codec: str) -> None:
    """Some of them take time with the square of the length."""
    character_set = hostile.element(0x00080005, "CS", codec.encode())
    patient_id = hostile.element(0x00100020, "LO", b"\xff" + b"a-" * 30_000)
    began_at = time.thread_time()
    read = read_data_set(character_set + patient_id, EXPLICIT, **LIMITS)
    assert read.PatientID.startswith("ÿa-a-")
    assert time.thread_time() - began_at < SECONDS_MAX


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_bytes_are_read_or_refused(data: st.DataObject) -> None:
    """Whatever a data set is changed into, nothing else is raised; and what is read can be read again."""
    syntax = data.draw(st.sampled_from([EXPLICIT, IMPLICIT]))
    start = hostile.nested(3, innermost=hostile.element(hostile.PATIENT_NAME, "PN", b"A^B=C=D\\E", syntax=syntax))
    changed = bytearray(hostile.element(0x00080005, "CS", b"ISO_IR 192", syntax=syntax) + start)
    for _ in range(data.draw(st.integers(0, 8))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = read_data_set(bytes(changed), syntax, **LIMITS)
    except CannotUnderstand as error:
        assert str(error)
        return
    for element in read:
        assert isinstance(str(element.value), str)
