"""Images and format information become films."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medserver.config import Printer
from medserver.errors import IncompleteObjectSet, UnusableParameters
from medserver.printing.film import Film, ReferencedImage
from medserver.printing.format import PARAMETERS, FilmFormat, automatic_layout, format_of
from medserver.printing.layout import count_of
from medserver.printing.pictures import Picture, StoredImage
from medserver.printing.requests import films_of, person

PRINTER = Printer("film", "pdf", media=("14INX17IN", "A4"))
IMAGE = StoredImage(
    patient_name="Müller^Jörg", patient_id="P1", patient_birth_date="19500101", study_instance_uid="1.2",
    study_date="20260102", study_description="Abdomen", series_instance_uid="1.2.1", modality="CT",
    sop_class_uid="1.3", sop_instance_uid="1.2.1.1", rows="16", photometric_interpretation="MONOCHROME2",
)  # fmt: skip


def pictures(count: int, **others: str) -> list[Picture]:
    return [
        Picture(f"1.2.1.{number}", replace(IMAGE, sop_instance_uid=f"1.2.1.{number}", **others))
        for number in range(1, count + 1)
    ]


def films(wanted: list[Picture], **given: object) -> list[Film]:
    return films_of(wanted, format_of(given), PRINTER)


def shown(film: Film) -> list[tuple[int, str]]:
    """Return what is at which place."""
    found = []
    for box in film.boxes:
        assert isinstance(box.image, ReferencedImage)
        found.append((box.image_box_position, box.image.sop_instance_uid))
    return found


def test_images_are_paged_over_sheets() -> None:
    first, second, third = films(pictures(14), layout="2,3", film_size="A4", orientation="LANDSCAPE")
    assert (first.image_display_format, first.film_size_id, first.film_orientation) == (
        "STANDARD\\2,3", "A4", "LANDSCAPE",
    )  # fmt: skip
    assert shown(first) == [(number, f"1.2.1.{number}") for number in range(1, 7)]
    assert shown(second) == [(number, f"1.2.1.{number + 6}") for number in range(1, 7)]
    assert shown(third) == [(1, "1.2.1.13"), (2, "1.2.1.14")]


def test_every_sheet_says_whose_it_is() -> None:
    first, second = films(pictures(3), layout="1,2", annotation="for the ward")
    patient, study, page, line = first.heading
    assert patient == "Müller Jörg  P1  born 1950-01-01"
    assert study == "2026-01-02  CT  Abdomen"
    assert (page, line) == ("page 1 of 2", "for the ward")
    assert second.heading[2] == "page 2 of 2"
    assert first.warnings == second.warnings == ()


def test_two_patients_on_one_film_are_told_on_that_film() -> None:
    mixed, own = films([*pictures(1), *pictures(3, patient_id="P2", patient_name="Other^Anna")], layout="1,2")
    assert mixed.warnings == ("images of 2 patients on this film: P1 at 1; P2 at 2",)
    assert "P1" in mixed.heading[0] and "P2" in mixed.heading[0]
    assert own.warnings == () and "P1" not in own.heading[0]


def test_a_missing_image_is_refused_or_marked() -> None:
    wanted = [*pictures(1), Picture("9.9"), *pictures(1)]
    with pytest.raises(IncompleteObjectSet, match="9.9"):
        films(wanted, layout="3,1")
    [film] = films(wanted, layout="3,1", missing="mark")
    assert [position for position, _ in shown(film)] == [1, 3]
    assert film.warnings == ("missing: image 2",)
    with pytest.raises(IncompleteObjectSet):
        films([Picture("9.9")], missing="mark")


@pytest.mark.parametrize("count, layout", [(1, "1,1"), (2, "1,2"), (5, "2,3"), (17, "4,5"), (200, "4,5")])
def test_the_layout_has_room_for_all(count: int, layout: str) -> None:
    assert automatic_layout(count) == f"STANDARD\\{layout}"
    assert len(films(pictures(count))) == -(-count // count_of(automatic_layout(count)))


def test_sixteen_by_sixteen() -> None:
    [film] = films(pictures(256), layout="16,16")
    assert len(film.boxes) == 256


@pytest.mark.parametrize("layout", ["17,16", "0,1", "2", "2,3,4", "SLIDE", "ROW\\", "ROW\\2,x", "\0", "999,999"])
def test_a_layout_that_is_none(layout: str) -> None:
    with pytest.raises(UnusableParameters):
        format_of({"layout": layout})


def test_what_the_images_are_like() -> None:
    [film] = films(
        pictures(1), window="40,400", presentation_state="1.9", polarity="REVERSE", true_size="yes",
        magnification="REPLICATE", image_width="120",
    )  # fmt: skip
    [box] = film.boxes
    assert isinstance(box.image, ReferencedImage)
    assert (box.image.window_center, box.image.window_width) == (40.0, 400.0)
    assert box.image.presentation_state_uid == "1.9"
    assert (box.polarity, box.is_true_size, box.requested_image_size_mm) == ("REVERSE", True, 120.0)
    assert film.magnification_type == "REPLICATE"


def test_colours_are_printed_where_there_are_any() -> None:
    [gray] = films(pictures(1))
    [colour] = films(pictures(1, photometric_interpretation="RGB"))
    [without] = films_of(
        pictures(1, photometric_interpretation="RGB"), FilmFormat(), replace(PRINTER, colour=False)
    )
    assert (gray.is_colour, colour.is_colour, without.is_colour) == (False, True, False)


def test_all_parameters_are_of_the_format() -> None:
    names = {"true_size": "is_true_size", "image_width": "image_width_mm"}
    assert [names.get(each.name, each.name) for each in PARAMETERS] == [
        name for name in FilmFormat.__dataclass_fields__
    ]
    assert format_of({}) == FilmFormat()


@pytest.mark.parametrize(
    "name, read",
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada Tarou (山田 太郎, やまだ たろう)"),
        ("=山田^太郎", "山田 太郎"),
        ("قباني^لنزار", "قباني لنزار"),
        ("Müller^Jörg^^Dr.", "Müller Jörg Dr."),
        ("", ""),
    ],
)
def test_a_name_is_read(name: str, read: str) -> None:
    assert person(name) == read
