"""Pages as PDF: true size, pixels without loss, and text that is found, whatever its script."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from medserver.config.printer import FILM_SIZES_MM
from medserver.printing import fonts
from medserver.printing.bands import ROWS_MAX, band, wrapped
from medserver.printing.composition import Press, SourceImage, compose
from medserver.printing.film import Annotation, Film, ImageBox, ReceivedImage
from medserver.printing.layout import HEADING_MM, MARGIN_MM
from medserver.printing.sheet import NOT_CALIBRATED, POSSIBLE_REPRINT, TEXT_MM
from tests.peers import requires
from tests.peers.process import run
from tests.printing.pages import as_pdf, composed, film_of_boxes, seen, text_of, written

LOW = Press("FILM", resolution_dpi=40)
GRAY = SourceImage(np.full((8, 8), 128, np.uint8))

NAMES = {
    "Latin": "Müller Jörg, Šťastný, Ødegård, Łódź",
    "Greek and Cyrillic": "Παπαδόπουλος Люксембург",
    "Japanese": "Yamada Tarou (山田 太郎, やまだ たろう, ﾔﾏﾀﾞ)",
    "Chinese": "王 小東",
    "Arabic": "قباني نزار",
    "Arabic with a ligature and marks": "عبد الله لا محمّد 1234",
    "Hebrew": "שרון דבורה",
    "both directions": "Qabbani (قباني) 2026-11-30",
}


@pytest.fixture(autouse=True)
def letters() -> None:
    requires("fonts-dejavu", "fonts-droid")


def poppler(program: str, *arguments: str | Path) -> str:
    """Return what a program of Poppler writes."""
    requires("poppler")
    return run([program, *map(str, arguments)]).check().output


@pytest.mark.parametrize("film_orientation", ["PORTRAIT", "LANDSCAPE"])
@pytest.mark.parametrize("film_size_id", FILM_SIZES_MM)
def test_a_sheet_has_its_size(film_size_id: str, film_orientation: str, tmp_path: Path) -> None:
    film = Film(film_size_id=film_size_id, film_orientation=film_orientation)
    told = poppler("pdfinfo", written(as_pdf(compose(film, {}, LOW)), tmp_path))
    [line] = [line for line in told.splitlines() if line.startswith("Page size:")]
    size = FILM_SIZES_MM[film_size_id][:: -1 if film_orientation == "LANDSCAPE" else 1]
    assert [float(line.split()[place]) * 25.4 / 72 for place in (2, 4)] == pytest.approx(size, abs=0.05)


@pytest.mark.parametrize("shape", [(61, 47), (61, 47, 3)], ids=["gray", "colour"])
def test_pixels_come_back_as_they_are_in_the_page(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    box = ImageBox(1, ReceivedImage("1", 1, 1), magnification_type="NONE")
    page = compose(Film(boxes=(box,)), {1: SourceImage(pixels)}, Press("FILM"))
    assert np.array_equal(page.images[0].pixels, pixels)  # NONE: pixel by pixel, and a nominal printer has P-values
    path = written(as_pdf(page), tmp_path)
    listed = poppler("pdfimages", "-list", path).splitlines()
    assert len(listed) == 3 and listed[2].split()[12:14] == ["300", "300"]
    poppler("pdfimages", "-png", path, tmp_path / "image")
    found = np.asarray(Image.open(tmp_path / "image-000.png").convert("L" if len(shape) == 2 else "RGB"))
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_are_found(name: str, tmp_path: Path) -> None:
    """By two readers, each word; and something is drawn, by letters that a font has."""
    assert not fonts.missing_letters(name)
    pdf = as_pdf(compose(Film(film_size_id="A4", heading=(name,)), {}, LOW))
    found = text_of(pdf), poppler("pdftotext", "-layout", written(pdf, tmp_path), "-")
    for each in found:
        text = unicodedata.normalize("NFKC", each)  # as readers do that search; Arabic letters have their forms else
        assert all(unicodedata.normalize("NFKC", word) in text for word in re.findall(r"\w+", name))
    drawn = seen(pdf, 150)[20:45]
    assert (drawn > 128).sum() > 12 * len(name)


def test_arabic_letters_are_joined_and_go_from_right_to_left() -> None:
    drawn = fonts.from_left_to_right("\u0645\u062d\u0645\u062f")  # Muhammad: meem, hah, meem, dal
    assert [f"{ord(letter):04X}" for letter in drawn] == ["FEAA", "FEE4", "FEA4", "FEE3"]
    assert fonts.from_left_to_right("Doe 山田") == "Doe 山田"


@pytest.mark.parametrize(
    ("read", "drawn"),
    [
        ("1 of \u05d0\u05d1 \u05d2 (4711), 2 of Doe (77)", "1 of \u05d2 \u05d1\u05d0 (4711), 2 of Doe (77)"),
        ("\u05d0\u05d1  4711  born 1970", "\u05d1\u05d0  4711  born 1970"),
        ("\u05d0\u05d1  \u05d2  CT", "\u05d1\u05d0  \u05d2  CT"),
        ("CT \u05d0\u05d1 3 \u05d2", "CT \u05d2 3 \u05d1\u05d0"),
        ("\u05d0\u05d1 12 \u05d2", "\u05d2 12 \u05d1\u05d0"),
        ("\u05d0\u05d1  4711", "\u05d1\u05d0  4711"),
    ],
)
def test_numbers_and_fields_do_not_change_places_with_a_name_beside_them(read: str, drawn: str) -> None:
    """Which image is whose: by the algorithm of Unicode alone the first line reads "1 of 2, (4711)"."""
    assert fonts.from_left_to_right(read) == drawn


def test_each_word_is_measured_once() -> None:
    """Lines of peers may have any length."""
    measured: list[str] = []

    def measure(text: str) -> float:
        measured.append(text)
        return len(text)

    words = [f"w{number}" for number in range(2000)]
    rows = wrapped([" ".join(words)], 100, measure)
    assert " ".join(rows).split() == words
    assert max(map(len, rows)) <= 100
    assert sum(map(len, measured)) < 20_000
    assert wrapped(["a  b"], 9, len) == ["a  b"]


def test_a_long_heading_is_broken_before_it_becomes_small() -> None:
    heading = ("Name " * 30 + "4711", "2026-11-29  CT  " + "description " * 12, "a third line")
    page = composed(film_of_boxes(r"STANDARD\1,1", 1, heading=heading, film_size_id="A4"), GRAY, LOW)
    rows = [text for text in page.texts if text.baseline_mm < HEADING_MM + MARGIN_MM]
    assert min(row.size_mm for row in rows) > 1.2
    assert max(row.baseline_mm + 0.25 * row.size_mm for row in rows) < HEADING_MM + MARGIN_MM
    said = text_of(as_pdf(page)).split()
    assert said.count("Name") == 30 and said.count("description") == 12
    gaps = {round(b.baseline_mm - a.baseline_mm, 3) for a, b in pairwise(rows)}
    assert min(gaps) > max(row.size_mm for row in rows)


def test_fonts_are_embedded(tmp_path: Path) -> None:
    film = Film(heading=("Yamada (山田) قباني",))
    lines = poppler("pdffonts", written(as_pdf(compose(film, {}, LOW)), tmp_path)).splitlines()[2:]
    used = [line.split() for line in lines if "Helvetica" not in line]
    assert len(used) >= 2 and all(line[-5:-3] == ["yes", "yes"] for line in used)


def test_letters_that_no_font_has_are_boxes_and_are_told() -> None:
    text = text_of(as_pdf(compose(Film(heading=("a \u1200 b",)), {}, LOW)))
    assert "1 letters cannot be printed here" in text and "a \u1200 b" in text


def test_without_fonts_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "FILES", ())
    fonts._fonts.cache_clear()
    try:
        text = text_of(as_pdf(compose(Film(heading=("Müller 山",)), {}, LOW)))
    finally:
        fonts._fonts.cache_clear()
    assert "Müller 山" in text and "1 letters cannot be printed here" in text


def test_text_is_one_line_without_control_characters() -> None:
    assert fonts.cleaned(" a\nb\x00c\u202ed\ud800 ") == "a b c d"
    assert not fonts.runs_of("\n")


def test_a_long_line_is_drawn_smaller() -> None:
    pdf = as_pdf(compose(Film(film_size_id="8INX10IN", heading=("W" * 300,)), {}, LOW))
    assert "W" * 300 in text_of(pdf)
    columns = np.flatnonzero((seen(pdf, 300)[: int(13 / 25.4 * 300)] > 100).any(0))
    assert columns[-1] < (203.2 - 3.9) / 25.4 * 300


def test_what_a_sheet_says() -> None:
    film = Film(
        heading=("Doe Jane", "CT 2026-11-30"), annotations=(Annotation(2, "second"), Annotation(1, "first")),
        warnings=("images of 2 patients on this film",),
    )  # fmt: skip
    text = text_of(as_pdf(compose(film, {}, Press("FILM1", printed_at="2026-11-30 09:00"))))
    for each in ("Doe Jane", "CT 2026-11-30", "first", "second", "FILM1, medserver", "2026-11-30 09:00",
                 "not calibrated, not for diagnosis", "images of 2 patients on this film"):  # fmt: skip
        assert each in text
    assert text.index("first") < text.index("second")
    calibrated = compose(film, {}, Press("FILM1", curve=np.linspace(3, 0.2, 256)))
    assert "not calibrated" not in text_of(as_pdf(calibrated))


TWO_PATIENTS = "images of 2 patients on this film: P1 at 1, 2; P2 at 3, 4"


@pytest.mark.parametrize("border", ["BLACK", "WHITE"])
@pytest.mark.parametrize("size", ["14INX17IN", "A4", "8INX10IN"])
def test_warnings_are_in_bands_of_inverted_letters(size: str, border: str) -> None:
    """That of the printer at the bottom left, those of the film at the top right; they do not move the images."""
    film = film_of_boxes("STANDARD\\2,2", 4, film_size_id=size, border_density=border, heading=("Doe Jane",))
    warned = composed(replace(film, warnings=(TWO_PATIENTS, POSSIBLE_REPRINT)), GRAY, LOW)
    plain = composed(film, GRAY, LOW)
    shown = seen(as_pdf(warned), 72).astype(int) * (1 if border == "BLACK" else -1) + (0 if border == "BLACK" else 255)
    per_mm = 72 / 25.4
    top = shown[round(5 * per_mm) : round(12 * per_mm), round((warned.width_mm / 2 + 1) * per_mm) : -round(5 * per_mm)]
    bottom = shown[-round(9 * per_mm) : -round(5 * per_mm), round(5 * per_mm) : round(65 * per_mm)]
    assert min(np.median(top), np.median(bottom)) > 200
    text = text_of(as_pdf(warned)).replace("\r\n", " ")
    assert TWO_PATIENTS in text and POSSIBLE_REPRINT in text and NOT_CALIBRATED in text
    places = [[(one.left_mm, one.top_mm, one.width_mm) for one in page.images] for page in (warned, plain)]
    assert places[0] == places[1]


def test_one_warning_is_larger_than_the_other_lines() -> None:
    page = composed(film_of_boxes("STANDARD\\1,1", 1, warnings=("missing: image 2",)), GRAY)
    [size] = [each.size_mm for each in page.texts if each.text == "missing: image 2"]
    assert size > 2 * TEXT_MM


def test_lines_of_a_band_are_broken_where_there_is_no_room() -> None:
    assert wrapped(["two patients: 1 2", "reprint"], 7, len) == ["two", "patients:", "1 2", "reprint"]
    assert wrapped(["patients: 1"], 4, len, breaks_words=True) == ["pati", "ents", ": 1"]
    many = [f"images of patient {number}" for number in range(40)]
    found = band(many, 0, 0, 100, 8, 255, len)
    assert len(found.texts) == ROWS_MAX
    assert " ".join(each.text for each in found.texts) == " - ".join(many)


def test_true_size_and_its_scale_bar() -> None:
    box = ImageBox(1, ReceivedImage("1", 1, 1), is_true_size=True)
    image = SourceImage(np.full((100, 200), 255, np.uint8), spacing_mm=(0.6, 0.6))
    page = compose(Film(boxes=(box,)), {1: image}, LOW)
    assert (page.images[0].width_mm, page.images[0].height_mm) == pytest.approx((120, 60))
    pdf = as_pdf(page)
    assert "true size 50 mm" in text_of(pdf)
    sheet = seen(pdf, 300)
    row = sheet[round((431.8 - 4 - 3) / 25.4 * 300)]
    lit = np.flatnonzero(row > 128)
    lit = lit[lit > sheet.shape[1] - round(55 / 25.4 * 300)]  # the bar, not what it says
    assert (lit[-1] - lit[0] + 1) * 25.4 / 300 == pytest.approx(50, abs=0.2)


def test_true_size_that_is_not_known_is_told() -> None:
    box = ImageBox(1, ReceivedImage("1", 1, 1), is_true_size=True)
    text = text_of(as_pdf(compose(Film(boxes=(box,)), {1: GRAY}, LOW)))
    assert "image 1 not in true size" in text and "50 mm" not in text


def test_trim_is_a_line_around_each_image() -> None:
    with_line, without = (seen(as_pdf(composed(film_of_boxes("STANDARD\\2,1", 2, trim=trim), GRAY, LOW)), 300)
                          for trim in ("YES", "NO"))  # fmt: skip
    differs = with_line[with_line.shape[0] // 2] != without[without.shape[0] // 2]
    assert 4 * 2 <= differs.sum() <= 4 * 5  # four edges of 0.3 mm


def test_empty_boxes_and_borders_have_their_densities() -> None:
    film = film_of_boxes("STANDARD\\1,2", 1, border_density="WHITE", empty_image_density="BLACK")
    sheet = seen(as_pdf(compose(film, {1: GRAY}, LOW)), 50)
    places = [(0.25, 0.5), (0.75, 0.5), (0.5, 0.002)]
    assert [int(sheet[int(y * sheet.shape[0]), int(x * sheet.shape[1])]) for y, x in places] == [128, 0, 255]


def test_colours_are_converted_by_their_profile() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    box = ImageBox(1, ReceivedImage("1", 1, 1), magnification_type="NONE")

    def shown(profile: bytes, press: Press = Press("FILM")) -> tuple[np.ndarray, str]:
        page = compose(Film(is_colour=True, boxes=(box,)), {1: SourceImage(pixels, icc_profile=profile)}, press)
        return page.images[0].pixels, " ".join(text.text for text in page.texts)

    same, _ = shown(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert np.abs(same.astype(int) - pixels).max() <= 1
    unchanged, said = shown(b"no profile")
    assert np.array_equal(unchanged, pixels) and "ICC profile cannot be used" in said
    gray, _ = shown(b"", Press("FILM", is_colour=False))
    assert np.abs(gray - pixels @ [0.299, 0.587, 0.114]).max() <= 0.51


def test_a_resolution_beyond_reason_makes_larger_pixels() -> None:
    page = composed(Film(boxes=(ImageBox(1, ReceivedImage("1", 1, 1)),), film_size_id="8INX10IN"), GRAY,
                    Press("FILM", resolution_dpi=2400))  # fmt: skip
    assert page.images[0].pixels.size < 90_000_000
    assert page.images[0].width_mm == pytest.approx(195.2)
