"""What differs between two stored objects, for a person who has to decide between them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medserver.archive.fetch import HEADER_DEPTH_MAX, open_data_set, read_header
from medserver.dicom.elements import scan_elements
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import CannotUnderstand
from medserver.index import StoredCopy
from medserver.node import Node

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

VALUE_LENGTH_MAX = 64
"""What is longer is cut: people look at what differs, they do not copy it from here."""

PIXEL_DATA = 0x7FE00010

_READ_SIZE_BYTES = 1024 * 1024
_HEADER_MAX_BYTES = 4 * 1024 * 1024
_BEFORE_PIXELS = frozenset({0x7FDFFFFF})


@dataclass(frozen=True, slots=True)
class Difference:
    """An attribute that differs.

    Parameters
    ----------
    tag : str
        ``0008103E``.
    keyword : str
        Of the attribute; empty if it is private or unknown.
    values : tuple of (str or None, str or None)
        In the first and in the second object, cut after `VALUE_LENGTH_MAX`; None where it is absent. Of pixel data and
        what lies behind it only that it differs.
    """

    tag: str
    keyword: str
    values: tuple[str | None, str | None]


def differences(node: Node, one: StoredCopy, other: StoredCopy) -> list[Difference]:
    """Compare two objects, attribute by attribute of the top level.

    Pixel Data in different transfer syntaxes is not compared.

    Parameters
    ----------
    node : Node
        Where they are stored.
    one, other : StoredCopy
        The copies that are read first.

    Raises
    ------
    DamagedObject, StoreFailure
        No copy of one of them can be read.
    """
    headers = read_header(node, one), read_header(node, other)
    found = [
        difference
        for tag in sorted({*headers[0].keys(), *headers[1].keys()})
        if (difference := _difference(headers, int(tag)))
    ]
    if one.transfer_syntax_uid == other.transfer_syntax_uid and _rest(node, one) != _rest(node, other):
        found.append(Difference(f"{PIXEL_DATA:08X}", "PixelData", ("differs", "differs")))
    return found


def _difference(headers: Sequence[Dataset], tag: int) -> Difference | None:
    from pydicom.datadict import keyword_for_tag

    first, second = (_element(header, tag) for header in headers)
    if first is not None and second is not None and (first.VR, first.value) == (second.VR, second.value):
        return None
    values = tuple(_text(header, tag, element) for header, element in zip(headers, (first, second), strict=True))
    if first is not None and second is not None and first.value == second.value and values[0] == values[1]:
        return None  # only the VR is told in one of the transfer syntaxes, and not in the other
    return Difference(f"{tag:08X}", keyword_for_tag(tag), (values[0], values[1]))


def _element(header: Dataset, tag: int) -> DataElement | None:
    from medserver.archive.header_values import SEQUENCE_ELEMENTS_MAX
    from medserver.dicom.data_sets import stored_element

    try:
        return stored_element(header, tag, elements_max=SEQUENCE_ELEMENTS_MAX, depth_max=HEADER_DEPTH_MAX)
    except CannotUnderstand:
        return None


def _text(header: Dataset, tag: int, element: DataElement | None) -> str | None:
    if element is None:
        return "cannot be read" if tag in header else None
    if element.VR == "SQ":
        count = len(element.value or ())
        return f"{count} item{'' if count == 1 else 's'}"
    if isinstance(element.value, bytes):
        return f"{len(element.value)} bytes"
    values = element.value if element.VM > 1 else [element.value]
    text = "\\".join("" if value is None else str(value) for value in values)
    return text if len(text) <= VALUE_LENGTH_MAX else f"{text[: VALUE_LENGTH_MAX - 3]}..."


def _rest(node: Node, copy: StoredCopy) -> str:
    """Return the digest of the pixel data, and of what lies behind it, as it is encoded."""
    syntax = transfer_syntax(copy.transfer_syntax_uid)
    digest = hashlib.sha256()
    with open_data_set(node, copy) as file:
        beginning = b""
        while len(beginning) < _HEADER_MAX_BYTES and (block := file.read(_READ_SIZE_BYTES)):
            beginning += block
        if not syntax.deflated:  # else all of it is compared
            beginning = beginning[scan_elements(beginning, syntax, _BEFORE_PIXELS, depth_max=HEADER_DEPTH_MAX).end :]
        digest.update(beginning)
        while block := file.read(_READ_SIZE_BYTES):
            digest.update(block)
    return digest.hexdigest()
