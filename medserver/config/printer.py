"""A printer as config.ini has it: by which AE title it is called, and what becomes of its films."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medserver.config.values import ValueType

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

FORMAT = (
    "layout", "film_size", "orientation", "magnification", "window", "presentation_state", "polarity", "true_size",
    "image_width", "copies", "annotation", "missing",
)  # fmt: skip
"""The names of format information, how images are to be printed; what each can be is in `printing.format`."""

_URL = re.compile(r"ipps?://[^\s/@]+(/\S*)?")


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
        Where a printer or print server is, ``ipp://host/path``.
    destination : str
        The ``[ae NAME]`` entry of a DICOM imager.
    media : tuple of str
        What it prints on, by Film Size IDs; the first is the default.
    colour : bool
        Whether it prints colours.
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
    resolution_dpi: int = 300
    curve: Path | None = None
    substitute: str = ""
    clients: tuple[str, ...] = ()
    films_max: int = 500
    copies_max: int = 20
    forgets: bool = True
    keep_s: float = 86_400.0


def printer_of(name: str, values: Mapping[str, Any], data: Path) -> Printer:
    """Make a printer of the values of its section; relative paths start at the data folder."""
    paths = {each: Path(data, values[each]) if values[each] else None for each in ("folder", "curve")}
    texts = {each: values[each] or "" for each in ("ae_title", "url", "destination", "substitute")}
    given = {each: values[each] for each in ("output", "media", "colour", "resolution_dpi", "films_max", "copies_max")}
    return Printer(
        name,
        **given,
        **paths,
        **texts,
        clients=values["clients"] or (),
        forgets=values["forget"],
        keep_s=values["keep"],
    )


def parse_printer_url(text: str) -> str:
    """Read the URL of a printer: ``ipp://host:631/ipp/print``.

    Raises
    ------
    ValueError
        It is none, or has a password in it.
    """
    if _URL.fullmatch(text) is None:
        raise ValueError(f"'{text}' is not of the form ipp://host[:port]/path or ipps://host[:port]/path")
    return text


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


PRINTER_URL = ValueType("ipp URL", parse_printer_url)
MEDIA = ValueType("film sizes", parse_media)
