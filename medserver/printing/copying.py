"""A copy of a film box as a `Film`: what is changed later does not touch what was printed.

References
----------
PS3.4 H.4.1.2.4.3, PS3.4 H.4.2.2.4.3
"""

from __future__ import annotations

from base64 import b64decode

from medserver.config import Printer
from medserver.dicom.json_model import JSON
from medserver.errors import InvalidAttributeValue, PrinterFailed
from medserver.printing.attributes import number, text_of
from medserver.printing.film import Annotation, Film, ImageBox, PresentationLut
from medserver.printing.fitting import requested_size_mm
from medserver.printing.instances import FilmBoxInstance, FilmSessionInstance, ImageBoxInstance
from medserver.workitems.content import tag_of, value

OF_SESSION = {
    "medium_type": "MediumType", "film_destination": "FilmDestination", "film_session_label": "FilmSessionLabel",
    "owner_id": "OwnerID",
}  # fmt: skip

OF_FILM_BOX = {
    "film_size_id": "FilmSizeID", "film_orientation": "FilmOrientation", "magnification_type": "MagnificationType",
    "smoothing_type": "SmoothingType", "annotation_display_format_id": "AnnotationDisplayFormatID",
    "configuration_information": "ConfigurationInformation", "requested_resolution_id": "RequestedResolutionID",
    "border_density": "BorderDensity", "empty_image_density": "EmptyImageDensity", "trim": "Trim",
}  # fmt: skip
"""Field of a `Film` -> the attribute that it is; without a value the field has its default."""

DENSITIES = ("MinDensity", "MaxDensity")

ICC_PROFILE = "icc"
"""The name of the ICC profile in the file of a film."""


def film_of_box(printer: Printer, session: FilmSessionInstance, film_box: FilmBoxInstance) -> Film:
    """Return what is printed of a film box as it is now.

    Parameters
    ----------
    printer : Printer
        On what: densities beyond those of it are its own.
    session : FilmSessionInstance
        The film session.
    film_box : FilmBoxInstance
        The film box.
    """
    attributes = film_box.attributes
    given = {name: text_of(session.attributes, keyword) for name, keyword in OF_SESSION.items()}
    given |= {name: text_of(attributes, keyword) for name, keyword in OF_FILM_BOX.items()}
    medium_type = given["medium_type"]
    lowest, highest = _densities(printer, medium_type, attributes)
    lut = film_box.lut or session.lut
    has_images = any(box.image is not None for box in film_box.image_boxes)
    return Film(
        text_of(attributes, "ImageDisplayFormat"),
        **{name: text for name, text in given.items() if text},
        min_density=lowest,
        max_density=highest,
        illumination=_light(session, film_box, "Illumination"),
        reflected_ambient_light=_light(session, film_box, "ReflectedAmbientLight"),
        is_colour=film_box.is_colour,
        presentation_lut=PresentationLut() if lut is None else lut.lut,
        icc_profile=ICC_PROFILE if film_box.icc_profile and has_images else "",
        boxes=tuple(_image_box(printer, medium_type, box) for box in film_box.image_boxes if box.image is not None),
        annotations=tuple(
            Annotation(box.position, value(box.attributes, "TextString"))
            for box in film_box.annotation_boxes
            if value(box.attributes, "TextString")
        ),
    )


def _light(session: FilmSessionInstance, film_box: FilmBoxInstance, keyword: str) -> int | None:
    own = number(film_box.attributes, keyword)
    return number(session.attributes, keyword) if own is None else own


def _image_box(printer: Printer, medium_type: str, box: ImageBoxInstance) -> ImageBox:
    assert box.image is not None
    attributes = box.attributes
    lowest, highest = _densities(printer, medium_type, attributes)
    return ImageBox(
        box.position,
        box.image,
        polarity=value(attributes, "Polarity") or "NORMAL",
        magnification_type=value(attributes, "MagnificationType"),
        smoothing_type=value(attributes, "SmoothingType"),
        configuration_information=text_of(attributes, "ConfigurationInformation"),
        min_density=lowest,
        max_density=highest,
        requested_image_size_mm=requested_size_mm(attributes),
        requested_decimate_crop_behavior=value(attributes, "RequestedDecimateCropBehavior") or "DECIMATE",
        presentation_lut=None if box.lut is None else box.lut.lut,
    )


def icc_profile_of(attributes: JSON) -> bytes:
    """Return the ICC profile that a film box is given, empty if there is none.

    Raises
    ------
    InvalidAttributeValue
        It is not encoded as one.
    """
    found = attributes.get(tag_of("ICCProfile")) or {}
    if found.get("Value"):
        raise InvalidAttributeValue("the ICC Profile is no bytes")
    return b64decode(found.get("InlineBinary") or "")


def densities_of(printer: Printer, medium_type: str) -> tuple[int, int]:
    """Return the lowest and the highest density of a printer, in hundredths of optical density.

    They are those of its curve; of a printer that nobody has measured, those of the medium.
    """
    from medserver.printing.curves import curve_of  # numpy takes a while to load, and most films say no densities
    from medserver.printing.density import viewing_of

    try:
        curve = curve_of(printer)
    except PrinterFailed:  # it is told when a film is printed
        curve = None
    if curve is not None:
        return round(min(curve) * 100), round(max(curve) * 100)
    viewing = viewing_of(medium_type)
    return round(viewing.density_min * 100), round(viewing.density_max * 100)


def is_beyond_printer(printer: Printer, medium_type: str, attributes: JSON) -> bool:
    """Tell whether a density is beyond those of a printer."""
    given = [number(attributes, keyword) for keyword in DENSITIES]
    return any(each is not None for each in given) and given != list(_densities(printer, medium_type, attributes))


def _densities(printer: Printer, medium_type: str, attributes: JSON) -> tuple[int | None, int | None]:
    """Return Min Density and Max Density, those of the printer where they are beyond them (PS3.4 H.4.9.1)."""
    lowest, highest = (number(attributes, keyword) for keyword in DENSITIES)
    if lowest is None and highest is None:
        return None, None
    first, last = densities_of(printer, medium_type)
    return (
        None if lowest is None else min(max(lowest, first), last),
        None if highest is None else min(max(highest, first), last),
    )
