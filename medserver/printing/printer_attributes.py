"""A printer as the standard shows it: the attributes of its instance and those of its configuration.

References
----------
PS3.4 H.4.6.2.2, PS3.4 H.4.11.2.2, PS3.3 C.13.9, PS3.3 C.13.11
"""

from __future__ import annotations

from collections.abc import Sequence

from medserver import __version__
from medserver.config import Printer
from medserver.dicom.json_model import JSON
from medserver.node import Node
from medserver.printing.attributes import MAGNIFICATION_TYPES
from medserver.printing.copying import densities_of
from medserver.printing.fitting import MM_PER_INCH
from medserver.printing.layout import boxes_of, sheet_size_mm
from medserver.printing.printer_states import known_state
from medserver.printing.sessions import COLLATED_FILMS_MAX
from medserver.workitems.content import data_set

MANUFACTURER, MODEL = "medserver", "medserver print gateway"

FORMATS = (
    (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3), (3, 4), (4, 3), (4, 4), (4, 5), (5, 4), (4, 6), (5, 6),
    (6, 8),
)  # fmt: skip
"""Columns and rows of the STANDARD formats that the configuration lists; others are printed as well."""

RESOLUTION = "STANDARD"
DEFAULT_MAGNIFICATION = "CUBIC"


def printer_attributes(node: Node, printer: Printer) -> JSON:
    """Return the attributes of a printer, as it was when it was last asked."""
    state, info = known_state(node, printer)
    return data_set(
        PrinterStatus=state,
        PrinterStatusInfo=info,
        PrinterName=printer.name,
        Manufacturer=MANUFACTURER,
        ManufacturerModelName=MODEL,
        SoftwareVersions=__version__,
    )


def printer_configuration(printer: Printer, sop_class_uids: Sequence[str]) -> JSON:
    """Return the configuration of a printer.

    Parameters
    ----------
    printer : Printer
        The printer.
    sop_class_uids : sequence of str
        What it supports.
    """
    others = [each for each in MAGNIFICATION_TYPES if each != DEFAULT_MAGNIFICATION]
    item = data_set(
        SOPClassesSupported=list(sop_class_uids),
        MaximumMemoryAllocation=0,
        MemoryBitDepth=12,
        PrintingBitDepth=8,
        MediaInstalledSequence=[
            {**data_set(ItemNumber=index), **_medium(printer, size)}
            for index, size in enumerate(printer.media, start=1)
        ],
        OtherMediaAvailableSequence=[],
        SupportedImageDisplayFormatsSequence=_formats(printer),
        DefaultPrinterResolutionID=RESOLUTION,
        DefaultMagnificationType=DEFAULT_MAGNIFICATION,
        OtherMagnificationTypesAvailable=others,
        DefaultSmoothingType=None,
        OtherSmoothingTypesAvailable=None,
        ConfigurationInformationDescription=None,
        MaximumCollatedFilms=COLLATED_FILMS_MAX,
        DecimateCropResult="DECIMATE",
        Manufacturer=MANUFACTURER,
        ManufacturerModelName=MODEL,
        PrinterName=printer.name,
    )
    return data_set(PrinterConfigurationSequence=[item])


def _medium(printer: Printer, film_size_id: str) -> JSON:
    medium_type = "PAPER" if film_size_id.startswith("A") else "BLUE FILM"
    lowest, highest = densities_of(printer, medium_type)
    return data_set(MediumType=medium_type, FilmSizeID=film_size_id, MinDensity=lowest, MaxDensity=highest)


def _formats(printer: Printer) -> list[JSON]:
    pixel_mm = MM_PER_INCH / printer.resolution_dpi
    spacing = f"{pixel_mm:.6f}"
    return [
        data_set(
            Rows=int(box.height_mm / pixel_mm),
            Columns=int(box.width_mm / pixel_mm),
            ImageDisplayFormat=f"STANDARD\\{columns},{rows}",
            FilmOrientation=orientation,
            FilmSizeID=size,
            PrinterResolutionID=RESOLUTION,
            PrinterPixelSpacing=[float(spacing)] * 2,
            RequestedImageSizeFlag="YES",
        )
        for size in printer.media
        for orientation in ("PORTRAIT", "LANDSCAPE")
        for columns, rows in FORMATS
        for box in boxes_of(f"STANDARD\\{columns},{rows}", *sheet_size_mm(size, orientation))[:1]
    ]
