"""A film as a text, and with its images in a file; both come back as they were."""

from __future__ import annotations

import json

import pytest

from medserver.errors import CannotUnderstand, DamagedObject
from medserver.printing.film import (
    Annotation,
    Film,
    ImageBox,
    PresentationLut,
    ReceivedImage,
    ReferencedImage,
    film_of,
)
from medserver.printing.film_file import film_file, write_film_file
from medserver.store import DirectoryVolume

FILM = Film(
    "ROW\\1,2",
    film_orientation="LANDSCAPE",
    max_density=310,
    presentation_lut=PresentationLut("", 0, 12, (0, 9, 4095)),
    boxes=(
        ImageBox(1, ReceivedImage("1", 20, 30, bits_stored=12, pixel_aspect_ratio=(2, 1)), polarity="REVERSE"),
        ImageBox(3, ReferencedImage("1.2", "1.3", window_center=40.5), presentation_lut=PresentationLut("LIN OD")),
    ),
    annotations=(Annotation(1, "山田"),),
    warnings=("two patients",),
)


def test_it_is_read_as_it_was_written() -> None:
    assert film_of(FILM.as_text()) == FILM
    assert film_of(Film().as_text()) == Film()


def test_tables_of_image_boxes_are_written_once() -> None:
    """A workstation gives each of 256 image boxes its table of 4096 entries, mostly the same one."""
    tables = [PresentationLut("", 0, 12, tuple(range(first, 4096 + first))) for first in (0, 1)]
    image = ReceivedImage("1", 20, 30, bits_stored=12)
    film = Film(boxes=tuple(ImageBox(place, image, presentation_lut=tables[place == 9]) for place in range(1, 257)))
    text = film.as_text()
    assert len(text) < 100_000
    read = film_of(text)
    assert read == film
    assert read.boxes[0].presentation_lut is read.boxes[255].presentation_lut


def test_a_film_of_the_first_version() -> None:
    text = '{"version": 1, "boxes": [{"image_box_position": 1, "image": {"file": "1", "rows": 2, "columns": 3}, ' \
           '"presentation_lut": {"shape": "", "bits": 12, "table": [1, 2]}}]}'  # fmt: skip
    assert film_of(text).boxes[0].presentation_lut == PresentationLut("", 0, 12, (1, 2))


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", '{"version": 1, "strange": 1}', '{"version": 3}', '{"version": 1, "boxes": 1}',
        '{"version": 2, "boxes": [{"image_box_position": 1, "image": {"file": "1", "rows": 2, "columns": 3}, '
        '"presentation_lut": 0}]}',
    ],
)  # fmt: skip
def test_what_is_no_film_is_refused(text: str) -> None:
    with pytest.raises(CannotUnderstand):
        film_of(text)


def test_defaults_are_not_written() -> None:
    assert json.loads(Film().as_text()) == {"version": 1}


def test_images_are_read_as_they_were_written(tmp_path) -> None:
    volume = DirectoryVolume("main", tmp_path / "store")
    write_film_file(volume, "1.2.3", [("1", [b"ab", b"cd"]), ("2", [bytes(3_000_000)])])
    with film_file(volume, "1.2.3") as images:
        assert images.read("1") == b"abcd"
        assert images.read("2") == bytes(3_000_000)


def test_damaged_images_are_found(tmp_path) -> None:
    volume = DirectoryVolume("main", tmp_path / "store")
    write_film_file(volume, "1.2.3", [("1", [bytes(100_000)])])
    path = tmp_path / "store" / "films" / "1.2.3"
    content = bytearray(path.read_bytes())
    content[50_000] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    with pytest.raises(DamagedObject), film_file(volume, "1.2.3") as images:
        images.read("1")
