"""From conditions to SQL, and from values to columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medserver.dicom.attributes import LEVELS
from medserver.index.database.columns import LEVEL_COLUMNS, level_row, level_values, newly_known
from medserver.index.find.translation import successor
from medserver.index.objects.identity import Person

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("prefix", "after"),
    [("A", "B"), ("Az", "A{"), ("\ud7ff", "\ue000"), ("A\U0010ffff", "B"), ("\U0010ffff", None)],
)
def test_the_end_of_a_prefix(prefix: str, after: str | None) -> None:
    assert successor(prefix) == after


@given(TEXTS, TEXTS)
def test_a_text_lies_in_the_range_of_a_prefix_if_it_begins_with_it(prefix: str, text: str) -> None:
    end = successor(prefix)
    assert (prefix <= text and (end is None or text < end)) == text.startswith(prefix)


def row(level: str, **values: str) -> dict[str, object]:
    """Return the columns that are not empty."""
    columns = zip(LEVEL_COLUMNS[level], level_row(level, level_values(level, values)), strict=True)
    return {name: value for name, value in columns if value}


def test_columns_of_a_name() -> None:
    assert row("PATIENT", patient_name="Müller^Hans^^=山田^太郎") == {
        "patient_name": "Müller^Hans^^=山田^太郎",
        "patient_name_alphabetic": "muller^hans",
        "patient_name_ideographic": "山田^太郎",
    }


def test_columns_of_several_values() -> None:
    assert row("IMAGE", image_type="ORIGINAL\\ PRIMARY") == {
        "image_type": "ORIGINAL\\ PRIMARY",
        "image_type_normal": "\\ORIGINAL\\PRIMARY\\",
    }
    names = row("SERIES", operators_name="Doe^John\\Roe=山田")
    assert names["operators_name_alphabetic"] == "\\doe^john\\roe\\"
    assert names["operators_name_ideographic"] == "\\山田\\"


def test_columns_of_dates_and_numbers() -> None:
    assert row("STUDY", study_date="2026.01.31", study_time="10") == {
        "study_date": "2026.01.31",
        "study_date_normal": "20260131",
        "study_time": "10",
        "study_time_normal": "100000.000000",
    }
    assert row("STUDY", study_date="yesterday") == {"study_date": "yesterday"}
    assert row("IMAGE", instance_number="007") == {
        "instance_number": "007",
        "instance_number_normal": "7",
        "instance_number_order": 7.0,
    }
    assert row("IMAGE", instance_number="1e999") == {
        "instance_number": "1e999",
        "instance_number_normal": row("IMAGE", instance_number="1e999")["instance_number_normal"],
    }


@pytest.mark.parametrize("level", LEVELS)
def test_a_row_learns_what_it_does_not_know(level: str) -> None:
    nothing = level_row(level, level_values(level, {}))
    assert newly_known(level, nothing, nothing) == {}
    if level == "STUDY":
        known = level_row(level, level_values(level, {"study_date": "nonsense"}))
        arrived = level_row(level, level_values(level, {"study_date": "20260131", "study_id": "1"}))
        assert newly_known(level, known, arrived) == {"study_id": "1"}


def person(name: str = "", birth_date: str = "", sex: str = "", ideographic: str = "") -> Person:
    return Person((name, ideographic, ""), birth_date, sex)


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        (person("doe"), person("doe"), True),
        (person("doe"), person("roe"), False),
        (person("doe"), person(""), True),
        (person("doe", ideographic="山田"), person("doe"), True),
        (person("doe", ideographic="山田"), person("doe", ideographic="山本"), False),
        (person("doe", "19700101"), person("doe", "19700102"), False),
        (person("doe", "19700101"), person("doe", ""), True),
        (person("doe", sex="M"), person("doe", sex="F"), False),
    ],
)
def test_who_can_be_one_person(first: Person, second: Person, one: bool) -> None:
    assert first.can_be(second) is second.can_be(first) is one
