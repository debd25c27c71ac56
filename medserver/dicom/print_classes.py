"""The SOP classes of print management, and which of them belong to a meta SOP class.

References
----------
PS3.4 H.3, PS3.4 H.4
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FILM_SESSION = "1.2.840.10008.5.1.1.1"
FILM_BOX = "1.2.840.10008.5.1.1.2"
GRAYSCALE_IMAGE_BOX = "1.2.840.10008.5.1.1.4"
COLOR_IMAGE_BOX = "1.2.840.10008.5.1.1.4.1"
GRAYSCALE_META = "1.2.840.10008.5.1.1.9"
PRINT_JOB = "1.2.840.10008.5.1.1.14"
ANNOTATION_BOX = "1.2.840.10008.5.1.1.15"
PRINTER = "1.2.840.10008.5.1.1.16"
PRINTER_CONFIGURATION = "1.2.840.10008.5.1.1.16.376"
PRINTER_INSTANCE = "1.2.840.10008.5.1.1.17"
PRINTER_CONFIGURATION_INSTANCE = "1.2.840.10008.5.1.1.17.376"
COLOR_META = "1.2.840.10008.5.1.1.18"
PRESENTATION_LUT = "1.2.840.10008.5.1.1.23"

META_SOP_CLASSES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        GRAYSCALE_META: frozenset({FILM_SESSION, FILM_BOX, GRAYSCALE_IMAGE_BOX, PRINTER}),
        COLOR_META: frozenset({FILM_SESSION, FILM_BOX, COLOR_IMAGE_BOX, PRINTER}),
    }
)
"""Meta SOP class -> the SOP classes that commands in its presentation context name."""

SINGLE_SOP_CLASSES = (
    PRESENTATION_LUT, ANNOTATION_BOX, PRINT_JOB, PRINTER, PRINTER_CONFIGURATION,
)  # fmt: skip
"""Those that are negotiated by themselves, beside a meta SOP class or without one."""
