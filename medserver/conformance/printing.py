"""Section 5.2.8: print management, printed from the tables that the operations read."""

from __future__ import annotations

from medserver.conformance.document import Section, Table
from medserver.conformance.roles import sop_classes_table
from medserver.config.printer import FILM_SIZES_MM
from medserver.dicom import print_classes as classes
from medserver.printing.attributes import ANNOTATION_BOX, FILM_BOX, FILM_SESSION, IMAGE_BOX, PrintAttribute
from medserver.printing.layout import COUNT_MAX
from medserver.printing.pixels import IMAGE_PIXELS_MAX, PIXELS_BYTES_MAX
from medserver.printing.sessions import (
    ANNOTATION_BOXES,
    COLLATED_FILMS_MAX,
    FILM_BOXES_MAX,
    ICC_PROFILES_MAX_BYTES,
    LUT_ENTRIES_MAX,
    LUTS_MAX,
)
from medserver.services.printing.statuses import STATUSES
from medserver.services.registry import SERVICES
from medserver.services.responses import operation_name

NAMES = {
    classes.FILM_SESSION: "Basic Film Session",
    classes.FILM_BOX: "Basic Film Box",
    classes.GRAYSCALE_IMAGE_BOX: "Basic Grayscale Image Box",
    classes.COLOR_IMAGE_BOX: "Basic Color Image Box",
    classes.ANNOTATION_BOX: "Basic Annotation Box",
    classes.PRESENTATION_LUT: "Presentation LUT",
    classes.PRINTER: "Printer",
    classes.PRINTER_CONFIGURATION: "Printer Configuration Retrieval",
    classes.PRINT_JOB: "Print Job",
}
"""SOP classes that commands name."""

SCP = (
    "The called AE title chooses the printer, a ``[printer NAME]`` of the configuration; on such an association "
    "Verification, Print Management and Basic Structured Display Storage are offered and nothing else. Who calls the "
    "node by its own AE title prints on the first printer without an AE title, or on the only one. Without a printer "
    "the SOP classes are not accepted; a printer without colours does not accept the meta SOP class for colours. The "
    "associations are limited as all are.",
    "An association has one film session. It lives in memory, its images in a file without a name, until the "
    "association ends. UIDs may be those of the SCU; where it gives none the node makes them. Only the film box that "
    "was created last, and its boxes, can be changed, printed and deleted. A film session and a film box are answered "
    "with all their attributes.",
    "An N-ACTION copies the films. Success means that they are durable, images included: they are printed whatever "
    "becomes of the association and the machine. A sheet that may have been printed before, because the node or the "
    "printer was lost in the midst of it, says so. All films of an N-ACTION of a film session are one print job; they "
    f"are queued together or not at all. Copies of several films are collated up to {COLLATED_FILMS_MAX} sheets.",
    f"Image Display Formats are STANDARD, ROW and COL with up to {COUNT_MAX} image boxes, which are numbered from left "
    "to right and from top to bottom (COL: from top to bottom, then from left to right). SLIDE, SUPERSLIDE and CUSTOM "
    f"are refused. Film Size IDs are those of the printer, of {', '.join(FILM_SIZES_MM)}; others are refused.",
    "Images are MONOCHROME1 or MONOCHROME2 with 8 of 8 or 12 of 16 bits, or RGB with 8 bits and either Planar "
    "Configuration; unsigned, uncompressed, and exactly as long as Rows and Columns say. An image has up to "
    f"{IMAGE_PIXELS_MAX:,} pixels; those of an association have up to {PIXELS_BYTES_MAX:,} bytes together. An image "
    "that is set replaces the one before it and everything that was set with it.",
    "Without Requested Image Size, and unless Magnification Type is NONE, an image is as large as fits into its box, "
    "in its proportions (by Pixel Aspect Ratio), and in the middle of it. One that is larger is decimated, cropped at "
    "all edges alike, or refused, by Requested Decimate/Crop Behavior. Without that it is made smaller (B604). The "
    "Requested Image Size is the width of the image in mm.",
    "Presentation LUTs are IDENTITY, LIN OD, or tables of 256 or 4096 entries of 10 to 16 bits; a table is for images "
    "of 8 or 12 bits respectively (else 0106). They may be referred to in the film session, the film box and the image "
    "box, of which the last goes before the others. Densities beyond those of the printer (its characteristics curve, "
    "or 0.20 to 3.00 for film and 0.05 to 2.00 for paper) are replaced by its own (B605).",
    f"With the Basic Annotation Box a film has {ANNOTATION_BOXES} annotations, which are lines at the top of the "
    "sheet, for any Annotation Display Format ID. Configuration Information and Smoothing Type are kept and told, and "
    "change nothing. An ICC Profile of a film box for colours is that of all its images. Attributes that are not in "
    "the tables are left out (0107).",
    f"Limits of an association: {FILM_BOXES_MAX} film boxes, {LUTS_MAX} Presentation LUTs of {LUT_ENTRIES_MAX} entries "
    f"together, ICC Profiles that differ of {ICC_PROFILES_MAX_BYTES >> 20} MiB. Limits of a printer: how many films "
    "wait (``films_max``), copies (``copies_max``), who prints (``clients``).",
    "Print Job: N-EVENT-REPORTs (1 Pending, 2 Printing, 3 Done, 4 Failure) are sent on the association that made the "
    "job while it lasts, each state once; an N-GET works for whoever made the job, on any association, as long as its "
    "films are kept (``keep``). A film that is cancelled is a failure. Printer: it is asked every half minute; N-GET "
    "tells how it was then, and N-EVENT-REPORTs (1 Normal, 2 Warning) that it has changed, behind the answer to a "
    "request. A printer that cannot print has the Printer Status WARNING, because films are taken and wait.",
)


def printing_section() -> Section:
    """Return section 5.2.8."""
    services = [one for one in SERVICES if one.right == "print"]
    tables = (
        _attributes_table("film sessions", FILM_SESSION),
        _attributes_table("film boxes", FILM_BOX),
        _attributes_table("image boxes", IMAGE_BOX),
        _attributes_table("annotation boxes", ANNOTATION_BOX),
    )
    return Section(
        "5.2.8",
        "Print Management Service",
        (sop_classes_table("SOP classes of Print Management", *services),),
        (Section("5.2.8.1", "SCP of the Print Management SOP Classes", (*SCP, *tables, _statuses_table())),),
    )


def _attributes_table(what: str, rows: tuple[PrintAttribute, ...]) -> Table:
    header = ("Attribute", "Values", "Default", "N-CREATE", "N-SET")
    cells = tuple(
        (
            row.keyword,
            values_of(row),
            row.default or "-",
            "required" if row.is_required else "optional",
            "yes" if row.is_settable else "no",
        )
        for row in rows
    )
    return Table(f"Attributes of {what}", header, cells)


def values_of(row: PrintAttribute) -> str:
    """Return the values that an attribute can have, in words; others are answered with 0106."""
    terms = ", ".join(row.choices)
    if row.minimum is None:
        return terms or f"up to {row.length_max} characters"
    numbers = f"{row.minimum} to {row.maximum}"
    return f"{terms}, {numbers}" if terms else numbers


def _statuses_table() -> Table:
    rows = tuple(
        (NAMES[row.sop_class_uid], operation_name(row.operation), f"{row.code:04X}", row.condition) for row in STATUSES
    )
    return Table("Statuses of Print Management", ("SOP class", "Operation", "Status", "When"), rows)
