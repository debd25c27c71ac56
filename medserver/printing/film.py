"""A film: what is to be printed, whoever has asked for it, and how that is written down.

A Print SCU sends pixels with its image boxes (`ReceivedImage`); who asks for a print by a work item, a presentation
object or a command names instances (`ReferencedImage`), which are rendered when the film is printed. Everything else is
the same, and named as in the standard.

References
----------
PS3.3 C.13.1, PS3.3 C.13.3, PS3.3 C.13.5
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from medserver.errors import CannotUnderstand

FIRST_VERSION, VERSION = 1, 2
"""Of the text that `Film.as_text` writes; one more for each change that an older version cannot read.

Version 2 has the tables of image boxes in ``luts``, and their numbers in the boxes; a film without such tables is as
before.
"""


@dataclass(frozen=True, slots=True)
class ReceivedImage:
    """Pixels that came with an image box: a file among those of the film.

    Parameters
    ----------
    file : str
        The name of its pixels in the file of the film: of gray, one unsigned sample a pixel, of 8 bits where Bits
        Stored is 8, else of 16, little endian; of colour, 8 bits and Planar Configuration 0.
    rows, columns, samples_per_pixel, bits_stored : int
        As in the image box.
    photometric_interpretation : str
        MONOCHROME1, MONOCHROME2 or RGB.
    pixel_aspect_ratio : tuple of int, (vertical, horizontal)
        Pixel Aspect Ratio.
    """

    file: str
    rows: int
    columns: int
    samples_per_pixel: int = 1
    bits_stored: int = 8
    photometric_interpretation: str = "MONOCHROME2"
    pixel_aspect_ratio: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class ReferencedImage:
    """A frame of an instance, which is rendered when the film is printed.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid : str
        Which.
    study_instance_uid, series_instance_uid : str
        Where it is found; empty if nobody has said it.
    frame_number : int
        From 1.
    retrieve_ae_title : str
        The AE that has it; empty: this node.
    window_center, window_width : float or None
        What takes the place of its own; None: its own, or that of the presentation state.
    presentation_state_uid : str
        The SOP Instance UID of a Softcopy Presentation State; empty if there is none.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    frame_number: int = 1
    retrieve_ae_title: str = ""
    window_center: float | None = None
    window_width: float | None = None
    presentation_state_uid: str = ""


@dataclass(frozen=True, slots=True)
class PresentationLut:
    """How gray values become P-values (PS3.3 C.11.4).

    Parameters
    ----------
    shape : str
        IDENTITY or LIN OD; of a table empty.
    first_value, bits : int
        Of a table: the input that its first entry is for, and the bits of each entry.
    table : tuple of int
        Of a table, its entries; else empty.
    """

    shape: str = "IDENTITY"
    first_value: int = 0
    bits: int = 0
    table: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageBox:
    """One image on a film. What is None or empty is as the film says.

    Parameters
    ----------
    image_box_position : int
        From 1, see `layout`.
    image : ReceivedImage or ReferencedImage
        What it shows.
    polarity : str
        NORMAL or REVERSE.
    magnification_type, smoothing_type, configuration_information : str
        As in the standard.
    min_density, max_density : int or None
        In hundredths of optical density.
    requested_image_size_mm : float or None
        The width of the image; None: as large as fits.
    requested_decimate_crop_behavior : str
        DECIMATE, CROP or FAIL.
    presentation_lut : PresentationLut or None
        Its own; None: that of the film.
    is_true_size : bool
        Whether it is printed in the size of what it shows, by its Pixel Spacing.
    """

    image_box_position: int
    image: ReceivedImage | ReferencedImage
    polarity: str = "NORMAL"
    magnification_type: str = ""
    smoothing_type: str = ""
    configuration_information: str = ""
    min_density: int | None = None
    max_density: int | None = None
    requested_image_size_mm: float | None = None
    requested_decimate_crop_behavior: str = "DECIMATE"
    presentation_lut: PresentationLut | None = None
    is_true_size: bool = False


@dataclass(frozen=True, slots=True)
class Annotation:
    """A text at one of the places that the annotation display format has.

    Parameters
    ----------
    annotation_position : int
        From 1.
    text_string : str
        The text.
    """

    annotation_position: int
    text_string: str


@dataclass(frozen=True, slots=True)
class Film:
    """One film, or sheet.

    Parameters
    ----------
    image_display_format : str
        ``STANDARD\\columns,rows``, ``ROW\\n,n`` or ``COL\\n,n``.
    film_size_id : str
        Of `config.printer.FILM_SIZES_MM`; empty: the first of the printer.
    film_orientation : str
        PORTRAIT or LANDSCAPE.
    magnification_type : str
        NONE, REPLICATE, BILINEAR or CUBIC.
    smoothing_type, annotation_display_format_id, configuration_information, requested_resolution_id : str
        As in the standard.
    border_density, empty_image_density : str
        BLACK, WHITE, or hundredths of optical density.
    min_density, max_density : int or None
        In hundredths of optical density; None: those of the printer.
    trim : str
        YES or NO.
    illumination, reflected_ambient_light : int or None
        In cd/m2; None: those of the medium.
    is_colour : bool
        Whether it may have colours.
    medium_type, film_destination, film_session_label, owner_id : str
        As in the film session.
    presentation_lut : PresentationLut
        Of all image boxes without one of their own.
    boxes : tuple of ImageBox
        Those with an image.
    annotations : tuple of Annotation
        Texts.
    heading : tuple of str
        Lines that the sheet has at its top: patient, study, date, where they are known.
    warnings : tuple of str
        What people are to know who read the sheet, such as that it shows two patients.
    icc_profile : str
        The name of an ICC Input Profile in the file of the film; empty if there is none.
    is_in_driving_levels : bool
        Whether its images are driving levels of the printer, of 8 bits, as those of a step wedge are.
    """

    image_display_format: str = "STANDARD\\1,1"
    film_size_id: str = ""
    film_orientation: str = "PORTRAIT"
    magnification_type: str = "CUBIC"
    smoothing_type: str = ""
    annotation_display_format_id: str = ""
    configuration_information: str = ""
    requested_resolution_id: str = ""
    border_density: str = "BLACK"
    empty_image_density: str = "BLACK"
    min_density: int | None = None
    max_density: int | None = None
    trim: str = "NO"
    illumination: int | None = None
    reflected_ambient_light: int | None = None
    is_colour: bool = False
    medium_type: str = ""
    film_destination: str = ""
    film_session_label: str = ""
    owner_id: str = ""
    presentation_lut: PresentationLut = PresentationLut()
    boxes: tuple[ImageBox, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    heading: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    icc_profile: str = ""
    is_in_driving_levels: bool = False

    def as_text(self) -> str:
        """Return it as it stands in the index; `film_of` reads it. Tables of several image boxes stand in it once."""
        luts = dict.fromkeys(box.presentation_lut for box in self.boxes if _has_table(box))
        places = {lut: place for place, lut in enumerate(luts)}
        plain = replace(self, boxes=tuple(replace(box, presentation_lut=None) if _has_table(box) else box
                                          for box in self.boxes))  # fmt: skip
        values = _without_defaults(plain)
        if not luts:
            return json.dumps({"version": FIRST_VERSION} | values, ensure_ascii=False)
        for written, box in zip(values["boxes"], self.boxes, strict=True):
            if _has_table(box):
                written["presentation_lut"] = places[box.presentation_lut]
        tables = [_without_defaults(lut) for lut in luts]
        return json.dumps({"version": VERSION, "luts": tables} | values, ensure_ascii=False)


def film_of(text: str) -> Film:
    """Read a film.

    Raises
    ------
    CannotUnderstand
        A newer medserver wrote it, or it is none.
    """
    try:
        values = json.loads(text)
        if values.pop("version") > VERSION:
            raise CannotUnderstand("a film of a newer medserver")
        luts = [PresentationLut(**_tuples(each)) for each in values.pop("luts", ())]
        boxes = tuple(_box_of(each, luts) for each in values.pop("boxes", ()))
        annotations = tuple(Annotation(**each) for each in values.pop("annotations", ()))
        lut = PresentationLut(**_tuples(values.pop("presentation_lut", {})))
        return Film(**_tuples(values), boxes=boxes, annotations=annotations, presentation_lut=lut)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise CannotUnderstand(f"a film that cannot be read: {error}") from None


def _has_table(box: ImageBox) -> bool:
    return box.presentation_lut is not None and bool(box.presentation_lut.table)


def _box_of(values: dict[str, Any], luts: Sequence[PresentationLut]) -> ImageBox:
    image = _tuples(values.pop("image"))
    kind = ReceivedImage if "file" in image else ReferencedImage
    lut = values.pop("presentation_lut", None)
    if isinstance(lut, int):
        own: PresentationLut | None = luts[lut]
    else:
        own = None if lut is None else PresentationLut(**_tuples(lut))
    return ImageBox(image=kind(**image), presentation_lut=own, **values)


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _without_defaults(record: Any) -> dict[str, Any]:
    """Return the fields of a record that differ from their defaults, and those of the records in it."""
    given: dict[str, Any] = {}
    for each in fields(record):
        value = getattr(record, each.name)
        if each.default is not MISSING and value == each.default:
            continue
        if isinstance(value, tuple):
            value = [_without_defaults(one) if hasattr(one, "__dataclass_fields__") else one for one in value]
        elif hasattr(value, "__dataclass_fields__"):
            value = _without_defaults(value)
        given[each.name] = value
    return given
