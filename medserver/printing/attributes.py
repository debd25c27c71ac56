"""The attributes of film sessions, film boxes and image boxes, and the values that they can have: one table each.

References
----------
PS3.4 H.4.1.2.1.1, PS3.4 H.4.2.2.1.1, PS3.4 H.4.2.2.2.1, PS3.4 H.4.3.1.2.1.1, PS3.4 H.4.4.2.1.1, PS3.3 C.13.1,
PS3.3 C.13.3, PS3.3 C.13.5, PS3.3 C.13.7
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medserver.dicom.json_model import JSON
from medserver.errors import InvalidAttributeValue, MissingAttribute, MissingAttributeValue
from medserver.workitems.content import data_set, has, has_value, tag_of, value

MAGNIFICATION_TYPES = ("REPLICATE", "BILINEAR", "CUBIC", "NONE")
DENSITY_NAMES = ("BLACK", "WHITE")
DENSITY_MAX = 600
"""In hundredths of optical density."""

TEXT_LENGTH_MAX, CONFIGURATION_LENGTH_MAX = 64, 1024
"""Characters of an LO, and of an ST (PS3.5 6.2)."""


@dataclass(frozen=True, slots=True)
class PrintAttribute:
    """An attribute that a Print SCU may give.

    Parameters
    ----------
    keyword : str
        Its keyword.
    choices : tuple of str
        Its defined terms; empty: any text, or a number.
    minimum, maximum : int or None
        The bounds of a number; None: it is none.
    default : str
        What it is without a value; empty: nothing.
    or_number : bool
        Whether it can be a number instead of one of the terms.
    is_required : bool
        Whether it must be there when the instance is created.
    is_settable : bool
        Whether an N-SET changes it.
    length_max : int
        How many characters it has at most.
    """

    keyword: str
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    default: str = ""
    or_number: bool = False
    is_required: bool = False
    is_settable: bool = True
    length_max: int = TEXT_LENGTH_MAX


FILM_SESSION = (
    PrintAttribute("NumberOfCopies", minimum=1, maximum=9999, default="1"),
    PrintAttribute("PrintPriority", ("HIGH", "MED", "LOW"), default="MED"),
    PrintAttribute("MediumType", ("PAPER", "CLEAR FILM", "BLUE FILM", "MAMMO CLEAR FILM", "MAMMO BLUE FILM")),
    PrintAttribute("FilmDestination"),
    PrintAttribute("FilmSessionLabel"),
    PrintAttribute("MemoryAllocation", minimum=0, maximum=2**31 - 1),
    PrintAttribute("OwnerID"),
    # Clients of printers from before the final text refer to the Presentation LUT here, and so says PS3.4 H.3.3.
    PrintAttribute("Illumination", minimum=1, maximum=65535),
    PrintAttribute("ReflectedAmbientLight", minimum=0, maximum=65535),
)

FILM_BOX = (
    PrintAttribute("ImageDisplayFormat", is_required=True, is_settable=False, length_max=CONFIGURATION_LENGTH_MAX),
    PrintAttribute("FilmOrientation", ("PORTRAIT", "LANDSCAPE"), default="PORTRAIT", is_settable=False),
    PrintAttribute("FilmSizeID", is_settable=False),
    PrintAttribute("MagnificationType", MAGNIFICATION_TYPES, default="CUBIC"),
    PrintAttribute("MaxDensity", minimum=0, maximum=DENSITY_MAX),
    PrintAttribute("MinDensity", minimum=0, maximum=DENSITY_MAX),
    PrintAttribute("ConfigurationInformation", length_max=CONFIGURATION_LENGTH_MAX),
    PrintAttribute("AnnotationDisplayFormatID", is_settable=False),
    PrintAttribute("SmoothingType"),
    PrintAttribute("BorderDensity", DENSITY_NAMES, 0, DENSITY_MAX, "BLACK", or_number=True),
    PrintAttribute("EmptyImageDensity", DENSITY_NAMES, 0, DENSITY_MAX, "BLACK", or_number=True),
    PrintAttribute("Trim", ("YES", "NO"), default="NO"),
    PrintAttribute("Illumination", minimum=1, maximum=65535),
    PrintAttribute("ReflectedAmbientLight", minimum=0, maximum=65535),
    PrintAttribute("RequestedResolutionID", ("STANDARD", "HIGH"), is_settable=False),
)

IMAGE_BOX = (
    PrintAttribute("ImageBoxPosition", minimum=1, maximum=65535, is_required=True),
    PrintAttribute("Polarity", ("NORMAL", "REVERSE"), default="NORMAL"),
    PrintAttribute("MagnificationType", MAGNIFICATION_TYPES),
    PrintAttribute("SmoothingType"),
    PrintAttribute("ConfigurationInformation", length_max=CONFIGURATION_LENGTH_MAX),
    PrintAttribute("RequestedImageSize"),
    PrintAttribute("RequestedDecimateCropBehavior", ("DECIMATE", "CROP", "FAIL"), default="DECIMATE"),
    PrintAttribute("MinDensity", minimum=0, maximum=DENSITY_MAX),
    PrintAttribute("MaxDensity", minimum=0, maximum=DENSITY_MAX),
)

ANNOTATION_BOX = (
    PrintAttribute("AnnotationPosition", minimum=1, maximum=65535, is_required=True),
    PrintAttribute("TextString"),
)


def checked(attributes: JSON, table: Sequence[PrintAttribute], *, is_new: bool) -> dict[str, dict]:
    """Return the attributes that are of a table, with values that they can have.

    Parameters
    ----------
    attributes : Mapping
        What a peer has given.
    table : sequence of PrintAttribute
        What there can be.
    is_new : bool
        Whether the instance is created: what is missing is required, or has its default.

    Raises
    ------
    InvalidAttributeValue
        A value cannot be.
    MissingAttribute, MissingAttributeValue
        One is missing that must be there.
    """
    kept: dict[str, dict] = {}
    for row in table:
        if not has(attributes, row.keyword) and not is_new:
            continue
        given = value(attributes, row.keyword)
        if row.is_required and is_new and not has_value(attributes, row.keyword):
            missing = MissingAttributeValue if has(attributes, row.keyword) else MissingAttribute
            raise missing(f"{row.keyword} is missing")
        if not row.is_settable and not is_new:
            continue
        text = _joined(attributes, row.keyword) or row.default if given else row.default
        if text:
            _check(row, text)
            kept |= data_set(**{row.keyword: _typed(row, text)})
        elif has(attributes, row.keyword):
            kept |= data_set(**{row.keyword: None})
    return kept


def left_out(
    attributes: JSON, table: Sequence[PrintAttribute], others: Sequence[str] = (), *, is_new: bool = False
) -> list[str]:
    """Return the tags of what a peer has given and `checked` leaves out, without private and group length elements.

    Parameters
    ----------
    attributes, table, is_new
        As for `checked`.
    others : sequence of str
        The keywords of what is read elsewhere.
    """
    known = {tag_of(row.keyword) for row in table if is_new or row.is_settable}
    known |= {tag_of(keyword) for keyword in ("SpecificCharacterSet", *others)}
    return sorted(tag for tag in attributes if tag not in known and int(tag[:4], 16) % 2 == 0 and tag[4:] != "0000")


def number(attributes: JSON, keyword: str) -> int | None:
    """Return the number that an attribute has, None if it has none.

    Raises
    ------
    InvalidAttributeValue
        It has something else.
    """
    text = value(attributes, keyword)
    try:
        return int(float(text)) if text else None
    except (ValueError, OverflowError):
        raise InvalidAttributeValue(f"{keyword} {text[:20]!r} is no number") from None


def text_of(attributes: JSON, keyword: str) -> str:
    """Return the whole value of an attribute, several values with a backslash between them."""
    return _joined(attributes, keyword)


def _joined(attributes: JSON, keyword: str) -> str:
    found: Mapping = attributes.get(tag_of(keyword)) or {}
    return "\\".join(str(each).replace("\0", "").strip() for each in found.get("Value") or () if each is not None)


def _check(row: PrintAttribute, text: str) -> None:
    if len(text) > row.length_max:
        raise InvalidAttributeValue(f"{row.keyword} has more than {row.length_max} characters")
    if row.choices and text in row.choices:
        return
    if row.choices and not row.or_number:
        raise InvalidAttributeValue(f"{row.keyword} {text[:20]!r} is none of {', '.join(row.choices)}")
    if row.minimum is None or row.maximum is None:
        return
    try:
        is_within = row.minimum <= float(text) <= row.maximum
    except ValueError:
        is_within = False
    if not is_within:
        raise InvalidAttributeValue(f"{row.keyword} {text[:20]!r} is not {row.minimum} to {row.maximum}")


def _typed(row: PrintAttribute, text: str) -> str | int:
    is_number = row.minimum is not None and not row.choices
    return int(float(text)) if is_number else text
