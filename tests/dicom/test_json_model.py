"""DICOM JSON made of bytes, and bytes of DICOM JSON: the same as pydicom makes, in a fraction of the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from medserver.dicom.data_sets import read_data_set, write_data_set
from medserver.dicom.json_model import data_set_from_json, read_json, write_json
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.dicom.uids import EXPLICIT_VR_BIG_ENDIAN
from medserver.errors import CannotUnderstand, DataSetTooLarge
from tests.attacks import hostile
from tests.attacks.hostile import EXPLICIT, IMPLICIT
from tests.dicom.test_data_sets import header_of
from tests.failures import Failures
from tests.peers import files

LIMITS = {"elements_max": 100_000, "depth_max": 64}
SYNTAXES = [EXPLICIT, IMPLICIT, EXPLICIT_VR_BIG_ENDIAN]


CHANGES = [byte for byte in range(256) if byte == 0x20 or not chr(byte).isspace()]
"""pydicom strips from a UID whatever Python takes for white space, of which a UID has none as padding (PS3.5 9.1)."""


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns, or whether it refuses."""
    try:
        return function(*arguments)
    except (CannotUnderstand, *PYDICOM_ERRORS):
        return CannotUnderstand


def as_pydicom_has_it(raw: bytes, syntax: str) -> Any:
    return read_data_set(raw, syntax, **LIMITS).to_json_dict()


def as_pydicom_writes_it(content: dict[str, Any], syntax: str) -> bytes:
    return write_data_set(Dataset.from_json(content), syntax)


@pytest.mark.filterwarnings("ignore")  # pydicom warns of what is odd in its test files
def test_real_headers_are_what_pydicom_makes_of_them() -> None:
    written = 0
    with Failures() as failures:
        for sample in files.samples():
            with failures.of(sample.path.name):
                raw = header_of(sample)
                content = outcome(lambda: read_json(raw, sample.transfer_syntax_uid, **LIMITS))
                assert content == outcome(as_pydicom_has_it, raw, sample.transfer_syntax_uid)
                if content is not CannotUnderstand:
                    stored = json.loads(json.dumps(content))
                    for syntax in SYNTAXES:
                        expected = outcome(as_pydicom_writes_it, stored, syntax)
                        assert outcome(write_json, stored, syntax) == expected
                        written += expected is not CannotUnderstand
    assert written > 300


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_are_what_pydicom_makes_of_them(data: st.DataObject) -> None:
    syntax = data.draw(st.sampled_from([EXPLICIT, IMPLICIT]))
    texts = hostile.element(0x0020000E, "UI", b"1.2\\\\3.4 \0", syntax=syntax)
    texts += hostile.element(0x00400254, "LO", b" A \\\\B  ", syntax=syntax)
    texts += hostile.element(0x00400280, "ST", b" A \\ B ", syntax=syntax)
    start = hostile.nested(3, innermost=texts, syntax=syntax)
    changed = bytearray(hostile.element(0x00080005, "CS", b"ISO_IR 192", syntax=syntax) + start)
    for _ in range(data.draw(st.integers(0, 8))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.sampled_from(CHANGES))
    content = outcome(lambda: read_json(bytes(changed), syntax, **LIMITS))
    assert content == outcome(as_pydicom_has_it, bytes(changed), syntax)


def test_texts_are_written_in_the_character_set_that_is_stated() -> None:
    item = Dataset()
    item.SpecificCharacterSet, item.CodeMeaning = "ISO_IR 100", "Größe"
    content = {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00081032": {"vr": "SQ", "Value": [item.to_json_dict()]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jörg"}]},
    }
    written = write_json(content, EXPLICIT)
    assert "Müller^Jörg".encode() in written and "Größe".encode("latin-1") in written
    assert read_json(written, EXPLICIT, **LIMITS) == content
    assert data_set_from_json(content).PatientName == "Müller^Jörg"


def test_more_than_is_allowed() -> None:
    raw = write_data_set(references(100), EXPLICIT)
    with pytest.raises(DataSetTooLarge):
        read_json(raw, EXPLICIT, elements_max=300, depth_max=16)
    with pytest.raises(DataSetTooLarge):
        read_json(raw, EXPLICIT, elements_max=100_000, depth_max=1)


def references(count: int) -> Dataset:
    """Return what a performed procedure step says of its images."""
    series, step = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedImageSequence = "1.2.3", []
    for number in range(count):
        reference = Dataset()
        reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        reference.ReferencedSOPInstanceUID = f"1.2.826.0.1.3680043.10.999.1234567890.1234567890.{number}"
        series.ReferencedImageSequence.append(reference)
    step.PerformedSeriesSequence = [series]
    return step


def test_thousands_of_references() -> None:
    raw = write_data_set(references(2000), EXPLICIT)
    content = read_json(raw, EXPLICIT, **LIMITS)
    assert content == as_pydicom_has_it(raw, EXPLICIT)
    assert write_json(content, EXPLICIT) == raw
