"""Every kind of matching of PS3.4 C.2.2.2, against independent references where there can be one."""

from __future__ import annotations

from datetime import date
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from medserver.dicom.matching import (
    AnyOf,
    CombinedRange,
    PersonNameMatch,
    Range,
    SequenceMatch,
    SingleValue,
    UIDList,
    WildCard,
    combine_date_times,
    fits,
    matches,
    matches_item,
    parse_key,
)
from medserver.dicom.values import normalise_number, normalise_value
from medserver.errors import IdentifierMismatch

WILD_CARD_VRS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
ALL_VRS = (*WILD_CARD_VRS, "AS", "AT", "DA", "DS", "DT", "FD", "IS", "OB", "SQ", "TM", "UI", "UN", "US")


def found(keyword: str, vr: str, key: object, value: object) -> bool:
    condition = parse_key(keyword, vr, key)
    return condition is None or matches(condition, value)


# ---- universal matching, PS3.4 C.2.2.2.3 ----


def test_empty_and_asterisk_are_universal():
    keys = [(vr, key) for vr in ALL_VRS if vr != "SQ" for key in (None, "", "  ", "*", "**", [], [""], ["", None])]
    assert [(vr, key) for vr, key in keys if parse_key("PatientID", vr, key) is not None] == []


@pytest.mark.parametrize(
    "key", [None, "", [], [{}], [Dataset()], [{"AccessionNumber": ""}], [{"Modality": "*"}]]
)
def test_a_sequence_that_asks_for_nothing_is_universal(key):
    assert parse_key("RequestAttributesSequence", "SQ", key) is None


@pytest.mark.parametrize("keyword", ["SpecificCharacterSet", "TimezoneOffsetFromUTC", "QueryRetrieveLevel"])
def test_what_describes_the_keys_is_no_key(keyword):
    assert parse_key(keyword, "CS", "ISO_IR 100") is None


def test_absent_and_empty_values_fulfil_no_condition():
    for condition in (
        SingleValue("PatientID", "1"),
        WildCard("PatientID", "?*"),
        Range("StudyDate", None, "20260101"),
        PersonNameMatch("PatientName", any_group="doe*"),
        UIDList("StudyInstanceUID", ("1.2",)),
        SequenceMatch("RequestAttributesSequence", (SingleValue("AccessionNumber", "1"),)),
    ):
        for value in (None, "", " ", []):
            assert not matches(condition, value)


# ---- single value matching, PS3.4 C.2.2.2.1 ----


@pytest.mark.parametrize(
    ("keyword", "vr", "key", "value", "expected"),
    [
        ("PatientID", "LO", "abc", "abc", True),
        ("PatientID", "LO", "abc", "ABC", False),
        ("PatientID", "LO", "abc ", " abc", True),
        ("PatientID", "LO", "abc", "ab", False),
        ("PatientID", "LO", "Müller", "Muller", False),
        ("PatientID", "LO", "100%", "100%", True),
        ("PatientID", "LO", "a_c", "abc", False),
        ("PatientComments", "LT", " abc", "abc", False),
        ("PatientComments", "LT", "abc  ", "abc", True),
        ("PatientComments", "LT", "a\\b", "a\\b", True),
        ("PatientComments", "LT", "a", "a\\b", False),
        ("PatientAge", "AS", "042Y", "042Y", True),
        ("InstanceNumber", "IS", "1", "01", True),
        ("InstanceNumber", "IS", "1", " +1 ", True),
        ("InstanceNumber", "IS", "1", "10", False),
        ("InstanceNumber", "IS", "100", 100, True),
        ("InstanceNumber", "IS", 7, "7", True),
        ("InstanceNumber", "IS", "x", "x", True),
        ("PatientWeight", "DS", "70", "70.0", True),
        ("PatientWeight", "DS", "7E1", "70", True),
        ("PatientWeight", "DS", "-0.0", "0", True),
        ("PatientWeight", "DS", "70.1", "70", False),
        ("Rows", "US", 512, "512", True),
        ("StudyDate", "DA", "20260131", "2026.01.31", True),
        ("StudyTime", "TM", "2230", "223000", True),
        ("StudyTime", "TM", "223000", "223000.25", True),
        ("StudyTime", "TM", "223000", "2230", True),
        ("StudyTime", "TM", "2230", "2231", False),
        ("StudyTime", "TM", "223000.0", "223000.25", False),
        ("AcquisitionDateTime", "DT", "19980128103000", "19980128073000-0300", True),
        ("AcquisitionDateTime", "DT", "19980128103000", "19980128103000.0000", True),
    ],
)
def test_single_values(keyword, vr, key, value, expected):
    assert found(keyword, vr, key, value) is expected


def test_wild_cards_are_literal_where_the_vr_has_none():
    assert parse_key("InstanceNumber", "IS", "1*") == SingleValue("InstanceNumber", "1*")
    assert parse_key("PatientAge", "AS", "04?Y") == SingleValue("PatientAge", "04?Y")
    assert not found("InstanceNumber", "IS", "1*", "12")


def test_one_of_several_values_of_an_attribute_has_to_match():
    assert found("ImageType", "CS", "PRIMARY", "ORIGINAL\\PRIMARY\\AXIAL")
    assert found("ImageType", "CS", "PRI*", ["ORIGINAL", "PRIMARY"])
    assert found("ImageType", "CS", "PRIMARY", MultiValue(str, ["ORIGINAL", "PRIMARY"]))
    assert not found("ImageType", "CS", "ORIGINAL\\PRIMARY".replace("\\", ""), "ORIGINAL\\PRIMARY")
    assert found("OperatorsName", "PN", "roe*", ["Doe^Jane", "Roe^Jane"])


def test_one_of_several_values_of_a_key_has_to_match():
    condition = parse_key("ModalitiesInStudy", "CS", "CT\\MR\\CT")
    assert condition == AnyOf(
        "ModalitiesInStudy", (SingleValue("ModalitiesInStudy", "CT"), SingleValue("ModalitiesInStudy", "MR"))
    )
    assert matches(condition, ["MR", "SR"])
    assert not matches(condition, ["US", "SR"])
    assert parse_key("ModalitiesInStudy", "CS", "CT\\*") is None
    assert parse_key("ModalitiesInStudy", "CS", "CT\\") == SingleValue("ModalitiesInStudy", "CT")


def test_the_number_of_alternatives_is_limited():
    with pytest.raises(IdentifierMismatch):
        parse_key("PatientID", "LO", [str(number) for number in range(1000)])
    assert (
        len(parse_key("SOPInstanceUID", "UI", [f"1.{number}" for number in range(100_000)]).values) == 100_000
    )


@given(st.integers(min_value=-(10**9), max_value=10**9))
def test_equal_numbers_have_one_form(number):
    texts = [f"{number}", f" {number} ", f"{number:+}", f"{number}.000", f"{number}E0", f"{number * 10}e-1"]
    assert {normalise_number(text) for text in texts} == {str(number)}


@given(st.decimals(-1000, 1000, places=3), st.decimals(-1000, 1000, places=3))
def test_unequal_numbers_have_different_forms(one, other):
    assert (normalise_number(str(one)) == normalise_number(str(other))) == (one == other)


@given(st.integers(min_value=-(2**31), max_value=2**31), st.integers(min_value=0, max_value=4))
def test_integers_are_normalised_to_what_python_prints(number, zeros):
    sign = "-" if number < 0 else ""
    assert normalise_number(f"{sign}{'0' * zeros}{abs(number)}") == str(number)


def test_huge_exponents_stay_short():
    assert len(normalise_number("1E999")) < 10
    assert normalise_number("1E9999999999") == "1E9999999999"


# ---- list of UIDs, PS3.4 C.2.2.2.2 ----


def test_uids():
    assert parse_key("StudyInstanceUID", "UI", "1.2.3\0") == UIDList("StudyInstanceUID", ("1.2.3",))
    condition = parse_key("StudyInstanceUID", "UI", "1.2.3\\1.2.4\\1.2.3")
    assert condition == UIDList("StudyInstanceUID", ("1.2.3", "1.2.4"))
    assert matches(condition, "1.2.4")
    assert not matches(condition, "1.2.40")
    assert found("SOPClassesInStudy", "UI", "1.2", ["1.1", "1.2"])


@pytest.mark.parametrize(
    "key", ["1.2.3-1.2.9", "1.2.*", "1.2.?", "1.2 .3", "abc", "1" * 65, "1.2\\x", "１.2"]
)
def test_what_is_no_uid_is_refused(key):
    with pytest.raises(IdentifierMismatch):
        parse_key("StudyInstanceUID", "UI", key)


# ---- wild cards, PS3.4 C.2.2.2.4 ----


@cache
def _fits_by_definition(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return _fits_by_definition(pattern[1:], text) or bool(text) and _fits_by_definition(pattern, text[1:])
    return bool(text) and pattern[0] in ("?", text[0]) and _fits_by_definition(pattern[1:], text[1:])


@given(st.text("ab*?%_[]\\", max_size=9), st.text("ab*?%_[]\\", max_size=12))
@example("*a*b", "aab")
@example("a*", "a")
@example("", "")
@example("*", "")
@example("?", "*")
def test_wild_cards_against_their_definition(pattern, text):
    assert fits(pattern, text) == _fits_by_definition(pattern, text)


@given(st.text(max_size=20), st.data())
def test_a_text_fits_itself_with_parts_replaced(text, data):
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    assert fits(text[:first] + "*" + text[last:], text)
    assert fits(text[:first] + "?" * (last - first) + text[last:], text)


def test_a_hostile_pattern_costs_no_more_than_its_length():
    assert not fits("*a" * 500 + "b", "a" * 2000)


def test_wild_cards_are_special_in_these_vrs():
    for vr in set(WILD_CARD_VRS) - {"PN"}:
        assert parse_key("PatientID", vr, "a**b?") == WildCard("PatientID", "a*b?"), vr


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("AB*", "ABC", True),
        ("AB*", "AB", True),
        ("AB*", "abc", False),
        ("A?C", "ABC", True),
        ("A?C", "AC", False),
        ("?", "*", True),
        ("A%", "ABC", False),
        ("A_C*", "ABC", False),
        ("A_C*", "A_CD", True),
        ("[A]*", "A", False),
        (".*", "A", False),
        (" AB* ", "ABC", True),
        ("*\n*", "A\nB", True),
    ],
)
def test_wild_card_keys(key, value, expected):
    assert found("PatientID", "LO", key, value) is expected


# ---- person names, PS3.4 C.2.2.2.1.1 and C.2.2.2.4 ----


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("Müller^Jörg", "MULLER^JORG", True),
        ("MULLER^JORG", "Müller^Jörg", True),
        ("Weiß*", "WEISS^ANNA", True),
        ("DOE", "Doe^John", False),
        ("DOE*", "Doe^John", True),
        ("DOE^^^^", "Doe", True),
        ("DOE", "Doe^^^", True),
        ("DOE^*", "Doe^John", True),
        ("DOE^*", "Doe", True),
        ("DOE^*", "Doering^John", False),
        ("DOE*^*", "Doering", True),
        ("DOE^*^*", "Doe^John", True),
        ("D?E^J*", "Doe^John", True),
        ("*JOHN", "Doe^John", True),
        ("^J*", "^John", True),
        ("^*", "Doe^John", False),
        ("DOE  ^JOHN", "Doe^John", True),
        ("%", "Doe^John", False),
        # any component group
        ("山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("yamada^tarou", "ヤマダ^タロウ=山田^太郎=やまだ^たろう", False),
        ("ヤマダ*", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", True),
        ("홍^길동", "Hong^Gildong=洪^吉洞=홍^길동", True),
        ("홍^?동", "Hong^Gildong=洪^吉洞=홍^길동", True),
        ("洪^吉洞", "Hong^Gildong=洪^吉洞=홍^길동", True),
        # a pattern does not reach from one group into the next
        ("*Tarou*山田*", "Yamada^Tarou=山田^太郎", False),
        # group by group
        ("yamada^tarou=山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("=山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("==やまだ*", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("山田*=", "Yamada^Tarou=山田^太郎=やまだ^たろう", False),
        ("yamada*=", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("yamada*=鈴木*", "Yamada^Tarou=山田^太郎=やまだ^たろう", False),
        ("wang^*=王^小東", "Wang=王^小東", True),
        ("wang=王^*", "Wang=王", True),
        ("wang=王*", "Wang", False),
    ],
)
def test_person_names(key, value, expected):
    assert found("PatientName", "PN", key, value) is expected


@pytest.mark.parametrize("key", ["*", "*^*", "*=*", "*=*=*", "=", "^^", "*^*^*", "="])
def test_names_that_ask_for_nothing(key):
    assert parse_key("PatientName", "PN", key) is None


def test_conditions_on_names():
    assert parse_key("PatientName", "PN", "Müller*") == PersonNameMatch("PatientName", any_group="muller*")
    assert parse_key("PatientName", "PN", "A*==ｱ") == PersonNameMatch(
        "PatientName", groups=("a*", None, "ア")
    )
    assert parse_key("PatientName", "PN", "DOE^*") == AnyOf(
        "PatientName",
        (PersonNameMatch("PatientName", any_group="doe"), PersonNameMatch("PatientName", any_group="doe^*")),
    )


@given(st.text(st.characters(exclude_characters="\\*?", exclude_categories=["Cs"]), max_size=30))
def test_every_name_finds_itself(name):
    assert normalise_value("PN", name) is None or found("PatientName", "PN", name, name)


@given(st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd"]), min_size=1, max_size=30))
def test_every_name_is_found_by_its_beginning(name):
    assert found("PatientName", "PN", f"{name}*", f"{name}^given")


# ---- ranges, PS3.4 C.2.2.2.5 ----

DATES = st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 1, 1))


@given(DATES, DATES, DATES)
def test_ranges_of_dates_against_integers(first, last, day):
    first, last = sorted((first, last))
    first_text, last_text, text = (f"{value:%Y%m%d}" for value in (first, last, day))
    number = day.toordinal()
    assert found("StudyDate", "DA", f"{first_text}-{last_text}", text) == (
        first.toordinal() <= number <= last.toordinal()
    )
    assert found("StudyDate", "DA", f"{first_text}-", text) == (first.toordinal() <= number)
    assert found("StudyDate", "DA", f"-{last_text}", text) == (number <= last.toordinal())
    assert found("StudyDate", "DA", first_text, text) == (first.toordinal() == number)


@given(*[st.integers(0, 24 * 60 - 1)] * 3)
def test_ranges_of_minutes_against_integers(first, last, minute):
    first, last = sorted((first, last))
    first_text, last_text, text = (f"{value // 60:02}{value % 60:02}" for value in (first, last, minute))
    assert found("StudyTime", "TM", f"{first_text}-{last_text}", f"{text}59.5") == (first <= minute <= last)


def test_ranges_are_conditions_with_inclusive_bounds():
    assert parse_key("StudyDate", "DA", "20260101-") == Range("StudyDate", "20260101", None)
    assert parse_key("StudyDate", "DA", "20260101") == Range("StudyDate", "20260101", "20260101", single=True)
    assert parse_key("StudyDate", "DA", "-") is None
    assert not found("StudyDate", "DA", "-20260101", "not a date")
    assert found("StudyDate", "DA", "20250101\\20260101-20260131", "20260115")


@pytest.mark.parametrize(
    ("vr", "key"),
    [
        ("DA", "20260131-20260101"),
        ("DA", "2026*"),
        ("DA", "yesterday"),
        ("DA", "2026-01-31"),
        ("TM", "2200-0600"),
        ("TM", "25"),
        ("DT", "2026-2025"),
        ("DT", "x-y"),
    ],
)
def test_what_is_no_range_is_refused_without_repeating_it(vr, key):
    with pytest.raises(IdentifierMismatch) as refusal:
        parse_key("PatientBirthDate", vr, key)
    assert "PatientBirthDate" in str(refusal.value)
    assert key not in str(refusal.value)


# ---- dates and times as one moment, PS3.4 C.2.2.2.5.4 ----


def parsed(**keys: str) -> tuple:
    vrs = {"Date": "DA", "Time": "TM"}
    conditions = (
        parse_key(keyword, vrs[keyword[-4:]], text, combined=True) for keyword, text in keys.items()
    )
    return tuple(condition for condition in conditions if condition is not None)


def test_the_example_of_the_standard():
    separate = parsed(StudyDate="20060705-20060707", StudyTime="1000-1800")
    combined = combine_date_times(separate)
    assert combined == (
        CombinedRange("StudyDate", "StudyTime", ("20060705", "100000.000000"), ("20060707", "180059.999999")),
    )
    evening = {"StudyDate": "20060706", "StudyTime": "2300"}
    assert matches_item(combined, evening)
    assert not matches_item(separate, evening)
    assert matches(combined[0], ("20060705", "100000"))
    assert not matches(combined[0], ("20060705", "0959"))
    assert not matches(combined[0], ("20060707", "1801"))
    assert not matches(combined[0], ("20060706", None))
    assert not matches(combined[0], None)


def test_a_night_can_be_asked_for():
    (condition,) = combine_date_times(parsed(StudyTime="2200-0600", StudyDate="20260101-20260102"))
    assert matches(condition, ("20260102", "0500"))
    assert not matches(condition, ("20260102", "0700"))


@pytest.mark.parametrize(
    "keys",
    [
        {"StudyTime": "2200-0600"},
        {"StudyTime": "2200-0600\\10-11"},
        {"StudyTime": "2200-0600", "StudyDate": "20260101"},
        {"StudyTime": "2200-0600", "StudyDate": "20260101-"},
        {"StudyTime": "2200-0600", "StudyDate": "20260101-20260101"},
        {"StudyTime": "2200-0600", "SeriesDate": "20260101-20260102"},
    ],
)
def test_a_night_of_no_date_cannot_be_asked_for(keys):
    with pytest.raises(IdentifierMismatch, match="Time|Date"):
        combine_date_times(parsed(**keys))
    item = parse_key("ScheduledProcedureStepSequence", "SQ", [keys], combined=True)
    with pytest.raises(IdentifierMismatch):
        combine_date_times([item])


@pytest.mark.parametrize(
    "keys",
    [
        {"StudyDate": "20260101", "StudyTime": "1000-1800"},
        {"StudyDate": "20260101-20260102", "StudyTime": "10"},
        {"StudyDate": "20260101-", "StudyTime": "1000-1800"},
        {"StudyDate": "20260101-", "StudyTime": "-1800"},
        {"StudyDate": "20260101-", "SeriesTime": "1000-"},
        {"StudyTime": "1000-"},
        {},
    ],
)
def test_other_forms_are_not_joined(keys):
    assert combine_date_times(parsed(**keys)) == parsed(**keys)


def test_open_ranges_are_joined():
    assert combine_date_times(parsed(StudyDate="20260101-", StudyTime="12-")) == (
        CombinedRange("StudyDate", "StudyTime", ("20260101", "120000.000000"), None),
    )
    assert combine_date_times(parsed(StudyDate="-20260101", StudyTime="-12")) == (
        CombinedRange("StudyDate", "StudyTime", None, ("20260101", "125959.999999")),
    )


def test_joining_keeps_the_rest_and_reaches_into_sequences():
    item = {
        "ScheduledProcedureStepStartDate": "20260101-",
        "ScheduledProcedureStepStartTime": "12-",
        "Modality": "CT",
    }
    sequence = parse_key("ScheduledProcedureStepSequence", "SQ", [item])
    name = parse_key("PatientName", "PN", "Doe")
    joined = combine_date_times((name, sequence))
    assert joined[0] == name
    assert [type(condition) for condition in joined[1].conditions] == [CombinedRange, SingleValue]
    assert combine_date_times(joined) == joined
    later = item | {"ScheduledProcedureStepStartDate": "20260102", "ScheduledProcedureStepStartTime": "1100"}
    assert matches(joined[1], [later])
    assert not matches(sequence, [later])


# ---- sequences, PS3.4 C.2.2.2.6 ----


def request(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def test_all_keys_of_an_item_have_to_match_in_one_item():
    key = [request(AccessionNumber="A1", RequestedProcedureID="P*", RequestedProcedureDescription="")]
    condition = parse_key("RequestAttributesSequence", "SQ", key)
    assert condition == SequenceMatch(
        "RequestAttributesSequence",
        (SingleValue("AccessionNumber", "A1"), WildCard("RequestedProcedureID", "P*")),
    )
    assert matches(
        condition, [{"AccessionNumber": "A0"}, {"AccessionNumber": "A1", "RequestedProcedureID": "P7"}]
    )
    assert not matches(condition, [{"AccessionNumber": "A1"}, {"RequestedProcedureID": "P7"}])
    assert matches(condition, [request(AccessionNumber="A1", RequestedProcedureID="P7")])
    assert not matches(condition, "A1")


def test_sequences_in_sequences():
    code = request(CodeValue="C1", CodingSchemeDesignator="99X")
    condition = parse_key("RequestAttributesSequence", "SQ", [request(RequestedProcedureCodeSequence=[code])])
    item = {"RequestedProcedureCodeSequence": [{"CodeValue": "C1", "CodingSchemeDesignator": "99X"}]}
    assert matches(condition, [item])
    assert not matches(condition, [{"RequestedProcedureCodeSequence": []}])


def test_a_private_attribute_in_an_item_is_not_matched():
    item = request(AccessionNumber="A1")
    item.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "private")
    assert parse_key("RequestAttributesSequence", "SQ", [item]) == SequenceMatch(
        "RequestAttributesSequence", (SingleValue("AccessionNumber", "A1"),)
    )


def nested(depth: int) -> list[dict]:
    item: dict = {"CodeValue": "1"}
    for _ in range(depth):
        item = {"RequestedProcedureCodeSequence": [item]}
    return [item]


@pytest.mark.parametrize(
    "key",
    [
        [{"AccessionNumber": "1"}, {"AccessionNumber": "2"}],
        [{"StudyInstanceUID": "x"}],
        "text",
        b"bytes",
        7,
        [7],
        nested(100),
    ],
)
def test_bad_sequences_are_refused(key):
    with pytest.raises(IdentifierMismatch):
        parse_key("RequestAttributesSequence", "SQ", key)


@pytest.mark.parametrize("vr", ["OB", "OW", "UN"])
def test_bulk_values_cannot_be_matched(vr):
    with pytest.raises(IdentifierMismatch):
        parse_key("PixelData", vr, b"\x01\x02")


# ---- whatever a peer sends ----


@given(
    st.sampled_from(ALL_VRS),
    st.one_of(
        st.text(max_size=40),
        st.text("0123456789.-*?=^\\: +", max_size=40),
        st.lists(st.one_of(st.none(), st.text(max_size=10), st.integers(), st.floats()), max_size=4),
        st.lists(
            st.dictionaries(st.sampled_from(["PatientName", "StudyDate", "x"]), st.text(max_size=9)),
            max_size=2,
        ),
        st.binary(max_size=10),
        st.integers(),
        st.floats(),
        st.decimals(),
    ),
    st.one_of(st.none(), st.text(max_size=20), st.lists(st.text(max_size=9), max_size=3), st.integers()),
)
def test_any_key_is_parsed_or_refused(vr, key, value):
    try:
        condition = parse_key("PatientID", vr, key)
    except IdentifierMismatch:
        return
    hash(condition)
    assert condition is None or isinstance(matches(condition, value), bool)
