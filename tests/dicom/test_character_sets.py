from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydicom.charset import python_encoding
from pydicom.data import get_charset_files
from pydicom.dataset import Dataset

from medserver.dicom.character_sets import (
    can_represent,
    character_set_for,
    decode_text,
    is_usable,
    python_codecs,
    read_specific_character_set,
)
from medserver.dicom.elements import scan_elements
from medserver.dicom.part10 import read_file_meta
from medserver.dicom.uids import transfer_syntax

CHARACTER_SET, PATIENT_NAME = 0x00080005, 0x00100010
EXPLICIT = transfer_syntax("1.2.840.10008.1.2.1")
REAL_FILES = [path for path in map(Path, get_charset_files("*.dcm")) if "SQ" not in path.name]

NAMES = {
    "Doe^Jane": "",
    "Buc^Jérôme": "ISO_IR 100",
    "Łukasiewicz^Jan": "ISO_IR 101",
    "Ĝoja^Ĥoro": "ISO_IR 109",
    "Ķirsons^Māris": "ISO_IR 110",
    "Люкceмбypг": "ISO_IR 144",
    "قباني^لنزار": "ISO_IR 127",
    "Διονυσιος": "ISO_IR 126",
    "שרון^דבורה": "ISO_IR 138",
    "João^Şahin": "ISO_IR 148",
    "ﾔﾏﾀﾞ^ﾀﾛｳ": "ISO_IR 13",
    "สมชาย": "ISO_IR 166",
    "王^小東": "ISO_IR 192",
    "홍^길동": "ISO_IR 192",
    "Ψ^é^Ж": "ISO_IR 192",
}


def elements_of(dataset: Dataset) -> dict[int, bytes]:
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=False, little_endian=True)
    return {tag: raw for tag, (_, raw) in scan_elements(
        stream.getvalue(), EXPLICIT, frozenset({CHARACTER_SET, PATIENT_NAME, 0x00104000, 0x00081030})
    ).values.items()}


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.name)
def test_names_in_real_files(path):
    content = path.read_bytes()
    meta = read_file_meta(io.BytesIO(content))
    values = scan_elements(
        content[meta.data_set_offset :], transfer_syntax(meta.transfer_syntax_uid),
        frozenset({CHARACTER_SET, PATIENT_NAME}),
    ).values
    character_set = decode_text(values[CHARACTER_SET][1], "CS", ()).split("\\")
    name = decode_text(values[PATIENT_NAME][1], "PN", character_set)
    assert name.rstrip("=") == str(pydicom.dcmread(path).PatientName)
    assert can_represent(name, "\\".join(character_set))


@pytest.mark.parametrize("raw, vr, text", [
    (b"1.2.3\x00", "UI", "1.2.3"),
    (b" AE1 ", "AE", "AE1"),
    (b" A \\ B ", "LO", "A\\B"),
    (b"A\\", "CS", "A\\"),
    (b" 1 \\ 2", "DS", "1\\2"),
    (b"  A \\ B ", "LT", "  A \\ B"),
    (b" A ", "UC", " A"),
    (b"", "LO", ""),
    (b" \x00\x00", "LO", ""),
    (b"Doe^Jane ", "", "Doe^Jane"),
])
def test_padding(raw, vr, text):
    assert decode_text(raw, vr, ()) == text


@pytest.mark.parametrize("raw, character_set, text", [
    (b"J\xe9r\xf4me", [], "Jérôme"),
    (b"J\xe9r\xf4me", [""], "Jérôme"),
    (b"J\xe9r\xf4me", ["ISO-IR 100"], "Jérôme"),
    (b"\xcb\xe3", ["ISO IR 126"], "Λγ"),
    (b"\xcb\xe3", ["ISO_IR_126 "], "Λγ"),
    (b"\xcb\xe3", ["iso_ir 126"], "Λγ"),
    (b"\x1b-F\xcb\xe3", ["ISO 2022 IR 6", "ISO_2022_IR_126"], "Λγ"),
    (b"\xa6o\xa8i\xe6 5 \xa4", ["ISO_IR 203"], "Šošiæ 5 €"),
    (b"\xa6o\xa8i\xe6 5 \xa4", ["ISO-IR 203"], "Šošiæ 5 €"),
    (b"\x1b-b\xbc\\\xbc", ["ISO 2022 IR 100", "ISO 2022 IR 203"], "Œ\\¼"),
    ("王".encode(), ["UTF-8"], "王"),
    ("王".encode(), ["ISO_IR 192", "ISO 2022 IR 100"], "王"),
    (b"J\xe9r\xf4me", ["ISO 2022 IR 100", "ISO_IR 192"], "Jérôme"),
    (b"J\xe9r\xf4me", ["no such set"], "Jérôme"),
    (b"J\xe9r\xf4me", ["unicode_escape"], "Jérôme"),
    (b"J\xe9r", ["ISO_IR 192"], "J\ufffdr"),
    (b"\xb0\x5c", ["GBK"], "癨"),
    (b"\x1b-F\xcb\xe3\\\xe9", ["ISO 2022 IR 100"], "Λγ\\é"),
    (b"\x1b-F\xcb\xe3\r\n\xe9", ["ISO 2022 IR 100"], "Λγ\r\né"),
    (b"\x1b$)A\xcd\xf5", ["", "ISO 2022 IR 58"], "王"),
    (b"\x1b$B;3ED\x1b(B A", [], "山田 A"),
    (b"\x1b~\xe9", [""], "~é"),
    (b"\x1b", [""], ""),
])
def test_character_sets_of_peers(raw, character_set, text):
    assert decode_text(raw, "LO", character_set) == text


def test_delimiters_of_a_name_bring_the_first_set_back():
    raw = b"\x1b-F\xcb\xe3^\xe9=\x1b-F\xcb=\xe9"
    assert decode_text(raw, "PN", ["ISO 2022 IR 100", "ISO 2022 IR 126"]) == "Λγ^é=Λ=é"
    assert decode_text(raw, "LO", ["ISO 2022 IR 100", "ISO 2022 IR 126"]) == "Λγ^ι=Λ=ι"


def test_vrs_of_the_default_repertoire_ignore_the_character_set():
    assert decode_text(b"A\xe9", "CS", ["ISO_IR 192"]) == "Aé"


@given(
    st.binary(max_size=60),
    st.sampled_from(["AE", "CS", "LO", "LT", "PN", "SH", "UC", "UI", "UN", "UT", "", "??"]),
    st.lists(st.sampled_from(sorted(python_encoding)) | st.text(max_size=20), max_size=4),
)
def test_any_bytes_give_text(raw, vr, character_set):
    text = decode_text(raw, vr, character_set)
    text.encode("utf-8")
    assert not text.endswith((" ", "\x00"))


@given(st.lists(st.sampled_from(
    [b"\x1b$B", b"\x1b$)C", b"\x1b-F", b"\x1b(J", b"\x1b", b"^", b"\xb0\xa1", b"a"]
)))
def test_any_escape_sequences_give_text(parts):
    decode_text(b"".join(parts), "PN", ["", "ISO 2022 IR 87", "ISO 2022 IR 149"]).encode("utf-8")


@pytest.mark.parametrize("name, character_set", NAMES.items(), ids=lambda text: text)
def test_smallest_character_set(name, character_set):
    assert character_set_for([name, "", "plain"]) == character_set
    assert can_represent(name, character_set)
    assert can_represent(name, "ISO_IR 192")
    assert character_set == "" or not can_represent(name, "")


def test_one_set_for_all_values():
    assert character_set_for(["Jérôme", "Διονυσιος"]) == "ISO_IR 192"
    assert character_set_for([]) == ""


@pytest.mark.parametrize("values, requested, chosen", [
    (["Doe"], ["ISO_IR 100"], "ISO_IR 100"),
    (["Doe"], ["ISO_IR 192"], "ISO_IR 192"),
    (["Jérôme"], ["ISO_IR 192"], "ISO_IR 192"),
    (["王"], ["ISO_IR 100"], "ISO_IR 192"),
    (["王"], ["GB18030"], "GB18030"),
    (["Jérôme"], [""], "ISO_IR 100"),
    (["Jérôme"], ["no such set"], "ISO_IR 100"),
    (["Jérôme"], ["utf_16"], "ISO_IR 100"),
    (["山田^太郎"], ["", "ISO 2022 IR 87"], "\\ISO 2022 IR 87"),
    (["山田^太郎"], ["ISO_IR 100", "ISO_IR 192"], "ISO_IR 192"),
    (["Jérôme"], ["", "ISO 2022 IR 87"], "ISO_IR 100"),
])
def test_requested_set_is_preferred(values, requested, chosen):
    assert character_set_for(values, requested) == chosen


REQUESTS = [
    [], ["ISO_IR 13"], ["GB18030"], ["GBK"], ["ISO_IR 192"],
    ["", "ISO 2022 IR 87"], ["ISO 2022 IR 13", "ISO 2022 IR 87"], ["", "ISO 2022 IR 149"],
    ["ISO 2022 IR 100", "ISO 2022 IR 126"], ["ISO 2022 IR 6", "ISO 2022 IR 144", "ISO 2022 IR 138"],
]
letters = st.text(st.sampled_from("aZ éçŁşΛιЖชשقﾔﾏﾀ山田やま洪吉길王é^"), min_size=1, max_size=12)


@given(letters, st.sampled_from(REQUESTS))
def test_what_pydicom_writes_in_the_chosen_set_is_read_back(text, requested):
    assume(text == text.strip())
    chosen = character_set_for([text], requested)
    dataset = Dataset()
    dataset.SpecificCharacterSet = chosen
    dataset.PatientName = text
    raw = elements_of(dataset)
    character_set = decode_text(raw[CHARACTER_SET], "CS", ()).split("\\")
    assert "\\".join(character_set) == chosen
    assert decode_text(raw[PATIENT_NAME], "PN", character_set) == text


@pytest.mark.parametrize(
    ("raw", "terms"),
    [
        (b"", ("",)),
        (b"ISO_IR 100", ("ISO_IR 100",)),
        (b"\\\\ISO 2022 IR 87 \0", ("", "", "ISO 2022 IR 87")),
        (b"\\ISO 2022 IR 87 \0", ("", "ISO 2022 IR 87")),
        (b"iso-ir-100", ("ISO_IR 100",)),
        (b"UTF-8", ("ISO_IR 192",)),
        (b"punycode\\ISO 2022 IR 149", ("", "ISO 2022 IR 149")),
        (b"unicode_escape", ("",)),
        (b"\xff\x1b", ("",)),
    ],
)
def test_specific_character_set_holds_defined_terms_only(raw, terms):
    assert read_specific_character_set(raw) == terms
    assert all(codec in python_encoding.values() for codec in python_codecs(terms))


def test_specific_character_set_is_read_no_further_than_it_can_be_meant():
    assert len(read_specific_character_set(b"x\\" * 1_000_000)) <= 512


@pytest.mark.parametrize(
    "terms",
    [(), ("NONSENSE",), ("punycode",), ("ISO 2022 IR 149",), ("ISO 2022 IR 58",), ("ISO 2022 IR 87",),
     ("ISO 2022 IR 159",), ("ISO 2022 IR 149", "ISO 2022 IR 100"), ("ISO_IR 100", "ISO 2022 IR 87"), ("", "")],
)  # fmt: skip
def test_sets_that_no_answer_is_given_in(terms):
    assert not is_usable(terms)
    assert character_set_for(["홍^길동"], terms) == "ISO_IR 192"


@pytest.mark.parametrize(
    ("stated", "meant"),
    [
        ("ISO_IR 149", "ISO 2022 IR 149"),
        ("iso_ir 58", "ISO 2022 IR 58"),
        ("ISO IR 87", "ISO 2022 IR 87"),
        ("ISO-IR-159", "ISO 2022 IR 159"),
        ("ISO 2022 IR 192", "ISO_IR 192"),
        ("ISO_2022_IR_100", "ISO 2022 IR 100"),
        ("ISO_IR100", "ISO_IR 100"),
        ("ISO_IR 4711", ""),
    ],
)
def test_misspelt_terms_are_put_right(stated, meant):
    assert read_specific_character_set(stated.encode()) == (meant,)
