"""A printer as config.ini has it: by which AE title it is called, and what becomes of its films."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medserver.config.values import ValueType

KEEP_DEFAULT_S = 86_400.0
PDF, IPP, DICOM = "pdf", "ipp", "dicom"
OUTPUTS = (PDF, IPP, DICOM)

NEEDED = {PDF: "folder", IPP: "url", DICOM: "destination"}
"""Where each output leads."""

FILM_SIZES_MM: Mapping[str, tuple[float, float]] = {
    "8INX10IN": (203.2, 254.0),
    "8_5INX11IN": (215.9, 279.4),
    "10INX12IN": (254.0, 304.8),
    "10INX14IN": (254.0, 355.6),
    "11INX14IN": (279.4, 355.6),
    "11INX17IN": (279.4, 431.8),
    "14INX14IN": (355.6, 355.6),
    "14INX17IN": (355.6, 431.8),
    "24CMX24CM": (240.0, 240.0),
    "24CMX30CM": (240.0, 300.0),
    "A4": (210.0, 297.0),
    "A3": (297.0, 420.0),
}
"""Film Size ID -> width and height in portrait (PS3.3 C.13.3) [mm]."""

OPTIONAL_ATTRIBUTES = (
    "NumberOfCopies", "PrintPriority", "MediumType", "FilmDestination", "FilmSessionLabel", "OwnerID",
    "FilmOrientation", "FilmSizeID", "MagnificationType", "SmoothingType", "MaxDensity", "MinDensity", "BorderDensity",
    "EmptyImageDensity", "Trim", "ConfigurationInformation", "AnnotationDisplayFormatID", "Illumination",
    "ReflectedAmbientLight", "RequestedResolutionID", "RequestedImageSize", "RequestedDecimateCropBehavior",
    "ReferencedPresentationLUTSequence",
)  # fmt: skip
"""What an imager is sent of a film session, film box and image box, if its entry lists it (PS3.4 H.4)."""

FORMAT = (
    "layout", "film_size", "orientation", "magnification", "window", "presentation_state", "polarity", "true_size",
    "image_width", "copies", "annotation", "missing",
)  # fmt: skip
"""The names of format information, how images are to be printed; what each can be is in `printing.format`."""

CUPS_SCHEME = "cups:"
CUPS_SOCKET = "/run/cups/cups.sock"
"""Where the CUPS of this machine is reached, where nothing else is said."""

_URL = re.compile(r"ipps?://[^\s/@]+(/\S*)?")
_CUPS_URL = re.compile(r"cups:([^\s/#@]+)(?:@(/\S+))?")


@dataclass(frozen=True, slots=True)
class Printer:
    """One ``[printer NAME]``.

    Parameters
    ----------
    name : str
        Name of the entry.
    output : str
        Of `OUTPUTS`.
    ae_title : str
        The called AE title that chooses this printer; empty if none does.
    folder : Path or None
        Where PDF files go, absolute.
    url : str
        Where a printer or print server is, ``ipp://host/path``, or a queue of the CUPS of this machine, ``cups:NAME``.
    destination : str
        The ``[ae NAME]`` entry of a DICOM imager.
    media : tuple of str
        What it prints on, by Film Size IDs; the first is the default.
    colour : bool
        Whether it prints colours.
    bits : int
        How many bits of a gray value an imager gets: 8 or 12.
    attributes : tuple of str, or None
        The keywords of the optional attributes that an imager gets; None: all that a film has.
    resolution_dpi : int
        What pages are rendered for.
    curve : Path or None
        Its characteristics curve, a file of ``medserver printer calibrate``, absolute; None: it is not calibrated.
    substitute : str
        The printer that gets its films while it cannot print; empty if none does.
    clients : tuple of str
        The ``[ae NAME]`` entries that may print on it; empty: all with the right to print.
    films_max, copies_max : int
        How many films may wait for it, and how many copies of one be asked for.
    forgets : bool
        Whether images that were fetched from another AE to be printed on it are deleted when they have been.
    keep_s : float
        How long films are kept after they have ended [s].
    """

    name: str
    output: str
    ae_title: str = ""
    folder: Path | None = None
    url: str = ""
    destination: str = ""
    media: tuple[str, ...] = ("14INX17IN",)
    colour: bool = True
    bits: int = 12
    attributes: tuple[str, ...] | None = None
    resolution_dpi: int = 300
    curve: Path | None = None
    substitute: str = ""
    clients: tuple[str, ...] = ()
    films_max: int = 500
    copies_max: int = 20
    forgets: bool = True
    keep_s: float = KEEP_DEFAULT_S


def printer_of(name: str, values: Mapping[str, Any], data: Path) -> Printer:
    """Make a printer of the values of its section; relative paths start at the data folder."""
    paths = {each: Path(data, values[each]) if values[each] else None for each in ("folder", "curve")}
    texts = {each: values[each] or "" for each in ("ae_title", "url", "destination", "substitute")}
    names = ("output", "media", "colour", "attributes", "resolution_dpi", "films_max", "copies_max")
    given = {each: values[each] for each in names} | {"bits": int(values["bits"]), "keep_s": values["keep"]}
    return Printer(name, **given, **paths, **texts, clients=values["clients"] or (), forgets=values["forget"])


def parse_printer_url(text: str) -> str:
    """Read the URL of a printer: ``ipp://host:631/ipp/print``, or ``cups:NAME``.

    Raises
    ------
    ValueError
        It is none, or has a password in it.
    """
    if _URL.fullmatch(text) is None and _CUPS_URL.fullmatch(text) is None:
        raise ValueError(
            f"'{text}' is not of the form ipp://host[:port]/path or ipps://host[:port]/path, and no queue of the "
            "CUPS of this machine, cups:NAME"
        )
    return text


def cups_queue(url: str) -> tuple[str, str]:
    """Return the name of the queue that a ``cups:`` URL names, and the path of the socket of its CUPS."""
    found = _CUPS_URL.fullmatch(url)
    if found is None:
        raise ValueError(f"'{url}' is no queue of CUPS, cups:NAME")
    return found[1], found[2] or CUPS_SOCKET


def parse_media(text: str) -> tuple[str, ...]:
    """Read Film Size IDs, with commas between them.

    Raises
    ------
    ValueError
        One is not known.
    """
    names = tuple(part.strip().upper() for part in text.split(","))
    for name in names:
        if name not in FILM_SIZES_MM:
            raise ValueError(f"'{name}' is not one of {', '.join(FILM_SIZES_MM)}")
    return names


def parse_attributes(text: str) -> tuple[str, ...]:
    """Read keywords of attributes of films, with commas between them; ``none`` is none of them.

    Raises
    ------
    ValueError
        One is not among those that an imager is sent.
    """
    names = tuple(filter(None, (part.strip() for part in text.split(","))))
    if names == ("none",):
        return ()
    for name in names:
        if name not in OPTIONAL_ATTRIBUTES:
            raise ValueError(f"'{name}' is not one of {', '.join(OPTIONAL_ATTRIBUTES)}")
    return names


ATTRIBUTES = ValueType("attribute keywords", parse_attributes)
PRINTER_URL = ValueType("ipp URL", parse_printer_url)
MEDIA = ValueType("film sizes", parse_media)
