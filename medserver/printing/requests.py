"""Images and format information become films: paged over sheets, with what each sheet says at its top.

The command line, work items, Basic Structured Displays and rules all come through here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from medserver.config import Printer
from medserver.dicom.dates import normalise_date
from medserver.dicom.persons import component_groups
from medserver.errors import IncompleteObjectSet
from medserver.printing.film import Film, ImageBox, ReferencedImage
from medserver.printing.format import AUTOMATIC, REFUSED, FilmFormat, automatic_layout
from medserver.printing.pictures import Picture, StoredImage
from medserver.printing.layout import count_of

NAMED_MAX = 4
"""So many patients or studies a sheet names; of the rest it tells how many they are."""

POSITIONS_MAX = 8
"""So many positions of images a warning names."""

Placed = tuple[int, Picture]
"""An Image Box Position, from 1, and what is there."""


def films_of(pictures: Sequence[Picture], wanted: FilmFormat, printer: Printer) -> list[Film]:
    """Return the films of some images, one after the other.

    Parameters
    ----------
    pictures : sequence of Picture
        At least one.
    wanted : FilmFormat
        How.
    printer : Printer
        On what.

    Raises
    ------
    IncompleteObjectSet
        One is missing, and nothing says that the others are to be printed.
    """
    layout = automatic_layout(len(pictures)) if wanted.layout == AUTOMATIC else wanted.layout
    count = count_of(layout)
    sheets = [list(enumerate(pictures[first : first + count], 1)) for first in range(0, len(pictures), count)]
    return headed([film_of_boxes(layout, placed, wanted, printer) for placed in sheets], sheets, wanted)


def film_of_boxes(layout: str, placed: Iterable[Placed], wanted: FilmFormat, printer: Printer) -> Film:
    """Return a film with images at some of its places, without its heading.

    Raises
    ------
    IncompleteObjectSet
        As `films_of`.
    """
    placed = list(placed)
    missing = [picture.sop_instance_uid for _, picture in placed if picture.stored is None]
    if missing and (wanted.missing == REFUSED or len(missing) == len(placed)):
        raise IncompleteObjectSet(f"instance {missing[0]} is not stored here")
    return Film(
        image_display_format=layout,
        film_size_id=wanted.film_size or printer.media[0],
        film_orientation=wanted.orientation,
        magnification_type=wanted.magnification,
        is_colour=printer.colour and any(picture.stored and picture.stored.is_colour for _, picture in placed),
        boxes=tuple(
            _box(position, picture, picture.stored, wanted)
            for position, picture in placed
            if picture.stored is not None
        ),
        warnings=tuple(_warnings(placed)),
    )


def headed(films: Sequence[Film], sheets: Sequence[Sequence[Placed]], wanted: FilmFormat) -> list[Film]:
    """Return films with their headings: patient, study and date, page n of m."""
    return [
        replace(
            film,
            heading=(*_heading([p.stored for _, p in placed if p.stored]), f"page {number} of {len(films)}",
                     *([wanted.annotation] if wanted.annotation else [])),
            film_session_label=_label([p.stored for _, p in placed if p.stored]),
        )
        for number, (film, placed) in enumerate(zip(films, sheets, strict=True), 1)
    ]  # fmt: skip


def _box(position: int, picture: Picture, stored: StoredImage, wanted: FilmFormat) -> ImageBox:
    center, width = wanted.window or (None, None)
    return ImageBox(
        position,
        ReferencedImage(
            stored.sop_class_uid,
            stored.sop_instance_uid,
            stored.study_instance_uid,
            stored.series_instance_uid,
            picture.frame_number,
            window_center=center,
            window_width=width,
            presentation_state_uid=picture.presentation_state_uid or wanted.presentation_state,
        ),
        polarity=wanted.polarity,
        requested_image_size_mm=wanted.image_width_mm,
        is_true_size=wanted.is_true_size,
    )


def _warnings(placed: Sequence[Placed]) -> Iterator[str]:
    """Yield what people are to know who read the sheet."""
    patients: dict[tuple[str, str], list[int]] = {}
    for position, picture in placed:
        if picture.stored is not None:
            patients.setdefault(picture.stored.patient, []).append(position)
    if len(patients) > 1:
        whose = [f"{identifier or person(name)} at {_positions(at)}" for (identifier, name), at in patients.items()]
        more = " ..." if len(whose) > NAMED_MAX else ""
        yield f"images of {len(patients)} patients on this film: {'; '.join(whose[:NAMED_MAX])}{more}"
    missing = [position for position, picture in placed if picture.stored is None]
    if missing:
        yield f"missing: image {_positions(missing)}"


def _positions(positions: Sequence[int]) -> str:
    return ", ".join(map(str, positions[:POSITIONS_MAX])) + (" ..." if len(positions) > POSITIONS_MAX else "")


def _heading(images: Sequence[StoredImage]) -> Iterator[str]:
    yield _named(map(_patient, images))
    yield _named(map(_study, images))


def _label(images: Sequence[StoredImage]) -> str:
    """Return what people call the film in the queue."""
    return _named(filter(None, (_text(one.modality, one.study_description) for one in images)))[:64]


def _named(texts: Iterable[str]) -> str:
    """Return what several images have to say, each thing once."""
    counted = Counter(filter(None, texts))
    names = list(counted)
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return " / ".join(names[:NAMED_MAX]) + more


def _patient(image: StoredImage) -> str:
    birth = f"born {_date(image.patient_birth_date)}" if image.patient_birth_date else ""
    return _text(person(image.patient_name), image.patient_id, birth)


def _study(image: StoredImage) -> str:
    return _text(_date(image.study_date), image.modality, image.study_description, image.accession_number)


def _text(*parts: str) -> str:
    return "  ".join(filter(None, (part.strip() for part in parts)))


def _date(text: str) -> str:
    """Return a date as people read it wherever they are: 2026-01-31."""
    normalised = normalise_date(text)
    return f"{normalised[:4]}-{normalised[4:6]}-{normalised[6:]}" if normalised else text


def person(name: str) -> str:
    """Return a person name as it is read: ``Yamada Tarou (山田 太郎)``."""
    alphabetic, ideographic, phonetic = (" ".join(group.replace("^", " ").split()) for group in component_groups(name))
    others = ", ".join(filter(None, (ideographic, phonetic)))
    return f"{alphabetic} ({others})" if alphabetic and others else alphabetic or others
