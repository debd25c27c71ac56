"""What is remembered of other data sets changes nothing in what is read."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medserver.dicom.elements import scan_elements
from medserver.dicom.runs import Runs
from medserver.dicom.uids import TransferSyntax
from tests.dicom.test_elements import BEYOND_ALL, NATIVE, SMALL_FILES, encode, patient

UID, NUMBER, NAME = 0x00080018, 0x00200013, 0x00100010
MANY = {f"{keyword}Time": "101112" for keyword in ("Study", "Series", "Acquisition", "Content", "InstanceCreation")}
MANY |= {f"{keyword}Date": "20260131" for keyword in ("Study", "Series", "Acquisition", "Content", "InstanceCreation")}


def instance(syntax: TransferSyntax, number: int, **attributes: object) -> bytes:
    given = {**MANY, "SOPInstanceUID": f"1.2.{number}", "InstanceNumber": number, "PatientSex": "F", **attributes}
    return encode(patient(**given), syntax)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.name)
def test_the_third_instance_of_a_series_is_hardly_read(syntax: TransferSyntax) -> None:
    runs, wanted = Runs(), frozenset({UID, NUMBER, NAME, 0x0020000D})
    for number in range(1, 20):
        raw = instance(syntax, number)
        assert scan_elements(raw, syntax, wanted, runs=runs) == scan_elements(raw, syntax, wanted)
    assert sum(len(run.raw) for run in runs.by_tag.values()) > 0.8 * len(raw)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.name)
def test_an_element_that_comes_twice(syntax: TransferSyntax) -> None:
    runs, wanted = Runs(), frozenset({UID, NUMBER, NAME, 0x0020000D})
    names = [encode(patient(PatientName=name), syntax) for name in ("A", "BB", "CCC")]
    for number in range(60):
        raw = instance(syntax, number % 7) + names[number % 2] + names[number % 3] + instance(syntax, number % 5)
        assert scan_elements(raw, syntax, wanted, runs=runs) == scan_elements(raw, syntax, wanted)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_is_read_as_without_what_is_remembered(data: st.DataObject) -> None:
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    files = chance.sample(SMALL_FILES, 2)
    tags = scan_elements(*files[0], frozenset(range(0x00080000, 0x00081200)) | {BEYOND_ALL}).values.keys()
    wanted, runs = frozenset({*chance.sample(sorted(tags), len(tags) // 2), UID, NUMBER, NAME, 0x00400275}), Runs()
    for _ in range(12):
        raw, syntax = files[chance.random() < 0.2]
        raw = bytearray(raw)
        for _ in range(chance.choice((0, 0, 1, 5))):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        raw = bytes(raw[: chance.choice((len(raw), chance.randrange(len(raw))))])
        elements_max = chance.choice((1_000_000, 3, 10))
        found = scan_elements(raw, syntax, wanted, elements_max=elements_max, runs=runs)
        assert found == scan_elements(raw, syntax, wanted, elements_max=elements_max)
